"""Three networks in Keras, and their training."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from benchmarks.networks.digits import CLASSES, PIXELS, digits

EPOCHS, BATCH_ROWS, LEARNING_RATE = 12, 64, 2e-3
SIDE = 8


def cnn() -> Any:
    """Three convolutions and a dense layer, as a Sequential."""
    return keras.Sequential(
        [
            keras.Input((PIXELS,)),
            layers.Reshape((SIDE, SIDE, 1)),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Conv2D(128, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(128, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(CLASSES),
        ]
    )


def lstm() -> Any:
    """Each row of the picture is a step in time."""
    pixels = keras.Input((PIXELS,))
    steps = layers.Reshape((SIDE, SIDE))(pixels)
    return keras.Model(pixels, layers.Dense(CLASSES)(layers.LSTM(128)(steps)))


def attention() -> Any:
    """Each row of the picture is a token; two layers of attention of width 64, in the functional way."""
    pixels = keras.Input((PIXELS,))
    hidden = layers.Dense(64)(layers.Reshape((SIDE, SIDE))(pixels))
    for _ in range(2):
        attended = layers.MultiHeadAttention(4, 16)(hidden, hidden)
        hidden = layers.LayerNormalization()(layers.Add()([hidden, attended]))
        wide = layers.Dense(64)(layers.Dense(128, activation="relu")(hidden))
        hidden = layers.LayerNormalization()(layers.Add()([hidden, wide]))
    return keras.Model(pixels, layers.Dense(CLASSES)(layers.Flatten()(hidden)))


def trained(build: Any) -> Any:
    """Train it on the training rows, the same way every time."""
    keras.utils.set_random_seed(0)
    model, rows = build(), digits()
    model.compile(keras.optimizers.AdamW(LEARNING_RATE), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(rows.training, rows.training_labels, batch_size=BATCH_ROWS, epochs=EPOCHS, verbose=0)
    return model
