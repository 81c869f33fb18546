"""Two classifiers of handwritten digits, as a model repository would ship them."""

from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler


def train_forest(x, y) -> RandomForestClassifier:
    """100 trees on the 64 grey values of an 8 × 8 image."""
    return RandomForestClassifier(n_estimators=100, random_state=0).fit(x, y)


def train_network(x, y) -> Pipeline:
    """Two hidden layers on grey values between 0 and 1."""
    network = MLPClassifier(hidden_layer_sizes=(512, 256), max_iter=100, tol=1e-3, random_state=0)
    return make_pipeline(MinMaxScaler(), network).fit(x, y)
