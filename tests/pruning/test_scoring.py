"""A criterion may be anybody's: what it answers is checked."""

from __future__ import annotations

import numpy as np
import pytest

from spiral_cli import registry
from spiral_cli.errors import SpiralError
from spiral_cli.pruning.evidence import Evidence
from spiral_cli.pruning.scoring import score

WEIGHTS = {"a/kernel": np.ones((3, 2)), "b/kernel": np.ones(4)}


def broken(weights, evidence):
    return weights.no_such_thing


def reading_what_was_not_collected(weights, evidence):
    return evidence.need("gradients")


@pytest.fixture
def named(monkeypatch):
    """Return a function that registers a criterion for this test alone."""

    def register(criterion):
        monkeypatch.setattr(registry.criteria, "_objects", dict(registry.criteria._objects))
        monkeypatch.setattr(registry.criteria, "_plugins", dict(registry.criteria._plugins))
        registry.criteria.register("of_a_person")(criterion)
        return "of_a_person"

    return register


def test_scores_come_back_in_the_order_of_the_weights(named):
    name = named(
        lambda weights, evidence: {n: [[1, 2]] * 3 if n[0] == "a" else np.arange(4) for n in ["b/kernel", "a/kernel"]}
    )
    found = score(name, WEIGHTS, Evidence())
    assert list(found) == list(WEIGHTS)
    assert found["a/kernel"].shape == (3, 2)


@pytest.mark.parametrize(
    ("criterion", "said"),
    [
        (broken, r"'of_a_person' failed with AttributeError: .*no_such_thing"),
        (lambda weights, evidence: [1], r"gave list; needed: a dict"),
        (lambda weights, evidence: {"a/kernel": np.ones((3, 2))}, r"gave no scores for b/kernel"),
        (
            lambda weights, evidence: {name: w[:1] for name, w in weights.items()},
            r"scores of shape \(1, 2\) for 'a/kernel'; needed: one real number a weight, \(3, 2\)",
        ),
        (lambda weights, evidence: {name: w * 1j for name, w in weights.items()}, r"gave complex128 scores"),
        (reading_what_was_not_collected, r"declare it: @criteria.register"),
    ],
)
def test_what_a_criterion_gets_wrong_is_said_with_its_name(named, criterion, said):
    with pytest.raises(SpiralError, match=said):
        score(named(criterion), WEIGHTS, Evidence())
