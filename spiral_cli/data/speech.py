"""From the recipe's `data` section to three parts of utterances with transcripts, ready for training."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spiral_cli.data.audio_files import WHOLE, Cut, Found, faster, read_blocks
from spiral_cli.data.bands import measured
from spiral_cli.data.frames import Frames, filled
from spiral_cli.data.load import read_raw, validation_fraction
from spiral_cli.data.log_mel import log_mels
from spiral_cli.data.raw import Arrays
from spiral_cli.data.repeats import mark, repeats
from spiral_cli.data.splits import TEST_FRACTION, Dataset, Split
from spiral_cli.data.stratify import generator
from spiral_cli.data.tokenizer import blank, learnt, numbers, spelled, strangers, vocabulary
from spiral_cli.data.tokens import padded
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.recipe.data import Audio, Data

LEAST, MOST = 0.5, 3.0  # of the wanted size that a part of whole speakers may have


@dataclass(frozen=True)
class Utterance:
    """A recording: its file, who speaks, empty where nobody knows, and which part of the file it is."""

    file: str
    speaker: str
    cut: Cut = WHOLE


@dataclass(frozen=True)
class Heard:
    """Utterances of one part: what is said, where, and spectrograms (frames, mels) at every speed."""

    texts: list[str]
    given: list[Utterance]
    spectra: list[tuple[np.ndarray, ...]]

    def take(self, index: np.ndarray) -> Heard:
        """Return the utterances at ``index`` (k,)."""
        rows = index.tolist()
        return Heard(
            [self.texts[row] for row in rows],
            [self.given[row] for row in rows],
            [self.spectra[row] for row in rows],
        )


@dataclass(frozen=True, kw_only=True)
class Utterances(Split):
    """One part of a set of utterances.

    Attributes:
        files: (n,) where each lies.
        cuts: (n,) which part of its file each is.
        views: (speeds · n, frames, mels), rows at every speed, one speed after the other, its own first.
        view_lengths: (speeds · n, 1) int32, frames of each that are not padding.
    """

    files: tuple[str, ...]
    cuts: tuple[Cut, ...]
    views: np.ndarray
    view_lengths: np.ndarray


def load_speech(settings: Data, seed: int) -> Dataset:
    """Read, check and split the utterances of a recipe, and make frames and pieces of transcripts of them.

    All are decoded here, so that nothing fails later. Utterances without sound or transcript are left out, and of
    train those longer than ``data.audio.longest``; `Dataset.notes` counts them, and what is resampled or mixed down.
    Transcripts are compared as their pieces spell them, so that a model can say them.
    Validation and test are carved from train by speaker where that gives parts of about the wanted size. A training
    utterance weighs as many pieces as its transcript has.

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
        parts[part], told = heard(arrays, part, settings)
        notes += told
    parts, told = completed(parts, validation_fraction(settings), seed)
    notes += told
    if settings.subset is not None:
        parts["train"] = parts["train"].take(few_of(len(parts["train"].texts), settings.subset, seed))
    model = learnt(parts["train"].texts, settings.tokens)
    pieces = {part: numbers(model, found.texts) for part, found in parts.items()}
    notes += strangers(pieces, "transcripts", settings.tokens.kind)
    notes += repeats({part: [mark(one[0]) for one in found.spectra] for part, found in parts.items()})
    told_of = describe(parts, settings.audio, model)
    most = max(len(one) for many in pieces.values() for one in many)
    splits = {part: utterances(found, pieces[part], told_of, most, part) for part, found in parts.items()}
    return Dataset(**splits, labels="pieces", preprocessing=told_of, notes=tuple(notes))


def heard(arrays: Arrays, part: str, recipe: Data) -> tuple[Heard, list[str]]:
    """Decode a part.

    Returns:
        What of it holds sound and a transcript, and sentences on what was found.

    Raises:
        MissingError: files cannot be read, or nothing is left.
    """
    settings, given = recipe.audio, np.asarray(arrays.x).tolist()
    texts = [str(one).strip() for one in arrays.y.tolist()]
    found = Found(part, settings.sample_rate)
    spectra: list[tuple[np.ndarray, ...]] = []
    seconds: list[float] = []
    others = settings.speeds if part == "train" else []
    files, cuts = [Path(one.file) for one in given], [one.cut for one in given]
    for recordings in read_blocks(files, settings.sample_rate, cuts=cuts):
        found.add(recordings)
        seconds += [len(one.samples) / settings.sample_rate for one in recordings]
        sounds = [one.samples for one in recordings]
        speeds = [sounds, *([faster(one, speed) for one in sounds] for speed in others)]
        spectra += zip(*(log_mels(many, settings) for many in speeds), strict=True)
    notes, silent = found.notes(), blank(texts)
    if any(silent):
        notes.append(f"{sum(silent)} of {len(texts)} {part} transcripts are empty and left out")
    longer = [part == "train" and length > settings.longest for length in seconds]
    if any(longer):
        notes.append(
            f"{sum(longer)} of {len(texts)} train recordings last over {settings.longest:g} s and are left out"
        )
    usable = [not (mute or long) and length > 0 for mute, length, long in zip(silent, seconds, longer, strict=True)]
    if not any(usable):
        raise MissingError(f"data: of all {len(texts)} {part} recordings none has sound and a transcript")
    return Heard(texts, given, spectra).take(np.flatnonzero(usable)), notes


def completed(parts: Mapping[str, Heard], fraction: float, seed: int) -> tuple[dict[str, Heard], list[str]]:
    """Return train, validation and test, with missing parts carved from train as `splits.complete` does, by speaker.

    Returns:
        The parts, and a sentence for each that speakers could not be divided into.

    Raises:
        MissingError: there is no train part, or a part would be empty.
    """
    whole, notes = dict(parts), []
    if "train" not in whole:
        raise MissingError(f"data: there is no train part, only {', '.join(whole)}; give data.path or data.train")
    if "test" not in whole and "validation" in whole:
        whole["test"] = whole.pop("validation")
    for part, size in (("test", TEST_FRACTION), ("validation", fraction)):
        if part not in whole:
            speakers = [one.speaker for one in whole["train"].given]
            chosen = carved(speakers, size, seed, part)
            whole[part] = whole["train"].take(np.flatnonzero(chosen))
            whole["train"] = whole["train"].take(np.flatnonzero(~chosen))
            both = {one.speaker for one in whole[part].given} & {one.speaker for one in whole["train"].given}
            if both and len(names := set(speakers)) > 1:
                notes.append(
                    f"the {part} part, {len(whole[part].given)} of {len(speakers)} train utterances, shares "
                    f"{len(both)} of {len(names)} speakers with train: whole ones make no part of about that size"
                )
    return whole, notes


def carved(speakers: Sequence[str], fraction: float, seed: int, part: str) -> np.ndarray:
    """Say of each utterance (n,) whether it becomes ``part``: whole speakers, or single ones where that cannot be.

    Raises:
        MissingError: a part would be empty.
    """
    size, wanted = len(speakers), max(fraction * len(speakers), 1.0)
    names, groups, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    if len(names) > 2:
        chosen = np.isin(groups, drawn(counts, wanted, seed, part))
        if chosen.sum() >= LEAST * wanted:
            return chosen
    if wanted > size - 1:
        raise MissingError(f"data: {size} utterances are too few to carve a {part} part from; give one of its own")
    chosen = np.zeros(size, bool)
    chosen[generator(seed, part).permutation(size)[: math.ceil(wanted)]] = True
    return chosen


def drawn(counts: np.ndarray, wanted: float, seed: int, part: str) -> list[int]:
    """Return speakers of together ``wanted`` utterances, in a random order; who has far too many is passed over.

    Args:
        counts: (speakers,) utterances of each.
        wanted: utterances to have.
        seed, part: of the order.
    """
    size, reached, chosen = counts.sum(), 0, []
    most = min(MOST * wanted, size - (size - wanted) / MOST)  # neither part grows, nor shrinks the other, beyond it
    for speaker in generator(seed, part).permutation(len(counts)).tolist():
        if reached < wanted and reached + counts[speaker] <= most:
            chosen.append(speaker)
            reached += counts[speaker]
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
        files=tuple(one.file for one in found.given),
        cuts=tuple(one.cut for one in found.given),
        views=np.concatenate(rows) if len(rows) > 1 else rows[0],
        view_lengths=lengths,
    )


def weights(counts: np.ndarray) -> np.ndarray:
    """Return the weight (n,) float32 of utterances of so many pieces (n, 1), every piece counting alike."""
    return (np.maximum(counts[:, 0], 1) / np.maximum(counts, 1).mean()).astype(np.float32)
