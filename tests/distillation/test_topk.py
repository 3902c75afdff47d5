"""The largest logits and the mass of the others say what the teacher said, as far as they can."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.distillation.losses.kl import kl
from spiral_cli.distillation.topk import INDICES, REST, VALUES, largest, spread


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_by_hand():
    top = largest(np.log(np.array([[8.0, 1.0, 4.0, 1.0, 2.0]])), 2, 1.0)
    assert sorted(top[INDICES][0].tolist()) == [0, 2]
    np.testing.assert_allclose(np.sort(top[VALUES][0]), [np.log(0.5), 0.0], atol=1e-3)
    np.testing.assert_allclose(top[REST], [np.log(0.5)], atol=1e-3)  # (1 + 1 + 2) / 8
    p = softmax(spread(top, 5, 1.0).numpy())[0]
    np.testing.assert_allclose(p, np.array([8, 4 / 3, 4, 4 / 3, 4 / 3]) / 16, atol=1e-3)


@given(st.integers(1, 9), st.floats(0.5, 8.0), st.integers(0, 2**31))
def test_kept_classes_keep_their_probability_at_the_temperature(count, temperature, seed):
    z = np.random.default_rng(seed).normal(0, 3, (6, 10)).astype(np.float32)
    top = largest(z, count, temperature)
    assert top[INDICES].dtype == np.uint16 and top[VALUES].dtype == top[REST].dtype == np.float16
    ours, exact = softmax(spread(top, 10, temperature).numpy() / temperature), softmax(z / temperature)
    rows = np.arange(6)[:, None]
    np.testing.assert_allclose(ours[rows, top[INDICES]], exact[rows, top[INDICES]], atol=4e-3)
    assert (z[rows, top[INDICES]].min(axis=1) >= np.sort(z, axis=1)[:, -count]).all()


def test_a_teacher_that_is_sure_leaves_no_mass_and_no_nan():
    top = largest(np.array([[60.0, -60.0, -60.0]], np.float32), 1, 1.0)
    logits = spread(top, 3, 1.0)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(softmax(logits.numpy()), [[1, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_is_that_of_the_classes_with_the_others_made_alike(temperature):
    rng = np.random.default_rng(0)
    z, student = rng.normal(0, 2, (4, 12)).astype("f4"), tf.constant(rng.normal(size=(4, 12)).astype("f4"))
    top = largest(z, 5, temperature)
    p = softmax(z / temperature)
    others = np.ones(z.shape, bool)
    np.put_along_axis(others, top[INDICES], False, axis=1)
    alike = np.where(others, (p * others).sum(axis=1, keepdims=True) / 7, p)
    expected = kl(student, tf.constant(temperature * np.log(alike)), temperature, True)
    np.testing.assert_allclose(kl(student, spread(top, 12, temperature), temperature, True), expected, atol=5e-3)
