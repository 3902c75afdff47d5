"""Intervals by numbers from the literature, by simulation, and by what must hold of all of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.report.intervals import (
    examples_needed,
    paired_error,
    paired_interval,
    separate_error,
    separate_interval,
    wilson,
)


def test_wilson_by_the_textbook():
    # Newcombe 1998 (Statistics in Medicine 17, 857), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for found, expected in (
        (wilson(263, 81 / 263), (0.2553, 0.3662)),
        (wilson(148, 15 / 148), (0.0624, 0.1605)),
        (wilson(20, 0.0), (0.0, 0.1611)),
        (wilson(29, 1 / 29), (0.0061, 0.1718)),
    ):
        assert found == pytest.approx(expected, abs=5e-5)


def test_the_difference_of_separate_ones_by_hand():
    # Newcombe 1998 (Statistics in Medicine 17, 873), method 10: the distances of Wilson's ends, squared and added.
    (low_t, high_t), (low_s, high_s) = wilson(70, 56 / 70), wilson(70, 42 / 70)
    low, high = separate_interval(70, 0.8, 0.6)
    assert low == pytest.approx(0.2 - math.sqrt((0.8 - low_t) ** 2 + (high_s - 0.6) ** 2))
    assert high == pytest.approx(0.2 + math.sqrt((high_t - 0.8) ** 2 + (0.6 - low_s) ** 2))


def test_the_paired_one_by_hand():
    # p12 = 7/102, p21 = 3/102; 1.959964 * sqrt((10/102 - (4/102)^2) / 102)
    low, high = paired_interval(100, 6, 2)
    assert (low + high) / 2 == pytest.approx(4 / 102)
    assert (high - low) / 2 == pytest.approx(1.959964 * math.sqrt((10 / 102 - (4 / 102) ** 2) / 102), rel=1e-6)


def test_the_paired_one_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    lost, won, examples = 0.03, 0.015, 400
    counts = rng.multinomial(examples, [lost, won, 1 - lost - won], 4000)
    held = [low <= lost - won <= high for low, high in (paired_interval(examples, a, b) for a, b, _ in counts)]
    assert 0.94 <= np.mean(held) <= 0.97


@given(examples=st.integers(2, 100_000), data=st.data())
def test_intervals_hold_the_drop_and_pairing_narrows_them(examples, data):
    only_teacher = data.draw(st.integers(0, examples))
    only_student = data.draw(st.integers(0, examples - only_teacher))
    both = data.draw(st.integers(0, examples - only_teacher - only_student))
    lost = (only_teacher - only_student) / examples
    teacher, student = (both + only_teacher) / examples, (both + only_student) / examples
    low, high = separate_interval(examples, teacher, student)
    assert -1 - 1e-9 <= low <= lost + 1e-12 and lost - 1e-12 <= high <= 1 + 1e-9
    low, high = paired_interval(examples, only_teacher, only_student)
    assert low < lost * examples / (examples + 2) + 1e-12 < high + 2e-12
    # Two models that agree more than by chance are known better together than apart.
    agree = both / examples - teacher * student
    errors = paired_error(examples, only_teacher, only_student), separate_error(examples, teacher, student)
    assert errors[0] == pytest.approx(math.sqrt(max(errors[1] ** 2 - 2 * agree / examples, 0)), abs=1e-7)


@given(examples=st.integers(50, 10_000), wanted=st.floats(0.001, 0.1))
def test_as_many_examples_as_are_needed_are_enough_but_few_less_are_not(examples, wanted):
    only_teacher, only_student = examples // 10, examples // 20
    low, high = paired_interval(examples, only_teacher, only_student)
    needed = examples_needed(examples, high - low, wanted)
    assert needed is not None
    factor = needed / examples
    low, high = paired_interval(needed, round(only_teacher * factor), round(only_student * factor))
    assert high - low == pytest.approx(wanted, rel=0.1)


def test_no_number_of_examples_gives_an_interval_of_no_width():
    assert examples_needed(100, 0.1, 0.0) is None
