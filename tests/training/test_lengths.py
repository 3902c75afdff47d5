"""Rows of different lengths: like ones together, cut to what they hold, with the same steps as uncut ones."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.data.tokens import LENGTH_STEP, TokenRows, cut_lengths
from spiral_cli.distillation.features import pair_layers
from spiral_cli.distillation.losses.kl import kl
from spiral_cli.distillation.places import Sample
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.recipe.schema import Feature
from spiral_cli.tasks.classification import Head
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.plan import WINDOW, epoch_rows
from spiral_cli.training.program import Program
from spiral_cli.training.targets import feature_targets, online_features

layers = keras.layers


@given(st.integers(1, 400), st.integers(1, 16), st.integers(0, 5), st.integers(1, 3))
def test_an_epoch_of_like_lengths_still_visits_every_example_once(count, batch, epoch, views):
    lengths = np.random.default_rng(count).integers(1, 100, count)
    rows, valid = epoch_rows(count, batch, (7, 1), epoch, views, lengths)
    assert sorted(rows[valid == 1] % count) == list(range(count))
    again, _ = epoch_rows(count, batch, (7, 1), epoch, views, lengths)
    np.testing.assert_array_equal(rows, again)
    assert (valid[:-1] == 1).all()  # only the last step is filled up


def test_batches_hold_like_lengths_and_come_in_no_order_of_them():
    lengths = np.random.default_rng(0).integers(1, 100, 4096)
    rows, _ = epoch_rows(4096, 32, (0,), 0, 1, lengths)
    spread = np.ptp(lengths[rows], axis=1)
    random, _ = epoch_rows(4096, 32, (0,), 0)
    assert spread.mean() < 1.5 * 100 / WINDOW < np.ptp(lengths[random], axis=1).mean() / 5
    assert abs(np.corrcoef(np.arange(len(rows)), lengths[rows].mean(axis=1))[0, 1]) < 0.2


def test_cuts_hold_every_row_and_take_few_values():
    longest, most = np.array([[1, 9], [8, 17], [23, 40]]), np.array([20, 40])
    found = cut_lengths(longest, most)
    np.testing.assert_array_equal(found, [[8, 16], [8, 24], [20, 40]])
    assert LENGTH_STEP == 8 and found.dtype == np.int32


def program(lengths: np.ndarray | None, jit: bool = False, features: str = "none") -> tuple[Program, np.ndarray]:
    rng = np.random.default_rng(2)
    x = rng.integers(1, 30, (40, 24)).astype(np.int32)
    held = rng.integers(1, 25, (40, 1)).astype(np.int32)
    x[np.arange(24) >= held] = 0
    keras.utils.set_random_seed(3)
    tokens = keras.Input((None,), dtype="int32")
    real = keras.ops.not_equal(tokens, 0)
    y = layers.Embedding(30, 8, name="embedded")(tokens)
    y = layers.MultiHeadAttention(2, 4, name="attended")(y, y, attention_mask=keras.ops.expand_dims(real, 1))
    y = layers.GlobalAveragePooling1D()(y, mask=real)
    model = keras.Model(tokens, layers.Dense(3)(y))
    data = TrainingData(
        tf.constant(x),
        tf.constant(rng.integers(0, 3, 40).astype(np.int32)),
        tf.ones(40),
        TokenRows((24,), ("a", "b", "c"), 30, ""),
        held if lengths is None else lengths,
    )
    hints, online, targets = (), None, {"logits": rng.normal(size=(40, 3)).astype(np.float32)}
    if features != "none":
        teacher = keras.models.clone_model(model)
        sample = Sample(x[:1], data.preprocessing, padded=True)
        hints = pair_layers([Feature(teacher="attended", student="attended", weight=2.0)], teacher, model, sample)
        online = online_features(teacher, hints) if features == "online" else None
        task = SimpleNamespace(train_inputs=x, train_lengths=held, preprocessing=data.preprocessing)
        targets |= feature_targets(teacher, hints, task, online is not None)
    made = Program(
        model,
        data,
        Objective(Head(True, False), kl, 0.5, 2.0, hints),
        make_optimizer("adam", 0.0),
        prunable=find_prunable(model)[0],
        online=online,
        jit=jit,
    )
    made.set_targets(targets)
    return made, held


def train(made: Program, epochs: int) -> list[np.ndarray]:
    for epoch in range(epochs):
        rows, valid = epoch_rows(40, 6, (5,), epoch, 1, np.arange(40))
        ones = np.ones(len(rows), np.float32)
        made.run(rows, valid, 0.01 * ones, 0 * ones, 0 * ones)
    return [variable.numpy() for variable in made.model.trainable_variables]


@pytest.mark.parametrize(("jit", "features"), [(True, "none"), (False, "none"), (False, "cached"), (False, "online")])
def test_cut_rows_train_as_whole_ones_in_one_trace(jit, features):
    cut, _ = program(None, jit, features)
    whole, _ = program(np.full((40, 1), 24, np.int32), jit, features)
    for one, other in zip(train(cut, 3), train(whole, 3), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)
    assert cut._chunk.experimental_get_tracing_count() == 1
    cuts = cut.data.cuts(np.arange(40).reshape(8, 5))
    assert cuts.shape == (8, 1) and len(np.unique(cuts)) <= 3
