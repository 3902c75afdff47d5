"""From the recipe's `data` section to three parts of sentences and translations ready for training."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import chain

import numpy as np

from spiral_cli.data.load import divided, read_raw
from spiral_cli.data.pairs import PairRows
from spiral_cli.data.raw import Arrays
from spiral_cli.data.repeats import repeats
from spiral_cli.data.splits import Dataset, Split
from spiral_cli.data.texts import stripped
from spiral_cli.data.tokenizer import PAD, blank, learnt, numbers, spelled, strangers, vocabulary
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data


def load_pairs(settings: Data, seed: int) -> Dataset:
    """Read, check and split the sentence pairs of a recipe, and make rows of piece numbers of them.

    One vocabulary for both languages is learnt from the train part. Pairs of which one side is empty
    are left out, and training pairs longer than ``data.tokens.max_length`` are too; in other parts
    a source is cut off and a reference kept whole. `Dataset.notes` counts all of it. A training pair
    weighs as many pieces as its translation has, so that every piece counts alike.

    References stay as they are written, as BLEU is compared between systems; those that the vocabulary would write
    otherwise are counted.

    Args:
        settings: the recipe's `data` section with absolute paths.
        seed: of every choice made here; the same seed gives the same bytes.

    Raises:
        MissingError: the data are missing or cannot be used.
        UsageError: ``data.tokens.vocabulary`` is too small for them.
    """
    raw, notes, pairs = read_raw(settings), [], {}
    for part, arrays in raw.parts().items():
        pairs[part] = written(arrays, part)
        if empty := len(arrays.y) - len(pairs[part].y):
            notes.append(f"{empty} of {len(arrays.y)} {part} pairs have an empty side and are left out")
    pairs = divided(pairs, settings, seed)
    texts = {part: np.asarray(arrays.x).T.tolist() for part, arrays in pairs.items()}
    notes += repeats({part: [*zip(*sides, strict=True)] for part, sides in texts.items()})
    model = learnt(chain(*texts["train"]), settings.tokens, translation=True)
    said = {part: [numbers(model, side) for side in sides] for part, sides in texts.items()}
    most = settings.tokens.max_length
    lengths = np.array([max(map(len, both)) for both in zip(*said["train"], strict=True)])
    long = lengths >= most
    if long.all():
        raise MissingError(
            f"data: all {len(long)} train pairs have {most} pieces or more, {lengths.min()} to {lengths.max()}, and "
            f"would be left out; raise data.tokens.max_length above {lengths.min()}"
        )
    if long.any():
        notes.append(f"{long.sum()} of {len(long)} train pairs have {most} pieces or more and are left out")
        said["train"] = [[one for one, left in zip(side, long, strict=True) if not left] for side in said["train"]]
    for side, what in enumerate(("sentences", "translations")):
        notes += strangers({part: sides[side] for part, sides in said.items()}, what, settings.tokens.kind)
    notes += [
        f"{cut} of {len(said[part][0])} {part} sentences have {most} pieces or more and are cut off"
        for part in ("validation", "test")
        if (cut := sum(len(one) >= most for one in said[part][0]))
    ]
    notes += [
        f"{other} of {len(texts[part][1])} {part} translations are written as no model can say, for data.tokens.lower "
        "makes everything small and alike: BLEU and chrF are against them as they are"
        for part in ("validation", "test")
        if (other := rewritten(model, texts[part][1]))
    ]
    sides = [min(most, 1 + max(len(one) for one in chain(*(said[part][side] for part in said)))) for side in (0, 1)]
    columns = settings.columns
    told = PairRows(
        lengths=(sides[0], sides[1]),
        vocabulary=len(vocabulary(model)),
        tokenizer=base64.b64encode(model).decode(),
        source=columns.get("source", "source"),
        target=columns.get("target", "target"),
    )
    splits = {part: split(told, said[part], None if part == "train" else tuple(texts[part][1])) for part in said}
    return Dataset(**splits, labels="pieces", preprocessing=told, notes=(*raw.notes, *notes))


def rewritten(model: bytes, texts: Sequence[str]) -> int:
    """Return how many texts the vocabulary writes otherwise, white space and characters it has not set aside."""
    return sum(one.split() != other.split() for one, other in zip(spelled(model, texts), texts, strict=True))


def written(arrays: Arrays, part: str) -> Arrays:
    """Return the pairs (n, 2) of which no side is `blank`, as one group for drawing parts.

    Raises:
        MissingError: they are no texts, not as many on both sides, or all empty.
    """
    source, target = stripped(arrays.x, part), stripped(arrays.y, part)
    if len(source) != len(target):
        raise MissingError(
            f"data: {part} has {len(source)} sentences and {len(target)} translations; there must be one for each"
        )
    there = np.flatnonzero(~np.array([blank(source), blank(target)]).any(axis=0))
    if not len(there):
        raise MissingError(f"data: of all {part} pairs one side is empty")
    return Arrays(np.array([source, target], object).T[there], np.zeros(len(there), np.int64))


def retold(told: PairRows, part: Split, texts: Sequence[str]) -> Split:
    """Return a part whose sentences are to be translated as ``texts`` (n,)."""
    sources = [row[row != PAD][:-1].tolist() for row in np.asarray(part.x)[:, : told.lengths[0]]]
    return split(told, [sources, told.pieces(texts)], None)


def split(told: PairRows, said: list[list[list[int]]], references: tuple[str, ...] | None) -> Split:
    """Return a part as rows, with the references it is measured against; of train the weights are pieces."""
    sources, targets = said
    cut = [one[: told.lengths[1] - 1] for one in targets]
    x, y = told.rows_of(sources, cut), told.labels(cut)
    lengths = np.stack([np.count_nonzero(side, axis=1) for side in (x[:, : told.lengths[0]], y)], axis=1)
    counts = lengths[:, 1].astype(np.float32)
    weight = counts / counts.mean() if references is None else np.ones(len(x), np.float32)
    return Split(x, y, weight, lengths=lengths.astype(np.int32), references=references)
