"""How utterances become the model's input: log-mel spectrograms of any length, and transcripts as characters."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from spiral_cli.data.log_mel import log_mels
from spiral_cli.data.tokenizer import numbers, text

if TYPE_CHECKING:  # data are read without TensorFlow
    import tensorflow as tf

KEYS = ("sample_rate", "mels", "window", "hop", "low", "high")  # of the recipe's `data.audio`


@dataclass(frozen=True)
class Frames:
    """What a model expects of an utterance: log-mel frames, standardised band by band, filled up with zeros.

    Attributes:
        input_shape: (frames, mels), the most frames of a row.
        sample_rate, mels, window, hop, low, high: the recipe's `data.audio`.
        mean, std: of each band over the train part, (mels,).
        vocabulary: how many outputs there are: the blank, which is 0, and the pieces of transcripts.
        tokenizer: sentencepiece's model of the transcripts in base64.
    """

    input_shape: tuple[int, int]
    sample_rate: int
    mels: int
    window: float
    hop: float
    low: float
    high: float | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    vocabulary: int
    tokenizer: str

    @property
    def classes(self) -> tuple[str, ...]:
        """None: what a model says are pieces."""
        return ()

    def inputs(self, stored: tf.Tensor, cut: tf.Tensor | None = None) -> tf.Tensor:
        """Return frames (batch, frames, mels) float32, all cut to the length ``cut`` (1,)."""
        return stored if cut is None else stored[:, : cut[0]]

    def rows(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Return waveforms (n,) at the sample rate as rows (n, frames, mels) float32; frames of the longest."""
        return filled(self.standardised(log_mels(waveforms, self)))

    def standardised(self, spectra: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return spectrograms (frames, mels) with the train part's mean 0 and deviation 1."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return [(one - mean) / std for one in spectra]

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each transcript as numbers of pieces."""
        return numbers(base64.b64decode(self.tokenizer), texts)

    def text(self, pieces: Iterable[int]) -> str:
        """Return what ``pieces`` spell."""
        return text(base64.b64decode(self.tokenizer), [int(piece) for piece in pieces])

    def differences(self, other: Frames) -> list[str]:
        """Return in what ``other`` is not the same, and the recipe's keys that say it."""
        found = [
            f"{key} {getattr(self, key)}, and the recipe comes to {getattr(other, key)}; see data.audio.{key}"
            for key in KEYS
            if getattr(self, key) != getattr(other, key)
        ]
        if self.tokenizer != other.tokenizer:
            found.append("another alphabet than the recipe comes to; see data.tokens and the train part it is from")
        if not found and not all(map(np.allclose, (self.mean, self.std), (other.mean, other.std))):
            found.append("another mean or deviation of the train part than the recipe comes to; see data")
        return found

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `dataclasses.asdict` gave."""
        base64.b64decode(facts["tokenizer"], validate=True)
        frames, mels = (int(size) for size in facts["input_shape"])
        mean, std = (tuple(float(one) for one in facts[key]) for key in ("mean", "std"))
        if not len(mean) == len(std) == mels == int(facts["mels"]):
            raise ValueError(f"{len(mean)} means and {len(std)} deviations of {mels} mels")
        return cls(
            input_shape=(frames, mels),
            sample_rate=int(facts["sample_rate"]),
            mels=mels,
            window=float(facts["window"]),
            hop=float(facts["hop"]),
            low=float(facts["low"]),
            high=None if facts["high"] is None else float(facts["high"]),
            mean=mean,
            std=std,
            vocabulary=int(facts["vocabulary"]),
            tokenizer=str(facts["tokenizer"]),
        )


def filled(spectra: Sequence[np.ndarray], length: int | None = None) -> np.ndarray:
    """Return spectrograms (frames, mels) as rows (n, length, mels) float32 filled up with zeros; of the longest's."""
    length = max(map(len, spectra)) if length is None else length
    rows = np.zeros((len(spectra), length, spectra[0].shape[1]), np.float32)
    for row, one in zip(rows, spectra, strict=True):
        row[: len(one)] = one
    return rows
