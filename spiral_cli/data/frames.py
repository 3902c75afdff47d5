"""How utterances become the model's input: log-mel spectrograms of any length, and transcripts as pieces."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from spiral_cli.data.bands import Standardised, read_bands
from spiral_cli.data.log_mel import log_mels
from spiral_cli.data.tokenizer import numbers, text

if TYPE_CHECKING:  # data are read without TensorFlow
    import tensorflow as tf


@dataclass(frozen=True, kw_only=True)
class Frames(Standardised):
    """What a model expects of an utterance: log-mel frames, standardised band by band, filled up with zeros.

    Attributes:
        input_shape: (frames, mels), the most frames of a row.
        vocabulary: how many outputs there are: the blank, which is 0, and the pieces of transcripts.
        tokenizer: sentencepiece's model of the transcripts in base64.
    """

    input_shape: tuple[int, int]
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
        return filled([self.standardised(one) for one in log_mels(waveforms, self)])

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each transcript as numbers of pieces."""
        return numbers(base64.b64decode(self.tokenizer), texts)

    def text(self, pieces: Iterable[int]) -> str:
        """Return what ``pieces`` spell."""
        return text(base64.b64decode(self.tokenizer), [int(piece) for piece in pieces])

    def differences(self, other: Frames) -> list[str]:
        """Return in what ``other`` is not the same, and the recipe's keys that say it."""
        found = self.other_bands(other)
        if self.tokenizer != other.tokenizer:
            found.append("another alphabet than the recipe comes to; see data.tokens and the train part it is from")
        return found

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `dataclasses.asdict` gave."""
        base64.b64decode(facts["tokenizer"], validate=True)
        frames, mels = (int(size) for size in facts["input_shape"])
        return cls(
            input_shape=(frames, mels),
            vocabulary=int(facts["vocabulary"]),
            tokenizer=str(facts["tokenizer"]),
            **read_bands(facts),
        )


def filled(spectra: Sequence[np.ndarray], length: int | None = None) -> np.ndarray:
    """Return spectrograms (frames, mels) as rows (n, length, mels) float32 filled up with zeros; of the longest's."""
    length = max(map(len, spectra)) if length is None else length
    rows = np.zeros((len(spectra), length, spectra[0].shape[1]), np.float32)
    for row, one in zip(rows, spectra, strict=True):
        row[: len(one)] = one
    return rows
