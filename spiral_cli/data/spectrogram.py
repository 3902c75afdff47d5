"""How recordings become the model's input: log-mel spectrograms of one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from spiral_cli.data.bands import BANDS, Standardised, read_bands
from spiral_cli.data.log_mel import log_mels, samples

if TYPE_CHECKING:  # data are read without TensorFlow
    import tensorflow as tf


@dataclass(frozen=True, kw_only=True)
class LogMel(Standardised):
    """What a model expects of sound: log-mel spectrograms, standardised band by band.

    Attributes:
        input_shape: (frames, mels).
        classes: names in the order of the model's outputs.
        seconds: the recipe's `data.audio.seconds`.
    """

    keys: ClassVar[tuple[str, ...]] = (*BANDS, "seconds")
    input_shape: tuple[int, int]
    classes: tuple[str, ...]
    seconds: float

    def inputs(self, stored: tf.Tensor, cut: tf.Tensor | None = None) -> tf.Tensor:
        """Return spectrograms (batch, frames, mels, 1) float32, as images of one channel; all have one length."""
        return stored[..., None]

    def rows(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Return waveforms (n,) at the sample rate as stored rows (n, frames, mels) float32."""
        return self.standardised(spectrograms(waveforms, self))

    def differences(self, other: LogMel) -> list[str]:
        """Return in what ``other`` is not the same, and the recipe's keys that say it."""
        found = self.other_bands(other)
        if self.classes != other.classes:
            found.append(f"classes {self.classes}, and the recipe comes to {other.classes}; see data.classes")
        return found

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `dataclasses.asdict` gave."""
        length, mels = (int(size) for size in facts["input_shape"])
        classes = tuple(str(name) for name in facts["classes"])
        return cls(input_shape=(length, mels), classes=classes, seconds=float(facts["seconds"]), **read_bands(facts))


def spectrograms(waveforms: Sequence[np.ndarray], settings: Any) -> np.ndarray:
    """Return the log-mel spectrograms (n, frames, mels) float32 of waveforms (n,), all of ``settings.seconds``.

    Args:
        waveforms: padded with silence at their end, or cut there.
        settings: the recipe's `data.audio`, or a `LogMel`.
    """
    length = samples(settings.seconds, settings)
    return np.stack(log_mels([fitted(one, length) for one in waveforms], settings))


def fitted(waveform: np.ndarray, length: int) -> np.ndarray:
    """Return samples (n,) as (length,): padded with silence at the end, or cut."""
    return np.pad(waveform[:length], (0, max(0, length - len(waveform))))
