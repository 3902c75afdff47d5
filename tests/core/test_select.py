"""Choosing among accepted rows."""

from __future__ import annotations

import pytest

from spiral_cli.select import score, select

ROWS = [
    {"round": 1, "density": 0.5, "drop": -0.002, "accepted": True},
    {"round": 2, "density": 0.1, "drop": 0.001, "accepted": True},
    {"round": 3, "density": 0.05, "drop": 0.009, "accepted": True},
    {"round": 4, "density": 0.01, "drop": 0.05, "accepted": False},
]


@pytest.mark.parametrize(("rule", "number"), [("smallest", 3), ("best", 1), ("score", 2)])
def test_each_rule_takes_its_row_and_never_a_failed_one(rule, number):
    assert select(ROWS, rule, max_drop=0.01)["round"] == number


def test_nothing_accepted_gives_none():
    assert select(ROWS[3:], "smallest", 0.01) is None
    assert select([], "best", 0.01) is None


def test_ties_go_to_the_smaller_drop():
    tied = [
        {"round": 1, "density": 0.1, "drop": 0.01, "accepted": True},
        {"round": 2, "density": 0.1, "drop": 0.0, "accepted": True},
    ]
    assert select(tied, "smallest", 0.01)["round"] == 2


def test_score_by_hand():
    assert score(0.1, 0.005, 0.01) == pytest.approx(1.0 - 0.5)
    assert score(0.01, 0.0, 0.01) == pytest.approx(2.0)
