"""Arrays from a person's own function, named in a recipe as `package.module:function`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spiral_cli.builder import resolve
from spiral_cli.data.keys import raw_from_keys
from spiral_cli.data.raw import PARTS, Arrays, Raw
from spiral_cli.errors import MissingError


def call_data_builder(reference: str) -> Raw:
    """Call a data builder without arguments and return its arrays.

    It returns a mapping with the keys of an npz file (``x_train``, ``y_train``, …), or with the
    keys ``train``, ``validation`` and ``test``, each ``(x, y)``, ``(x, y, weight)`` or a
    `tf.data.Dataset` of these; ``classes`` may hold the class names.

    Raises:
        UsageError: the function cannot be found.
        MissingError: it fails, or what it returns is something else.
    """
    function = resolve(reference, "data.builder")
    try:
        built = function()
    except Exception as error:
        raise MissingError(f"data.builder: {reference}() failed ({type(error).__name__}: {error})") from error
    if not isinstance(built, Mapping):
        raise MissingError(
            f"data.builder: {reference}() returned {type(built).__name__}; "
            "allowed is a dict with x_train, y_train, … or with train, validation, test"
        )
    if not any(part in built for part in PARTS):
        return raw_from_keys(built, f"data.builder: {reference}()")
    stated = [part for part in PARTS if part in built]
    parts = {part: part_arrays(built[part], f"data.builder: {reference}()['{part}']") for part in stated}
    return Raw.of(parts, built.get("classes"))


def part_arrays(part: Any, source: str) -> Arrays:
    """Return (x, y), (x, y, weight) or a dataset of these as arrays.

    Raises:
        MissingError: it is something else.
    """
    if hasattr(part, "as_numpy_iterator"):
        return dataset_arrays(part, source)
    if not isinstance(part, tuple | list) or len(part) not in (2, 3):
        raise MissingError(
            f"{source} is {type(part).__name__}; allowed are (x, y), (x, y, weight) or a tf.data.Dataset"
        )
    return named([np.asarray(array) for array in part])


def dataset_arrays(dataset: Any, source: str) -> Arrays:
    """Read a finite `tf.data.Dataset` of (x, y) or (x, y, weight), in batches or one by one.

    Raises:
        MissingError: it repeats for ever, is empty, or holds something else.
    """
    if int(dataset.cardinality()) == -1:
        raise MissingError(f"{source} is a tf.data.Dataset without an end; drop repeat(), or take() some of it")
    elements = list(dataset.as_numpy_iterator())
    if not elements or not isinstance(elements[0], tuple) or len(elements[0]) not in (2, 3):
        raise MissingError(f"{source} is a tf.data.Dataset that is empty, or not of (x, y) or (x, y, weight)")
    x, y = np.asarray(elements[0][0]), np.asarray(elements[0][1])
    # (h, w) and (h, w, c) are single images; (n, h, w) and (n, h, w, c) with labels along n are batches.
    batched = y.ndim > 0 and (x.ndim == 4 or (x.ndim == 3 and x.shape[2] not in (1, 3)))
    join = np.concatenate if batched else np.stack
    try:
        return named([join(column) for column in zip(*elements, strict=True)])
    except ValueError as error:
        raise MissingError(f"{source} holds images or labels of different shapes ({error})") from error


def named(columns: Sequence[np.ndarray]) -> Arrays:
    """Return images, labels and, where there are three columns, weights."""
    return Arrays(columns[0], columns[1], columns[2] if len(columns) == 3 else None)
