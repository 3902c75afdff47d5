"""How labels are written, which classes they name, and what each class weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spiral_cli.errors import MissingError, UsageError, did_you_mean


@dataclass(frozen=True)
class Labels:
    """The labels of all parts, written alike.

    Attributes:
        kind: ``sparse``, ``one_hot``, ``binary`` or ``multi_label``.
        classes: names in the order of the model's outputs.
        y: by part, (n,) int64 for sparse and binary, (n, classes) float32 otherwise.
    """

    kind: str
    classes: tuple[str, ...]
    y: Mapping[str, np.ndarray]


def read_labels(
    parts: Mapping[str, np.ndarray], stated: str, own: Sequence[str] | None, wanted: Sequence[str] | None
) -> Labels:
    """Bring the labels of all parts into one form.

    Args:
        parts: by part, class names or indices (n,) or (n, 1), or zeros and ones (n, classes).
        stated: the recipe's `data.labels`.
        own: the set's class names, in the order of its indices.
        wanted: the recipe's `data.classes`, in the order of the model's outputs.

    Raises:
        MissingError: labels that are not of the stated form, out of range, or of an unknown class.
        UsageError: `data.classes` does not fit the set's classes.
    """
    flat = {part: y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y for part, y in parts.items()}
    ranks = {y.ndim for y in flat.values()}
    if not ranks <= {1, 2} or len(ranks) != 1:
        shapes = ", ".join(f"{part} {y.shape}" for part, y in parts.items())
        raise MissingError(
            f"data: labels have the shapes {shapes}; allowed are (n,) or (n, classes), alike in every part"
        )
    if own is not None and wanted is not None and sorted(own) != sorted(wanted):
        raise UsageError(
            f"data.classes is {', '.join(wanted)}, but the set's classes are {', '.join(own)}; "
            "name these, in the order of the model's outputs"
        )
    if ranks == {2}:
        return read_rows(flat, stated, own, wanted)
    return read_indices(flat, stated, own, wanted)


def read_indices(
    parts: Mapping[str, np.ndarray], stated: str, own: Sequence[str] | None, wanted: Sequence[str] | None
) -> Labels:
    """Read labels (n,) of names or indices; see `read_labels`."""
    if stated in ("one_hot", "multi_label"):
        raise MissingError(f"data.labels is {stated}, written as (n, classes), but the labels have the shape (n,)")
    if any(y.dtype.kind in "US" for y in parts.values()):
        parts = {part: as_text(y, part) for part, y in parts.items()}
        own = wanted or own or sorted(set().union(*(set(y.tolist()) for y in parts.values())))
        indices = {part: named_indices(y, own, part) for part, y in parts.items()}
    else:
        indices = {part: whole_numbers(y, part) for part, y in parts.items()}
    counted = [indices["train"]] if "train" in indices else list(indices.values())
    highest = max(int(y.max()) for y in counted)
    named = wanted or own
    check_several(named or np.unique(np.concatenate(list(indices.values()))).astype(str).tolist())
    count = 2 if stated == "binary" else max(len(named) if named else highest + 1, 2)
    if named and len(named) != count:
        raise UsageError(f"data.labels is binary, which has 2 classes, but there are {', '.join(named)}")
    for part, y in indices.items():
        check_range(y, count, part)
    if not named and "train" in indices:
        check_empty(np.bincount(indices["train"], minlength=count))
    order = class_order(own, wanted)
    ordered = indices if order is None else {part: np.argsort(order)[index] for part, index in indices.items()}
    kind = "binary" if stated == "binary" else "sparse"
    return Labels(kind, tuple(named or map(str, range(count))), ordered)


def read_rows(
    parts: Mapping[str, np.ndarray], stated: str, own: Sequence[str] | None, wanted: Sequence[str] | None
) -> Labels:
    """Read labels (n, classes) of zeros and ones; see `read_labels`."""
    if stated in ("sparse", "binary"):
        raise MissingError(
            f"data.labels is {stated}, written as (n,), but the labels have the shape (n, classes); "
            "say one_hot or multi_label"
        )
    for part, y in parts.items():
        if y.dtype.kind not in "biuf" or not np.isin(y, (0, 1)).all():
            raise MissingError(f"data: {part} labels of shape {y.shape} hold other values than 0 and 1")
    named = wanted or own
    widths = {y.shape[1] for y in parts.values()}
    if len(widths) != 1 or (named and widths != {len(named)}):
        known = f", and {len(named)} classes are named" if named else ""
        raise MissingError(f"data: labels are {' and '.join(map(str, sorted(widths)))} wide{known}; they must agree")
    single = all((y.sum(axis=1) == 1).all() for y in parts.values())
    if stated == "one_hot" and not single:
        raise MissingError("data.labels is one_hot, but some rows do not hold exactly one 1; is multi_label meant?")
    if not named and "train" in parts:
        check_empty(parts["train"].sum(axis=0))
    kind = ("one_hot" if single else "multi_label") if stated == "auto" else stated
    order = class_order(own, wanted)
    ordered = {part: (rows if order is None else rows[:, order]).astype(np.float32) for part, rows in parts.items()}
    return Labels(kind, tuple(named or map(str, range(widths.pop()))), ordered)


def named_indices(y: np.ndarray, classes: Sequence[str], part: str) -> np.ndarray:
    """Return the index (n,) of each class name (n,) in ``classes``."""
    position = {name: index for index, name in enumerate(classes)}
    for name in np.unique(y).tolist():
        if name not in position:
            near = did_you_mean(name, list(classes))
            raise MissingError(f"data: {part} holds the class '{name}'; there are {', '.join(classes)}{near}")
    return np.array([position[name] for name in y.tolist()], np.int64)


def as_text(y: np.ndarray, part: str) -> np.ndarray:
    """Return labels (n,) as text; bytes are UTF-8."""
    try:
        return np.char.decode(y, "utf-8") if y.dtype.kind == "S" else y.astype(str)
    except UnicodeDecodeError as error:
        raise MissingError(f"data: {part} labels are bytes, but no UTF-8 text ({error}); write text") from error


def whole_numbers(y: np.ndarray, part: str) -> np.ndarray:
    """Return class indices (n,) as int64, from any number type that holds whole numbers."""
    if y.dtype.kind not in "biuf" or not np.array_equal(y, np.rint(y)):
        raise MissingError(f"data: {part} labels of type {y.dtype} are no class indices; allowed are 0, 1, 2, …")
    return y.astype(np.int64)


def check_several(classes: Sequence[str]) -> None:
    """Refuse a single class, of which there is nothing to tell apart."""
    if len(classes) == 1:
        raise MissingError(
            f"data: there is only one class, '{classes[0]}', so there is nothing to tell apart; at least two are "
            "needed: add examples of another"
        )


def check_range(y: np.ndarray, count: int, part: str) -> None:
    """Refuse indices (n,) below 0 or not below ``count``."""
    if y.min() < 0 or y.max() >= count:
        raise MissingError(
            f"data: {part} labels run from {y.min()} to {y.max()}; {count} classes have 0 to {count - 1}"
        )


def check_empty(counts: np.ndarray) -> None:
    """Refuse classes without a name and without a training example (classes,): a gap in the numbering."""
    if (counts == 0).any():
        empty, highest = np.flatnonzero(counts == 0), len(counts) - 1
        shown = ", ".join(map(str, empty[:5])) + (", …" if len(empty) > 5 else "")
        raise MissingError(
            f"data: no training example has the label {shown}, but {int(counts[highest])} the label {highest}; labels "
            "count from 0 without a gap: mend what is out of range, or name every class in data.classes"
        )


def class_order(own: Sequence[str] | None, wanted: Sequence[str] | None) -> np.ndarray | None:
    """Return for each wanted class its index in the set, (classes,), or None where nothing moves."""
    if own is None or wanted is None or list(own) == list(wanted):
        return None
    return np.array([list(own).index(name) for name in wanted], np.int64)


def class_weights(labels: Labels, y: np.ndarray, stated: str | Mapping[str, float] | None) -> np.ndarray:
    """Return the weight (n,) float32 that each example of ``y`` has for its class.

    ``balanced`` is n / (classes * examples of the class), as scikit-learn has it, so that their
    mean is 1; a mapping names classes, and those it leaves out weigh 1.

    Raises:
        UsageError: an unknown class, or multi-label rows, which have no single class.
    """
    if stated is None:
        return np.ones(len(y), np.float32)
    if labels.kind == "multi_label":
        raise UsageError("data.class_weights needs one class an example, but labels are multi_label; weigh samples")
    index = y.argmax(axis=1) if y.ndim == 2 else y
    if isinstance(stated, str):
        counts = np.bincount(index, minlength=len(labels.classes))
        weights = len(index) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    else:
        for name in stated:
            if name not in labels.classes:
                near = did_you_mean(name, labels.classes)
                known = ", ".join(labels.classes)
                raise UsageError(f"data.class_weights: no class is named '{name}'; there are {known}{near}")
        weights = np.array([stated.get(name, 1.0) for name in labels.classes])
    return weights[index].astype(np.float32)


def unseen(y: Mapping[str, np.ndarray], classes: Sequence[str]) -> list[str]:
    """Return a note for each class that train has no example of: a model cannot learn it.

    Args:
        y: by part class indices (n,); of rows of labels nothing is said.
        classes: names in the order of the indices.
    """
    if y["train"].ndim != 1:
        return []
    counts = {part: np.bincount(labels, minlength=len(classes)) for part, labels in y.items()}
    return [
        f"the class '{name}' has no example in train, and {counts['validation'][index]} in validation, "
        f"{counts['test'][index]} in test, that no model can get right"
        for index, name in enumerate(classes)
        if not counts["train"][index]
    ]
