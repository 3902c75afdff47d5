"""How recordings become the model's input: log-mel spectrograms of one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from spiral_cli.data.log_mel import log_mels, samples

if TYPE_CHECKING:  # data are read without TensorFlow
    import tensorflow as tf

KEYS = ("sample_rate", "seconds", "mels", "window", "hop", "low", "high")  # of the recipe's `data.audio`


@dataclass(frozen=True)
class LogMel:
    """What a model expects of sound: log-mel spectrograms, standardised band by band.

    Attributes:
        input_shape: (frames, mels).
        classes: names in the order of the model's outputs.
        sample_rate, seconds, mels, window, hop, low, high: the recipe's `data.audio`.
        mean, std: of each band over the train part, (mels,).
    """

    input_shape: tuple[int, int]
    classes: tuple[str, ...]
    sample_rate: int
    seconds: float
    mels: int
    window: float
    hop: float
    low: float
    high: float | None
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def inputs(self, stored: tf.Tensor, cut: tf.Tensor | None = None) -> tf.Tensor:
        """Return spectrograms (batch, frames, mels, 1) float32, as images of one channel; all have one length."""
        return stored[..., None]

    def rows(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Return waveforms (n,) at the sample rate as stored rows (n, frames, mels) float32."""
        return self.standardised(spectrograms(waveforms, self))

    def standardised(self, spectra: np.ndarray) -> np.ndarray:
        """Return spectrograms (n, frames, mels) float32 with the train part's mean 0 and deviation 1."""
        return (spectra - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)

    def differences(self, other: LogMel) -> list[str]:
        """Return in what ``other`` is not the same, and the recipe's keys that say it."""
        found = [
            f"{key} {getattr(self, key)}, and the recipe comes to {getattr(other, key)}; see data.audio.{key}"
            for key in KEYS
            if getattr(self, key) != getattr(other, key)
        ]
        if self.classes != other.classes:
            found.append(f"classes {self.classes}, and the recipe comes to {other.classes}; see data.classes")
        if not found and not all(map(np.allclose, (self.mean, self.std), (other.mean, other.std))):
            found.append("another mean or deviation of the train part than the recipe comes to; see data")
        return found

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `dataclasses.asdict` gave."""
        length, mels = (int(size) for size in facts["input_shape"])
        mean, std = (tuple(float(one) for one in facts[key]) for key in ("mean", "std"))
        if not len(mean) == len(std) == mels == int(facts["mels"]):
            raise ValueError(f"{len(mean)} means and {len(std)} deviations of {mels} mels")
        return cls(
            input_shape=(length, mels),
            classes=tuple(str(name) for name in facts["classes"]),
            sample_rate=int(facts["sample_rate"]),
            seconds=float(facts["seconds"]),
            mels=mels,
            window=float(facts["window"]),
            hop=float(facts["hop"]),
            low=float(facts["low"]),
            high=None if facts["high"] is None else float(facts["high"]),
            mean=mean,
            std=std,
        )


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
