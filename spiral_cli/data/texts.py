"""From the recipe's `data` section to three parts of texts ready for training."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import numpy as np

from spiral_cli.data.labels import unseen
from spiral_cli.data.load import labelled, read_raw
from spiral_cli.data.raw import Arrays, column
from spiral_cli.data.repeats import repeats
from spiral_cli.data.splits import Dataset, Split
from spiral_cli.data.stream import Images
from spiral_cli.data.tokenizer import blank, learnt, numbers, strangers, vocabulary
from spiral_cli.data.tokens import TokenRows, padded
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data


def load_texts(settings: Data, seed: int) -> Dataset:
    """Read, check and split the texts of a recipe, and make rows of piece numbers of them.

    The vocabulary is learnt from the train part. Empty texts are left out, longer ones than
    ``data.tokens.max_length`` cut off; `Dataset.notes` counts both.

    Args:
        settings: the recipe's `data` section with absolute paths.
        seed: of every choice made here; the same seed gives the same bytes.

    Raises:
        MissingError: the data are missing or cannot be used.
        UsageError: the recipe asks for what the data cannot give.
    """
    raw, notes = read_raw(settings), []
    parts = {}
    for part, arrays in raw.parts().items():
        parts[part], empty = written(arrays, part)
        if empty:
            notes.append(f"{empty} of {len(arrays.y)} {part} texts are empty and left out")
    parts, labels = labelled(parts, raw.classes, settings, seed)
    notes += unseen({part: arrays.y for part, arrays in parts.items()}, labels.classes)
    texts = {part: np.asarray(arrays.x).tolist() for part, arrays in parts.items()}
    notes += repeats(texts)
    model = learnt(texts["train"], settings.tokens)
    pieces = {part: numbers(model, many) for part, many in texts.items()}
    notes += strangers(pieces, "texts", settings.tokens.kind)
    most = min(settings.tokens.max_length, max(len(one) for many in pieces.values() for one in many))
    for part, many in pieces.items():
        if longer := sum(len(one) > most for one in many):
            notes.append(f"{longer} of {len(many)} {part} texts have more than {most} pieces and are cut off there")
    told = TokenRows((most,), labels.classes, len(vocabulary(model)), base64.b64encode(model).decode())
    splits = {part: split(arrays, pieces[part], most) for part, arrays in parts.items()}
    return Dataset(**splits, labels=labels.kind, preprocessing=told, notes=(*raw.notes, *notes))


def written(arrays: Arrays, part: str) -> tuple[Arrays, int]:
    """Return the texts that are not `blank`, without white space around them, with weights; and how many were.

    Raises:
        MissingError: they are no texts, or texts and labels are not as many.
    """
    texts = stripped(arrays.x, part)
    if len(texts) != len(arrays.y):
        raise MissingError(
            f"data: {part} has {len(texts)} texts and {len(arrays.y)} labels; there must be one for each"
        )
    weight = np.ones(len(texts), np.float32) if arrays.weight is None else np.asarray(arrays.weight, np.float32)
    there = np.flatnonzero(~np.array(blank(texts)))
    if not len(there):
        raise MissingError(f"data: all {part} texts are empty")
    return replace(arrays, x=column(texts), weight=weight).take(there), len(texts) - len(there)


def stripped(x: Images, part: str) -> list[str]:
    """Return texts (n,) or (n, 1) without white space around them; bytes are UTF-8.

    Raises:
        MissingError: they are no texts.
    """
    array = np.asarray(x)
    values: list[Any] = array.reshape(len(array), -1)[:, 0].tolist() if array.size == len(array) > 0 else [None]
    try:
        texts = [value.decode() if isinstance(value, bytes) else value for value in values]
        return [text.strip() for text in texts]
    except (AttributeError, UnicodeDecodeError) as error:
        raise MissingError(
            f"data: {part} holds {array.dtype} of shape {array.shape} ({error}); allowed are texts (n,), in UTF-8"
        ) from error


def split(arrays: Arrays, pieces: list[list[int]], length: int) -> Split:
    """Return a part as rows."""
    rows, lengths = padded(pieces, length)
    assert arrays.weight is not None
    return Split(rows, arrays.y, arrays.weight, lengths=lengths)
