"""From the recipe's `data` section to three parts of spectrograms ready for training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spiral_cli.data.audio_files import WHOLE, Cut, Found, read_blocks
from spiral_cli.data.bands import measured
from spiral_cli.data.labels import unseen
from spiral_cli.data.load import labelled, read_raw
from spiral_cli.data.log_mel import samples
from spiral_cli.data.raw import PARTS, Arrays, column
from spiral_cli.data.repeats import mark, repeats
from spiral_cli.data.spectrogram import LogMel, spectrograms
from spiral_cli.data.splits import Dataset, Split
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Audio, Data


@dataclass(frozen=True)
class Excerpt:
    """A recording: its file, and which part of the file it is."""

    file: str
    cut: Cut = WHOLE


@dataclass(frozen=True, kw_only=True)
class Clips(Split):
    """One part of a set of recordings.

    Attributes:
        files: (n,) text, where each lies.
        cuts: (n,) which part of its file each is.
    """

    files: np.ndarray
    cuts: tuple[Cut, ...]


def load_audio(settings: Data, seed: int) -> Dataset:
    """Read, check and split the recordings of a recipe, and make log-mel spectrograms of them.

    All are decoded here, so that nothing fails later. Bands are standardised by the train part. What is empty is left
    out; `Dataset.notes` counts it, and what is resampled, mixed down or cut.

    Args:
        settings: the recipe's `data` section with absolute paths.
        seed: of every choice made here; the same seed gives the same bytes.

    Raises:
        MissingError: the data are missing or cannot be used.
        UsageError: the recipe asks for what the data cannot give.
    """
    raw = read_raw(settings)
    given = {part: weighted(arrays, part) for part, arrays in raw.parts().items()}
    parts, labels = labelled(given, raw.classes, settings, seed)
    notes = list(raw.notes)
    spectra: dict[str, np.ndarray] = {}
    for part in PARTS:
        parts[part], spectra[part], told = heard(parts[part], part, settings.audio)
        notes += told
    notes += unseen({part: arrays.y for part, arrays in parts.items()}, labels.classes)
    notes += repeats({part: [mark(row) for row in many] for part, many in spectra.items()})
    told_of = describe(spectra["train"], labels.classes, settings.audio)
    clips = {part: clip(arrays, told_of.standardised(spectra[part])) for part, arrays in parts.items()}
    return Dataset(**clips, labels=labels.kind, preprocessing=told_of, notes=tuple(notes))


def weighted(arrays: Arrays, part: str) -> Arrays:
    """Return a part with an `Excerpt` and a weight for each example.

    Raises:
        MissingError: they are no paths, or paths and labels are not as many.
    """
    x = np.asarray(arrays.x)
    if x.ndim != 1 or not all(isinstance(one, str | Excerpt) for one in x.tolist()):
        raise MissingError(f"data: {part} holds {x.dtype} of shape {x.shape}; allowed are paths of recordings (n,)")
    if not 0 < len(x) == len(arrays.y):
        raise MissingError(f"data: {part} has {len(x)} recordings and {len(arrays.y)} labels; one is needed for each")
    weight = np.ones(len(x), np.float32) if arrays.weight is None else np.asarray(arrays.weight, np.float32)
    excerpts = [Excerpt(one) if isinstance(one, str) else one for one in x.tolist()]
    return replace(arrays, x=column(excerpts), weight=weight)


def heard(arrays: Arrays, part: str, settings: Audio) -> tuple[Arrays, np.ndarray, list[str]]:
    """Decode a part.

    Returns:
        What of it holds sound, its spectrograms (n, frames, mels), and sentences on what was found.

    Raises:
        MissingError: files cannot be read, or none holds sound.
    """
    found, lengths, blocks = Found(part, settings.sample_rate), [], []
    given: list[Excerpt] = np.asarray(arrays.x).tolist()
    files, cuts = [Path(one.file) for one in given], [one.cut for one in given]
    for recordings in read_blocks(files, settings.sample_rate, cuts=cuts):
        found.add(recordings)
        lengths += [len(one.samples) for one in recordings]
        if sounding := [one.samples for one in recordings if len(one.samples)]:
            blocks.append(spectrograms(sounding, settings))
    if not blocks:
        raise MissingError(f"data: all {len(lengths)} {part} recordings are empty")
    notes, most = found.notes(), samples(settings.seconds, settings)
    if longer := sum(length > most for length in lengths):
        notes.append(f"{longer} of {len(lengths)} {part} recordings last over {settings.seconds:g} s and are cut there")
    return arrays.take(np.flatnonzero(lengths)), np.concatenate(blocks), notes


def describe(train: np.ndarray, classes: tuple[str, ...], settings: Audio) -> LogMel:
    """Return what the model must be told of its input, from the train spectrograms (n, frames, mels)."""
    shape = (train.shape[1], train.shape[2])
    bands = measured(train.reshape(-1, shape[1]), settings)
    return LogMel(input_shape=shape, classes=classes, seconds=settings.seconds, **bands)


def clip(arrays: Arrays, rows: np.ndarray) -> Clips:
    """Return a part with its stored rows."""
    assert arrays.weight is not None  # `weighted` has filled it in
    given: list[Excerpt] = np.asarray(arrays.x).tolist()
    files, cuts = np.array([one.file for one in given]), tuple(one.cut for one in given)
    return Clips(rows, arrays.y, arrays.weight, files=files, cuts=cuts)
