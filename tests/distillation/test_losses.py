"""Distillation losses against hand-computed values and their own definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spiral_cli.distillation.losses.kl import kl
from spiral_cli.distillation.losses.mse import mse
from spiral_cli.distillation.targets import ensemble_logits

LOGITS = arrays(np.float32, (3, 4), elements=st.floats(-8, 8, width=32))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_kl_by_hand():
    # teacher (ln 3, 0) is (3/4, 1/4); student (0, 0) is (1/2, 1/2)
    teacher, student = tf.constant([[math.log(3.0), 0.0]]), tf.constant([[0.0, 0.0]])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert kl(student, teacher, 1.0, True).numpy() == pytest.approx([expected], abs=1e-6)


def test_kl_at_a_temperature_is_that_of_divided_logits_times_its_square():
    teacher, student = tf.constant([[4.0 * math.log(3.0), 0.0]]), tf.constant([[0.0, 0.0]])
    expected = 16 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert kl(student, teacher, 4.0, True).numpy() == pytest.approx([expected], rel=1e-5)


def test_bernoulli_kl_by_hand_is_the_mean_over_labels():
    # teacher sigmoid(ln 3) = 3/4 and 1/2; student 1/2 and 1/2
    teacher, student = tf.constant([[math.log(3.0), 0.0]]), tf.constant([[0.0, 0.0]])
    expected = 0.5 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert kl(student, teacher, 1.0, False).numpy() == pytest.approx([expected], abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(LOGITS, LOGITS, st.sampled_from([1.0, 2.0, 4.0]), st.booleans())
def test_kl_is_zero_for_equal_logits_and_never_negative(student, teacher, temperature, exclusive):
    same = kl(tf.constant(student), tf.constant(student), temperature, exclusive).numpy()
    np.testing.assert_allclose(same, 0.0, atol=1e-5)
    other = kl(tf.constant(student), tf.constant(teacher), temperature, exclusive).numpy()
    assert other.shape == (3,)
    assert (other >= -1e-4).all()


@settings(max_examples=30, deadline=None)
@given(LOGITS, LOGITS)
def test_at_temperature_one_kl_is_soft_cross_entropy_minus_the_teachers_entropy(student, teacher):
    p = softmax(teacher.astype(np.float64))
    entropy = -(p * np.log(p)).sum(-1)
    crossentropy = tf.nn.softmax_cross_entropy_with_logits(p.astype(np.float32), student).numpy()
    np.testing.assert_allclose(kl(student, teacher, 1.0, True).numpy(), crossentropy - entropy, atol=2e-4)


@pytest.mark.parametrize("exclusive", [True, False])
def test_the_gradient_of_kl_agrees_with_differences(exclusive):
    rng = np.random.default_rng(0)
    teacher = tf.constant(rng.normal(size=(1, 5)))
    student = rng.normal(size=(1, 5))
    with tf.GradientTape() as tape:
        point = tf.Variable(student)
        loss = kl(point, teacher, 3.0, exclusive)[0]
    gradient = tape.gradient(loss, point).numpy()[0]
    step = 1e-6
    for i in range(5):
        shift = np.zeros((1, 5))
        shift[0, i] = step
        up, down = (kl(tf.constant(student + s), teacher, 3.0, exclusive)[0].numpy() for s in (shift, -shift))
        assert gradient[i] == pytest.approx((up - down) / (2 * step), abs=1e-6)


def test_the_gradient_of_kl_has_its_closed_form():
    # d/dz T² KL = T (softmax(z/T) - softmax(t/T)): of order one at every temperature
    rng = np.random.default_rng(1)
    teacher, student = rng.normal(size=(2, 6)), tf.Variable(rng.normal(size=(2, 6)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(kl(student, tf.constant(teacher), 4.0, True))
    expected = 4.0 * (softmax(student.numpy() / 4) - softmax(teacher / 4))
    np.testing.assert_allclose(tape.gradient(loss, student).numpy(), expected, atol=1e-9)


def test_mse_by_hand_and_blind_to_a_common_constant():
    student, teacher = tf.constant([[1.0, 3.0]]), tf.constant([[0.0, 0.0]])
    assert mse(student, teacher, 4.0, True).numpy() == pytest.approx([0.5])  # centred: -1, 1
    assert mse(student + 7.0, teacher, 4.0, True).numpy() == pytest.approx([0.5])
    assert mse(student, teacher, 4.0, False).numpy() == pytest.approx([2.5])


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_an_ensemble_softens_to_the_mean_of_its_members(temperature):
    rng = np.random.default_rng(2)
    members = [rng.normal(size=(5, 3)).astype(np.float32) * 5 for _ in range(3)]
    mean = ensemble_logits(members, temperature, exclusive=True)
    expected = np.mean([softmax(m / temperature) for m in members], axis=0)
    np.testing.assert_allclose(softmax(mean / temperature), expected, atol=1e-6)
    mean = ensemble_logits(members, temperature, exclusive=False)
    expected = np.mean([1 / (1 + np.exp(-m / temperature)) for m in members], axis=0)
    np.testing.assert_allclose(1 / (1 + np.exp(-mean / temperature)), expected, atol=1e-6)


def test_an_ensemble_of_one_is_that_one():
    logits = np.array([[1.0, 2.0]], np.float32)
    assert ensemble_logits([logits], 4.0, True) is logits
