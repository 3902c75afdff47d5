"""Which way a metric is better and what a point of it is, by its name."""

from typing import Any

LOWER = ("loss", "wer", "cer")  # losses and error rates
TO_HUNDRED = ("bleu", "chrf")  # scores that go to 100, as their field writes them; all else goes to 1


def lower_is_better(metric: str) -> bool:
    """Say whether a smaller value of a metric is the better one."""
    return metric.endswith(LOWER)


def a_point(metric: Any) -> float:
    """Return a hundredth of what a metric's values go to; of what is no metric, too."""
    return 1.0 if isinstance(metric, str) and metric.endswith(TO_HUNDRED) else 0.01
