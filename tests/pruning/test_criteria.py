"""Every criterion against an example worked by hand; schedules and pressures at their ends."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.errors import UsageError
from spiral_cli.pruning.criteria.lamp import lamp_scores
from spiral_cli.pruning.evidence import Evidence
from spiral_cli.pruning.pressure import pressure_course
from spiral_cli.pruning.schedules import retry_density, round_density, sparsities
from spiral_cli.recipe.prune import Schedule
from spiral_cli.registry import criteria, pressures, schedules

W = {"a": np.array([[-3.0, 1.0], [0.0, 2.0]])}


def test_magnitude():
    assert criteria.get("magnitude")(W, Evidence())["a"].tolist() == [[3, 1], [0, 2]]


def test_lamp():
    # squares downwards 9, 4, 1, 0 over running sums 9, 13, 14, 14
    expected = [[9 / 9, 1 / 14], [0.0, 4 / 13]]
    np.testing.assert_allclose(criteria.get("lamp")(W, Evidence())["a"], expected)


def test_lamp_is_blind_to_a_layers_scale_and_safe_for_zeros():
    rng = np.random.default_rng(0)
    w = rng.normal(size=(5, 7))
    np.testing.assert_allclose(lamp_scores(w), lamp_scores(1000 * w))
    assert lamp_scores(w).max() == 1.0
    assert not lamp_scores(np.zeros((3, 3))).any()


def test_taylor():
    evidence = Evidence(gradients={"a": np.array([[1.0, 5.0], [9.0, 0.5]])})
    assert criteria.get("taylor")(W, evidence)["a"].tolist() == [[3, 5], [0, 1]]


def test_fisher():
    evidence = Evidence(squared_gradients={"a": np.array([[2.0, 4.0], [9.0, 0.5]])})
    assert criteria.get("fisher")(W, evidence)["a"].tolist() == [[9, 2], [0, 1]]


def test_activation():
    evidence = Evidence(input_norms={"a": np.array([[2.0], [10.0]])})
    assert criteria.get("activation")(W, evidence)["a"].tolist() == [[6, 2], [0, 20]]


def test_random_depends_on_seed_and_name_only():
    random = criteria.get("random")
    both = {"a": np.ones((3, 3)), "b": np.ones((3, 3))}
    first = random(both, Evidence(seed=1))
    again = random(dict(reversed(both.items())), Evidence(seed=1))
    np.testing.assert_array_equal(first["a"], again["a"])
    assert (first["a"] != first["b"]).all()
    assert (first["a"] != random(both, Evidence(seed=2))["a"]).all()


@pytest.mark.parametrize("name", ["taylor", "fisher", "activation"])
def test_missing_evidence_is_named(name):
    with pytest.raises(UsageError, match="declare it"):
        criteria.get(name)(W, Evidence())
    assert criteria.part(name).facts["needs"]


def test_schedules_by_hand():
    assert schedules.get("one_shot")(0.9, 5) == (0.9,)
    np.testing.assert_allclose(schedules.get("linear")(0.9, 3), [0.3, 0.6, 0.9])
    np.testing.assert_allclose(schedules.get("geometric")(0.99, 2), [0.9, 0.99])
    np.testing.assert_allclose(schedules.get("cubic")(0.8, 2), [0.7, 0.8])


@given(st.sampled_from(["linear", "cubic", "geometric"]), st.floats(0.01, 0.999), st.integers(1, 20))
def test_schedules_rise_strictly_and_end_exactly(kind, final, rounds):
    values = sparsities(Schedule(kind=kind, final_sparsity=final, rounds=rounds))
    assert len(values) == rounds
    assert values[-1] == final
    assert all(a < b for a, b in pairwise((0.0, *values)))


def test_a_list_is_taken_as_it_stands():
    assert sparsities([0.5, 0.75]) == (0.5, 0.75)


@given(st.floats(0.01, 1.0), st.floats(0.001, 1.0))
def test_density_within_a_round_falls_to_its_end(start, factor):
    end = start * factor
    path = [round_density(start, end, step / 10) for step in range(11)]
    assert path[0] == pytest.approx(start)
    assert path[-1] == end
    assert all(a >= b - 1e-12 for a, b in pairwise(path))


def test_the_cubic_by_hand():
    assert round_density(1.0, 0.2, 0.5) == pytest.approx(0.2 + 0.8 / 8)


def test_a_retry_is_the_geometric_mean():
    assert retry_density(0.5, 0.02) == pytest.approx(0.1)


def penalty(name: str, w: np.ndarray) -> float:
    if name == "l1":
        return float(np.abs(w).sum())
    if name == "group_lasso":
        return float(np.sqrt((w**2).sum(axis=-1)).sum())
    return float(np.abs(w).sum() ** 2 / (w**2).sum())


@pytest.mark.parametrize("name", ["l1", "hoyer_square", "group_lasso"])
def test_pressures_point_along_their_penaltys_gradient(name):
    rng = np.random.default_rng(0)
    w = rng.normal(size=(4, 3))
    ours = np.asarray(pressures.get(name)(w.astype(np.float64)))
    step, numeric = 1e-6, np.zeros_like(w)
    for index in np.ndindex(w.shape):
        up, down = w.copy(), w.copy()
        up[index] += step
        down[index] -= step
        numeric[index] = (penalty(name, up) - penalty(name, down)) / (2 * step)
    if name == "hoyer_square":  # scaled by q / 2s, as its docstring says
        numeric *= (w**2).sum() / (2 * np.abs(w).sum())
    np.testing.assert_allclose(ours, numeric, atol=1e-5)


@pytest.mark.parametrize("name", ["l1", "hoyer_square", "group_lasso"])
def test_pressures_leave_zeros_alone(name):
    assert not np.asarray(pressures.get(name)(np.zeros((3, 4), np.float32))).any()


@pytest.mark.parametrize("name", ["l1", "hoyer_square", "group_lasso"])
def test_pressures_stay_finite_beside_dead_rows(name):
    w = np.array([[0.0, 0.0], [1e-20, -1e-20], [0.5, -2.0]], np.float32)
    push = np.asarray(pressures.get(name)(w))
    assert np.isfinite(push).all()
    assert not push[0].any()


def test_hoyer_pushes_small_weights_as_l1_does_and_spares_large_ones():
    w = np.array([[1e-6, 1.0, 1.0, 4.0]])  # s = 6, q = 18
    np.testing.assert_allclose(np.asarray(pressures.get("hoyer_square")(w))[0], [1, 2 / 3, 2 / 3, -1 / 3], atol=1e-5)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_pressure_is_a_factor_and_over_when_the_cut_is(progress, cut):
    strength = pressure_course(progress, cut)
    assert 0.0 <= strength <= 1.0
    if progress >= cut:
        assert strength == 0.0


@given(st.floats(0.05, 1.0))
def test_pressure_builds_up_before_the_cut_ends(cut):
    course = [pressure_course(cut * step / 100, cut) for step in range(100)]
    assert course[0] == 0.0
    assert course[-1] == 1.0
    assert all(a <= b for a, b in pairwise(course))
