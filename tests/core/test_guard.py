"""Which turn comes next: the laws of the guard on rows written by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.guard import accepted_density, drop, monitor_mode, next_attempt, within_budget

SCHEDULE = (0.5, 0.8, 0.9)


def row(number: int, attempt: int, density: float, accepted: bool) -> dict:
    return {"round": number, "attempt": attempt, "target_density": density, "accepted": accepted}


def test_the_first_try_aims_at_the_first_sparsity():
    first = next_attempt([], SCHEDULE, patience=2)
    assert (first.round, first.attempt) == (1, 1)
    assert first.density == pytest.approx(0.5)


def test_after_success_the_schedule_goes_on_and_ends():
    rows = [row(1, 1, 0.5, True)]
    assert next_attempt(rows, SCHEDULE, 2).density == pytest.approx(0.2)
    rows += [row(2, 1, 0.2, True), row(3, 1, 0.1, True)]
    assert next_attempt(rows, SCHEDULE, 2) is None


def test_a_failed_try_is_repeated_at_the_geometric_mean_with_the_last_accepted():
    rows = [row(1, 1, 0.5, True), row(2, 1, 0.2, False)]
    again = next_attempt(rows, SCHEDULE, patience=3)
    assert (again.round, again.attempt) == (2, 2)
    assert again.density == pytest.approx(math.sqrt(0.5 * 0.2))
    third = next_attempt([*rows, row(2, 2, again.density, False)], SCHEDULE, patience=3)
    assert third.density == pytest.approx(math.sqrt(0.5 * again.density))


def test_before_any_success_the_last_accepted_density_is_one():
    again = next_attempt([row(1, 1, 0.25, False)], SCHEDULE, patience=2)
    assert again.density == pytest.approx(0.5)


def test_patience_counts_failed_tries_in_a_row_over_rounds():
    failed = [row(1, 1, 0.5, True), row(2, 1, 0.2, False), row(2, 2, 0.3, False)]
    assert next_attempt(failed, SCHEDULE, patience=2) is None
    assert next_attempt(failed, SCHEDULE, patience=3) is not None
    recovered = [*failed, row(2, 3, 0.4, True), row(3, 1, 0.1, False)]
    assert next_attempt(recovered, SCHEDULE, patience=2).attempt == 2


def test_a_success_after_a_retry_goes_on_with_the_next_round():
    rows = [row(1, 1, 0.5, False), row(1, 2, 0.7, True)]
    following = next_attempt(rows, SCHEDULE, patience=2)
    assert (following.round, following.attempt, following.density) == (2, 1, pytest.approx(0.2))


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4))
def test_whatever_happens_the_spiral_ends_and_accepted_density_only_falls(outcomes, patience):
    rows: list[dict] = []
    for accepted in outcomes:
        attempt = next_attempt(rows, SCHEDULE, patience)
        if attempt is None:
            break
        assert attempt.density < accepted_density(rows)
        rows.append(row(attempt.round, attempt.attempt, attempt.density, accepted))
    assert len(rows) <= len(SCHEDULE) * patience
    densities = [one["target_density"] for one in rows if one["accepted"]]
    assert densities == sorted(densities, reverse=True)


def test_drop_is_positive_when_worse_whichever_way_the_metric_points():
    assert drop(0.95, 0.93, "max") == pytest.approx(0.02)
    assert drop(0.30, 0.35, "min") == pytest.approx(0.05)
    assert monitor_mode("loss", "auto") == "min"
    assert monitor_mode("accuracy", "auto") == "max"
    assert monitor_mode("accuracy", "min") == "min"


def test_a_drop_of_exactly_the_budget_is_allowed():
    assert within_budget(0.93 - 0.92, 0.01)  # 0.010000000000000009 in binary
    assert not within_budget(0.0101, 0.01)
