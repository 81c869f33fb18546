"""Gradient boosting on the measurements of a biopsy, by three libraries."""

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

TARGET = "malignant"


def patients():
    """569 real patients: 30 measurements ("mean radius", "worst texture", …) and the diagnosis; half to train on."""
    bundled = load_breast_cancer(as_frame=True)
    frame = bundled.data.assign(**{TARGET: (bundled.target == 0).astype(int)})
    return train_test_split(frame, test_size=0.5, random_state=0, stratify=frame[TARGET])


def sklearn():
    from sklearn.ensemble import HistGradientBoostingClassifier

    return fit(HistGradientBoostingClassifier(random_state=0))


def xgboost():
    from xgboost import XGBClassifier

    return fit(XGBClassifier(n_estimators=100, max_depth=3, random_state=0))


def lightgbm():
    from lightgbm import LGBMClassifier

    return fit(LGBMClassifier(random_state=0, verbose=-1))


def fit(model):
    train, _ = patients()
    return model.fit(train.drop(columns=TARGET), train[TARGET])
