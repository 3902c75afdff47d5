"""Which way a metric is better, by its name."""

LOWER = ("loss", "wer", "cer")  # losses and error rates


def lower_is_better(metric: str) -> bool:
    """Say whether a smaller value of a metric is the better one."""
    return metric.endswith(LOWER)
