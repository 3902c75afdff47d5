"""How far chance alone may move an accuracy and its drop. Numbers in, numbers out."""

from __future__ import annotations

import math

from scipy.stats import binomtest, norm

LEVEL = 0.95  # of every interval
Z = float(norm.ppf((1 + LEVEL) / 2))


def paired_interval(examples: int, only_teacher: int, only_student: int) -> tuple[float, float]:
    """Return the interval of the drop of accuracy where both models decided the same examples.

    The adjusted Wald interval of Bonett and Price (2012): one example more on either side.

    Args:
        examples: how many both decided.
        only_teacher, only_student: those that one of them alone had right.
    """
    lost, won = (only_teacher + 1) / (examples + 2), (only_student + 1) / (examples + 2)
    margin = Z * math.sqrt((lost + won - (lost - won) ** 2) / (examples + 2))
    return lost - won - margin, lost - won + margin


def separate_interval(examples: int, teacher: float, student: float) -> tuple[float, float]:
    """Return the interval of the drop where only both accuracies are known, as if of different examples.

    Wilson's intervals combined (Newcombe 1998, method 10); pairing would make it narrower.
    """
    (low_t, high_t), (low_s, high_s) = wilson(examples, teacher), wilson(examples, student)
    lost = teacher - student
    below, above = math.hypot(teacher - low_t, high_s - student), math.hypot(high_t - teacher, student - low_s)
    return lost - below, lost + above


def wilson(examples: int, accuracy: float) -> tuple[float, float]:
    """Return Wilson's interval of an accuracy (1927)."""
    found = binomtest(round(accuracy * examples), examples).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def paired_error(examples: int, only_teacher: int, only_student: int) -> float:
    """Return the standard error of the drop where both models decided the same examples."""
    differ, lost = only_teacher + only_student, only_teacher - only_student
    return math.sqrt(differ - lost**2 / examples) / examples


def separate_error(examples: int, teacher: float, student: float) -> float:
    """Return the standard error of the drop where only both accuracies are known."""
    return math.sqrt((teacher * (1 - teacher) + student * (1 - student)) / examples)


def examples_needed(examples: int, width: float, wanted: float) -> int | None:
    """Return how many examples would narrow an interval to ``wanted``: width goes with 1/√n. None for no width."""
    return math.ceil(examples * (width / wanted) ** 2) if wanted > 0 else None
