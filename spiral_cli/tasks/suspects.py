"""Why a teacher guesses: try other readings of the same images and say which would work."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from spiral_cli.data.pixels import RANGES, Pixels

CLEARLY_BETTER = 0.2  # of accuracy; anything less could be luck
Predict = Callable[[np.ndarray], np.ndarray]


def suspects(predict: Predict, x: np.ndarray, y: np.ndarray, preprocessing: Pixels) -> list[str]:
    """Return sentences on what would make the teacher right, the best first; empty if nothing tried does.

    Args:
        predict: model inputs (n, height, width, channels) to class indices (n,).
        x: stored images (n, height, width, channels).
        y: class indices (n,).
        preprocessing: how ``x`` becomes the model's input today.
    """
    inputs = x.astype(np.float32) * preprocessing.factor + preprocessing.offset
    base = float(np.mean(predict(inputs) == y))
    classes = len(preprocessing.classes)
    found = [(permuted_accuracy(predict(inputs), y, classes), "another class order in data.classes")]
    for sentence, other in readings(inputs, preprocessing.scale):
        decided = predict(other)
        found.append((float(np.mean(decided == y)), sentence))
        found.append((permuted_accuracy(decided, y, classes), f"another class order{_joined(sentence)}"))
    # The best of many renamings looks good by luck alone: a true one makes the teacher a good one.
    least = max(base + CLEARLY_BETTER, (1.0 + 1.0 / classes) / 2.0)
    # Of nearly equal ones the first is best: what changes two things at once stands later.
    good = sorted((one for one in found if one[0] > least), key=lambda one: -round(one[0], 2))
    return [f"with {sentence} its accuracy would be {accuracy:.3f}" for accuracy, sentence in good[:2]]


def readings(inputs: np.ndarray, scale: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield other scales and channel orders of ``inputs``, each with what the recipe would say."""
    low, high = RANGES[scale]
    unit = (inputs - low) / (high - low)
    for name, (other_low, other_high) in RANGES.items():
        if name != scale:
            yield f"data.scale: {name}", unit * (other_high - other_low) + other_low
    yield "dark and light exchanged", (1.0 - unit) * (high - low) + low
    if inputs.shape[-1] == 3:
        yield "channels as blue, green, red", inputs[..., ::-1]


def permuted_accuracy(decided: np.ndarray, y: np.ndarray, classes: int) -> float:
    """Return the accuracy under the best one-to-one renaming of the decided classes (Kuhn 1955)."""
    from scipy.optimize import linear_sum_assignment

    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (decided, y), 1)
    rows, columns = linear_sum_assignment(-confusion)
    return float(confusion[rows, columns].sum() / max(len(y), 1))


def _joined(sentence: str) -> str:
    return f" in data.classes and {sentence}"
