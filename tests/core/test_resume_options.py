"""A run that was stopped again and again ends with the same bits, whatever it does on the way."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from small_runs import run, write_recipe

from spiral_cli.errors import InterruptedRun
from spiral_cli.training.checkpoint import read_state
from spiral_cli.training.control import Control

AUGMENTED = {"data": {"augment": [{"brightness": 0.1}, {"crop": 1}], "views": 3}}
CONVOLUTIONAL = {"teacher": {"builder": "nets:net", "epochs": 5, "learning_rate": 0.005, "batch_size": 32}}
NETS = """
import keras
from keras import layers


def net(input_shape, outputs):
    return keras.Sequential([
        layers.Input(input_shape),
        layers.Conv2D(6, 3, activation="relu", name="conv"),
        layers.MaxPooling2D(2),
        layers.Conv2D(8, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(16, activation="relu", name="hidden"),
        layers.Dense(outputs),
    ])


def encoder(input_shape, outputs):
    inputs = keras.Input(input_shape)
    x = layers.Reshape((8, 8))(inputs)
    x = x + layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x)
    x = layers.LayerNormalization()(x)
    return keras.Model(inputs, layers.Dense(outputs)(layers.GlobalAveragePooling1D()(x)))
"""
OPTIONS: dict[str, dict] = {
    "dropout, batch normalisation, pooling": CONVOLUTIONAL,
    "attention": {"teacher": {"builder": "nets:encoder", "epochs": 8, "learning_rate": 0.01, "batch_size": 32}},
    "views made on the way, targets on disk": {
        **AUGMENTED, "distill": {"memory_gb": 1e-9, "top_k": 2}, "data": {**AUGMENTED["data"], "stream": True},
    },
    "a teacher in every step": {**AUGMENTED, "distill": {"targets": "online"}},
    "features, ensemble": {
        **CONVOLUTIONAL,
        "distill": {"features": [{"teacher": "hidden", "student": "hidden"}], "teacher": "ensemble"},
    },
    "gradients, regrowth, sgd": {
        "prune": {"criterion": "taylor", "regrow": True}, "train": {"optimizer": "sgd", "learning_rate": 0.05},
    },
    "blocks, rewound, no XLA": {
        "prune": {"granularity": {"block": [2, 2]}, "weights": "rewind"}, "train": {"jit": False},
    },
    "channels, pressed first, taylor, ensemble": {
        **CONVOLUTIONAL,
        "distill": {"teacher": "ensemble", "features": [{"teacher": "hidden", "student": "hidden"}]},
        "prune": {
            "granularity": "channel", "criterion": "taylor", "pressure": {"kind": "group_lasso", "strength": 0.01},
            "cut": 0.5,
        },
    },
    "channels, fresh weights, expanded": {
        **CONVOLUTIONAL,
        "prune": {"granularity": "channel", "weights": "fresh"}, "train": {"expand": 3},
    },
    "another student": {"student": {"model": "lenet300", "epochs": 2}},
}  # fmt: skip
QUICK = ("dropout, batch normalisation, pooling", "views made on the way, targets on disk")


def made(folder: Path, options: dict) -> Path:
    """Write data and recipe: few epochs, two rounds."""
    (folder / "nets.py").write_text(NETS)
    base = {
        "teacher": {"model": "lenet300", "epochs": 4, "learning_rate": 0.005, "batch_size": 32},
        "train": {},
        "prune": {},
    }
    sections = {**base, **options}
    sections["train"] = {"epochs": 3, "batch_size": 16, **sections["train"]}
    sections["prune"] = {"schedule": {"final_sparsity": 0.7, "rounds": 2}, **sections["prune"]}
    return write_recipe(folder, guard={"max_drop": 1.0}, **sections)


def stopping_after(chunks: int) -> Control:
    """Return a control that lets so many chunks pass."""
    count = itertools.count(1)
    return Control(interrupted=lambda: next(count) > chunks)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in OPTIONS]
)
def test_a_run_stopped_every_few_chunks_ends_with_the_same_bits(folder, name):
    recipe = made(folder, OPTIONS[name])
    _, whole = run(recipe, "whole")
    for chunks in itertools.count(4):
        try:
            _, broken = run(recipe, "broken", control=stopping_after(2 * chunks))
        except InterruptedRun:
            continue
        break
    assert chunks > 5
    for number in (0, 1, 2):
        ours, _ = read_state(broken.round(number).state)
        theirs, _ = read_state(whole.round(number).state)
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            np.testing.assert_array_equal(ours[key], value, err_msg=f"round {number}: {key}")
