"""What a model was told of sound: how spectrograms are made, and how loud its train part is in every band."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

BANDS = ("sample_rate", "mels", "window", "hop", "low", "high")  # of the recipe's `data.audio`
LEAST_DEVIATION = 1e-3  # of a band that is the same everywhere, as in digital silence


@dataclass(frozen=True, kw_only=True)
class Standardised:
    """Log-mel spectrograms with mean 0 and deviation 1 in every band of the train part.

    Attributes:
        sample_rate, mels, window, hop, low, high: the recipe's `data.audio`.
        mean, std: of each band over the train part, (mels,).
    """

    dtype: ClassVar[str] = "float32"  # of stored rows
    keys: ClassVar[tuple[str, ...]] = BANDS  # of `data.audio` that it depends on
    sample_rate: int
    mels: int
    window: float
    hop: float
    low: float
    high: float | None
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def standardised(self, spectra: np.ndarray) -> np.ndarray:
        """Return spectrograms (…, mels) float32 with the train part's mean 0 and deviation 1."""
        return (spectra - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)

    def other_bands(self, other: Standardised) -> list[str]:
        """Return in what the spectrograms of ``other`` are not the same, and the recipe's keys that say it."""
        found = [
            f"{key} {getattr(self, key)}, and the recipe comes to {getattr(other, key)}; see data.audio.{key}"
            for key in self.keys
            if getattr(self, key) != getattr(other, key)
        ]
        if not found and not all(map(np.allclose, (self.mean, self.std), (other.mean, other.std))):
            found.append("another mean or deviation of the train part than the recipe comes to; see data")
        return found


def measured(frames: np.ndarray, settings: Any) -> dict[str, Any]:
    """Return the fields of `Standardised` by the recipe's `data.audio`, of train frames (n, mels)."""
    deviation = np.maximum(frames.std(axis=0, dtype=np.float64), LEAST_DEVIATION)
    mean = frames.mean(axis=0, dtype=np.float64)
    bands = {key: getattr(settings, key) for key in BANDS}
    return {**bands, "mean": tuple(mean.tolist()), "std": tuple(deviation.tolist())}


def read_bands(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Standardised` from what `dataclasses.asdict` gave; raises as `Preprocessing.read`."""
    mean, std = (tuple(float(one) for one in facts[key]) for key in ("mean", "std"))
    mels = int(facts["mels"])
    if not len(mean) == len(std) == mels == int(facts["input_shape"][1]):
        raise ValueError(f"{len(mean)} means and {len(std)} deviations of {mels} mels")
    return {
        "sample_rate": int(facts["sample_rate"]),
        "mels": mels,
        **{key: float(facts[key]) for key in ("window", "hop", "low")},
        "high": None if facts["high"] is None else float(facts["high"]),
        "mean": mean,
        "std": std,
    }
