"""Epoch plans and learning rates are pure functions with exact ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.training.plan import average_gains, epoch_rows, learning_rates, stage_seed, steps_per_epoch


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 5), st.integers(1, 4))
def test_every_example_is_visited_exactly_once(count, batch, epoch, views):
    rows, valid = epoch_rows(count, batch, (7, 1), epoch, views)
    assert rows.shape == valid.shape == (steps_per_epoch(count, batch), min(batch, count))
    visited = rows[valid > 0] % count
    assert sorted(visited) == list(range(count))
    assert rows.min() >= 0
    assert rows.max() < count * views


def test_plans_depend_on_seed_stage_and_epoch_only():
    first, _ = epoch_rows(100, 16, (0, 2, 1, 1), 3)
    again, _ = epoch_rows(100, 16, (0, 2, 1, 1), 3)
    np.testing.assert_array_equal(first, again)
    for key, epoch in (((1, 2, 1, 1), 3), ((0, 2, 1, 2), 3), ((0, 2, 1, 1), 4)):
        other, _ = epoch_rows(100, 16, key, epoch)
        assert (other != first).any()


def test_views_are_all_drawn():
    rows, valid = epoch_rows(200, 50, (0,), 0, views=4)
    assert set(rows[valid > 0] // 200) == {0, 1, 2, 3}


@pytest.mark.parametrize("kind", ["cosine", "one_cycle"])
def test_rates_peak_at_the_peak_and_decay_fully(kind):
    rates = learning_rates(kind, 0.01, 1000)
    assert rates.shape == (1000,)
    assert rates.max() == pytest.approx(0.01)
    assert rates[-1] < 1e-6
    assert (rates > 0).all()
    top = int(rates.argmax())
    assert (np.diff(rates[top:]) < 0).all()
    assert top == (0 if kind == "cosine" else 300)
    if kind == "one_cycle":
        assert (np.diff(rates[:top]) > 0).all()
        assert rates[0] == pytest.approx(0.01 / 25)


def test_rates_of_one_step():
    assert learning_rates("cosine", 0.5, 1).tolist() == [0.5]
    assert learning_rates("one_cycle", 0.5, 1).tolist() == [0.5]


def test_stage_seeds_differ():
    seeds = {stage_seed((0, 2, number, attempt)) for number in range(20) for attempt in range(5)}
    assert len(seeds) == 100
    assert stage_seed((0, 1)) == stage_seed((0, 1))


@given(st.integers(1, 60), st.floats(0.0, 1.0))
def test_gains_make_the_plain_mean_of_the_tail(steps, part):
    gains, average, values = average_gains(steps, part), 0.0, np.arange(steps, dtype=np.float64)
    for gain, value in zip(gains.astype(np.float64), values, strict=True):
        average += gain * (value - average)
    tail = round(part * steps)
    expected = values[steps - tail :].mean() if tail else 0.0
    assert average == pytest.approx(expected, rel=1e-4, abs=1e-4)
