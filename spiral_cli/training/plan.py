"""What an epoch visits and at which rate: pure functions of (seed, stage, epoch)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WINDOW = 16  # batches whose examples are put in order of length


def epoch_rows(
    count: int,
    batch_size: int,
    key: Sequence[int],
    epoch: int,
    views: int = 1,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the order of one epoch.

    Args:
        count: training examples; each is visited exactly once.
        batch_size: examples a step.
        key: integers that name the stage, the seed first.
        epoch: counted from 0.
        views: augmented copies of each example, stored one after the other as ``view * count +
            example``; every visit draws one of them.
        lengths: (count,) of the examples, or (views · count,), where they differ: those of a batch are then of
            like length.

    Returns:
        rows of shape (steps, batch) int32, and valid of the same shape float32: 1 for an example
        of the epoch, 0 for what fills up the last batch (and must not count in the loss).
    """
    rng = np.random.default_rng([*key, epoch])
    order = rng.permutation(count)
    if views > 1:
        order = order + count * rng.integers(views, size=count)
    batch_size = min(batch_size, count)
    if lengths is not None:
        order = alike(order, lengths[order % len(lengths)], batch_size, rng)
    steps = -(-count // batch_size)
    rows = np.resize(order, steps * batch_size)
    valid = np.arange(rows.size) < count
    return rows.reshape(steps, batch_size).astype(np.int32), valid.reshape(steps, batch_size).astype(np.float32)


def alike(order: np.ndarray, lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``order`` (n,) so that a batch holds examples of like ``lengths`` (n,), which are in that order too.

    Within windows of `WINDOW` batches examples are sorted by length; then the batches are shuffled, except
    for the last, which may not be full. So the padding is short, and still every epoch is another one.
    """
    starts = range(0, len(order), WINDOW * batch_size)
    windows = [slice(start, start + WINDOW * batch_size) for start in starts]
    ordered = np.concatenate([order[here][np.argsort(lengths[here], kind="stable")] for here in windows])
    whole = len(ordered) // batch_size * batch_size
    batches = ordered[:whole].reshape(-1, batch_size)
    return np.concatenate([batches[rng.permutation(len(batches))].ravel(), ordered[whole:]])


def average_gains(steps: int, part: float) -> np.ndarray:
    """Return gains that make a running average the plain mean over the last ``part`` of the steps.

    The gain of the k-th step of that part is 1/k (tail averaging, Jain et al. 2018); it is 0 before.

    Returns:
        (steps,) float32.
    """
    tail = round(part * steps)
    return np.concatenate([np.zeros(steps - tail), 1.0 / np.arange(1, tail + 1)]).astype(np.float32)


def stage_seed(key: Sequence[int]) -> int:
    """Return a seed for the random generators of the stage that ``key`` names."""
    return int(np.random.SeedSequence(list(key)).generate_state(1)[0] >> 1)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Return the number of steps in which every example is visited once."""
    return -(-count // min(batch_size, count))


def learning_rates(kind: str, peak: float, steps: int) -> np.ndarray:
    """Return the learning rate of every step of one round; it starts over in the next.

    ``cosine`` falls from ``peak`` to 0 (Loshchilov and Hutter 2017). ``one_cycle`` rises from a
    25th of it over the first 30 % of the steps, then falls along a cosine (Smith 2018).

    Returns:
        (steps,) float32, the last close to zero.
    """
    rising = round(0.3 * steps) if kind == "one_cycle" else 0
    up = peak * (0.04 + 0.96 * 0.5 * (1 - np.cos(np.pi * np.arange(rising) / max(rising, 1))))
    falling = steps - rising
    down = peak * 0.5 * (1 + np.cos(np.pi * np.arange(falling) / falling))
    return np.concatenate([up, down]).astype(np.float32)
