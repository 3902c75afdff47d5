"""From the recipe's `data` section to three parts of utterances with transcripts, ready for training."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spiral_cli.data.audio_files import Found, faster, read_blocks
from spiral_cli.data.bands import measured
from spiral_cli.data.frames import Frames, filled
from spiral_cli.data.load import read_raw, validation_fraction
from spiral_cli.data.log_mel import log_mels
from spiral_cli.data.raw import Arrays
from spiral_cli.data.splits import TEST_FRACTION, Dataset, Split
from spiral_cli.data.stratify import generator
from spiral_cli.data.tokenizer import UNKNOWN, learnt, numbers, pieceless, spelled, vocabulary
from spiral_cli.data.tokens import padded
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.recipe.data import Audio, Data, Tokens


@dataclass(frozen=True)
class Utterance:
    """A recording: its file, and who speaks; empty where nobody knows."""

    file: str
    speaker: str


@dataclass(frozen=True)
class Heard:
    """Utterances of one part: what is said, who speaks, spectrograms (frames, mels) at every speed, and files."""

    texts: list[str]
    speakers: list[str]
    spectra: list[tuple[np.ndarray, ...]]
    files: list[str]

    def take(self, index: np.ndarray) -> Heard:
        """Return the utterances at ``index`` (k,)."""
        rows = index.tolist()
        return Heard(
            [self.texts[row] for row in rows],
            [self.speakers[row] for row in rows],
            [self.spectra[row] for row in rows],
            [self.files[row] for row in rows],
        )


@dataclass(frozen=True, kw_only=True)
class Utterances(Split):
    """One part of a set of utterances.

    Attributes:
        files: (n,) where each lies.
        views: (speeds · n, frames, mels), rows at every speed, one speed after the other, its own first.
        view_lengths: (speeds · n, 1) int32, frames of each that are not padding.
    """

    files: tuple[str, ...]
    views: np.ndarray
    view_lengths: np.ndarray


def load_speech(settings: Data, seed: int) -> Dataset:
    """Read, check and split the utterances of a recipe, and make frames and pieces of transcripts of them.

    All are decoded here, so that nothing fails later. Utterances without sound or transcript are left out, and of
    train those longer than ``data.audio.longest``; `Dataset.notes` counts them, and what is resampled or mixed down.
    Transcripts are compared as their pieces spell them, so that a model can say them.
    Validation and test are carved from train by speaker where there are several. A training utterance weighs as
    many pieces as its transcript has.

    Args:
        settings: the recipe's `data` section with absolute paths.
        seed: of every choice made here; the same seed gives the same bytes.

    Raises:
        MissingError: the data are missing or cannot be used.
        UsageError: ``data.subset`` or ``data.tokens.vocabulary`` do not fit them.
    """
    raw = read_raw(settings)
    notes, parts = list(raw.notes), {}
    for part, arrays in raw.parts().items():
        parts[part], told = heard(arrays, part, settings.audio, settings.tokens)
        notes += told
    parts = completed(parts, validation_fraction(settings), seed)
    if settings.subset is not None:
        parts["train"] = parts["train"].take(few_of(len(parts["train"].texts), settings.subset, seed))
    model = learnt(parts["train"].texts, settings.tokens)
    pieces = {part: numbers(model, found.texts) for part, found in parts.items()}
    for part in ("validation", "test"):
        if strange := sum(UNKNOWN in one for one in pieces[part]):
            notes.append(f"{strange} of {len(pieces[part])} {part} transcripts hold characters that train has not")
    told_of = describe(parts, settings.audio, model)
    most = max(len(one) for many in pieces.values() for one in many)
    splits = {part: utterances(found, pieces[part], told_of, most, part) for part, found in parts.items()}
    return Dataset(**splits, labels="pieces", preprocessing=told_of, notes=tuple(notes))


def heard(arrays: Arrays, part: str, settings: Audio, tokens: Tokens) -> tuple[Heard, list[str]]:
    """Decode a part.

    Returns:
        What of it holds sound and a transcript, and sentences on what was found.

    Raises:
        MissingError: files cannot be read, or nothing is left.
    """
    given: list[Utterance] = np.asarray(arrays.x).tolist()
    texts = [str(one).strip() for one in arrays.y.tolist()]
    empty = pieceless(texts, tokens)
    found = Found(part, settings.sample_rate)
    spectra: list[tuple[np.ndarray, ...]] = []
    seconds: list[float] = []
    others = settings.speeds if part == "train" else []
    for recordings in read_blocks([Path(one.file) for one in given], settings.sample_rate):
        found.add(recordings)
        seconds += [len(one.samples) / settings.sample_rate for one in recordings]
        sounds = [one.samples for one in recordings]
        speeds = [sounds, *([faster(one, speed) for one in sounds] for speed in others)]
        spectra += zip(*(log_mels(many, settings) for many in speeds), strict=True)
    notes = found.notes()
    if silent := sum(empty):
        notes.append(f"{silent} of {len(texts)} {part} transcripts are empty and left out")
    longer = [part == "train" and length > settings.longest for length in seconds]
    if any(longer):
        notes.append(
            f"{sum(longer)} of {len(texts)} train recordings last over {settings.longest:g} s and are left out"
        )
    usable = [not none and length > 0 and not long for none, length, long in zip(empty, seconds, longer, strict=True)]
    if not any(usable):
        raise MissingError(f"data: of all {len(texts)} {part} recordings none has sound and a transcript")
    whole = Heard(texts, [one.speaker for one in given], spectra, [one.file for one in given])
    return whole.take(np.flatnonzero(usable)), notes


def completed(parts: Mapping[str, Heard], fraction: float, seed: int) -> dict[str, Heard]:
    """Return train, validation and test, with missing parts carved from train as `splits.complete` does, by speaker.

    Raises:
        MissingError: there is no train part, or a part would be empty.
    """
    whole = dict(parts)
    if "train" not in whole:
        raise MissingError(f"data: there is no train part, only {', '.join(whole)}; give data.path or data.train")
    if "test" not in whole and "validation" in whole:
        whole["test"] = whole.pop("validation")
    for part, size in (("test", TEST_FRACTION), ("validation", fraction)):
        if part not in whole:
            chosen = carved(whole["train"].speakers, size, seed, part)
            whole[part] = whole["train"].take(np.flatnonzero(chosen))
            whole["train"] = whole["train"].take(np.flatnonzero(~chosen))
    return whole


def carved(speakers: Sequence[str], fraction: float, seed: int, part: str) -> np.ndarray:
    """Say of each utterance (n,) whether it becomes ``part``: whole speakers, or single ones where there is but one.

    Raises:
        MissingError: a part would be empty.
    """
    names = sorted(set(speakers))
    groups = np.array([names.index(one) for one in speakers]) if len(names) > 2 else np.arange(len(speakers))
    order = generator(seed, part).permutation(groups.max() + 1)
    reached = np.cumsum(np.bincount(groups)[order])
    wanted = max(fraction * len(groups), 1.0)
    chosen = np.isin(groups, order[: 1 + int(np.searchsorted(reached, wanted))])
    if chosen.all():
        raise MissingError(
            f"data: {len(groups)} utterances are too few to carve a {part} part from; give one of its own"
        )
    return chosen


def few_of(count: int, size: int, seed: int) -> np.ndarray:
    """Return the ascending numbers of ``size`` of ``count`` utterances.

    Raises:
        UsageError: there are not as many.
    """
    if size > count:
        raise UsageError(f"data.subset: received {size}; allowed are 1 to {count} (the training utterances there are)")
    return np.sort(generator(seed, "subset").permutation(count)[:size])


def describe(parts: Mapping[str, Heard], settings: Audio, model: bytes) -> Frames:
    """Return what the model must be told of its input."""
    train = np.concatenate([one[0] for one in parts["train"].spectra])
    longest = max(len(one) for found in parts.values() for speeds in found.spectra for one in speeds)
    return Frames(
        input_shape=(longest, settings.mels),
        vocabulary=len(vocabulary(model)),
        tokenizer=base64.b64encode(model).decode(),
        **measured(train, settings),
    )


def utterances(found: Heard, pieces: list[list[int]], told: Frames, most: int, part: str) -> Utterances:
    """Return a part as rows, with the transcripts it is measured against."""
    speeds = list(zip(*found.spectra, strict=True)) if part == "train" else [[one[0] for one in found.spectra]]
    rows = [filled([told.standardised(one) for one in many], told.input_shape[0]) for many in speeds]
    lengths = np.array([[len(one)] for many in speeds for one in many], np.int32)
    y, counts = padded(pieces, most)
    weight = weights(counts) if part == "train" else np.ones(len(y), np.float32)
    return Utterances(
        rows[0],
        y,
        weight,
        lengths=lengths[: len(y)],
        references=tuple(spelled(base64.b64decode(told.tokenizer), found.texts)),
        files=tuple(found.files),
        views=np.concatenate(rows) if len(rows) > 1 else rows[0],
        view_lengths=lengths,
    )


def weights(counts: np.ndarray) -> np.ndarray:
    """Return the weight (n,) float32 of utterances of so many pieces (n, 1), every piece counting alike."""
    return (np.maximum(counts[:, 0], 1) / np.maximum(counts, 1).mean()).astype(np.float32)
