"""Recordings that tests make: tones whose pitch is their class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile", reason="pip install 'spiral-cli[audio]'")

PITCHES = {"low": 300.0, "middle": 900.0, "high": 2500.0}


def tone(pitch: float, seconds: float = 0.4, rate: int = 8000, seed: int = 0) -> np.ndarray:
    """Return a tone in noise, (seconds · rate,) float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * (pitch * time + rng.random())) + rng.normal(0, 0.02, len(time))
    return wave.astype(np.float32)


def write(file: Path, samples: np.ndarray, rate: int = 8000, subtype: str = "PCM_16") -> Path:
    """Write samples (n,) or (n, channels)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(file, samples, rate, subtype)
    return file


def write_folder(folder: Path, count: int, seed: int = 0) -> None:
    """Write ``count`` recordings of each pitch into class folders."""
    for place, (name, pitch) in enumerate(PITCHES.items()):
        for number in range(count):
            one = seed + 100 * place + number
            length = 0.3 + 0.2 * (number % 3)
            write(folder / name / f"{number:02}.wav", tone(pitch, length, seed=one))
