"""Log-mel spectrograms: how loud each band of the mel scale is in short windows of sound (Davis and Mermelstein 1980).

Each frame is the power spectrum under a Hann window, in units of a full-scale constant's, summed under
triangles that stand at equal distances on the mel scale 1127 ln(1 + f / 700), and taken to its logarithm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Protocol

import numpy as np

from spiral_cli.errors import UsageError

FLOOR = 1e-8  # of power, beneath what recordings hold: silence has a finite logarithm
AT_ONCE = 2**22  # samples that are transformed together


class Bands(Protocol):
    """What a spectrogram depends on: the recipe's `data.audio`, or what is kept of it."""

    @property
    def sample_rate(self) -> int:
        """Samples a second."""

    @property
    def window(self) -> float:
        """Seconds of one frame."""

    @property
    def hop(self) -> float:
        """Seconds from frame to frame."""

    @property
    def mels(self) -> int:
        """How many bands."""

    @property
    def low(self) -> float:
        """Hz, where the lowest band begins."""

    @property
    def high(self) -> float | None:
        """Hz, where the highest band ends; half the sample rate by default."""


def log_mel(waveform: np.ndarray, settings: Bands) -> np.ndarray:
    """Return the spectrogram (frames, mels) float32 of samples (n,); frames as `frames` counts them."""
    return log_mels([waveform], settings)[0]


def log_mels(waveforms: Sequence[np.ndarray], settings: Bands) -> list[np.ndarray]:
    """Return the spectrogram (frames, mels) float32 of each of many waveforms (n,) of any length.

    Raises:
        UsageError: bands are so narrow that no line of the spectrum lies in one.
    """
    made: list[np.ndarray] = [np.zeros(0, np.float32)] * len(waveforms)
    for together in alike([len(one) for one in waveforms]):
        length = max(samples(settings.window, settings), *(len(waveforms[index]) for index in together))
        batch = np.zeros((len(together), length), np.float32)
        for row, index in enumerate(together):
            batch[row, : len(waveforms[index])] = waveforms[index]
        # A frame looks at its own samples alone: those of a longer neighbour's padding are cut off.
        for index, spectrogram in zip(together, transformed(batch, settings), strict=True):
            made[index] = spectrogram[: frames(len(waveforms[index]), settings)]
    return made


def alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of waveforms to transform together: of nearly one length, and not too many samples."""
    together: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda one: lengths[one]):
        if together and (len(together) + 1) * lengths[index] > AT_ONCE:
            yield together
            together = []
        together.append(index)
    if together:
        yield together


def frames(length: int, settings: Bands) -> int:
    """Return how many frames ``length`` samples have: whole windows only, and one of what is shorter."""
    return 1 + max(0, length - samples(settings.window, settings)) // samples(settings.hop, settings)


def samples(seconds: float, settings: Bands) -> int:
    """Return how many samples ``seconds`` are, at least one."""
    return max(1, round(seconds * settings.sample_rate))


def transformed(batch: np.ndarray, settings: Bands) -> np.ndarray:
    """Return the spectrograms (batch, frames, mels) float32 of samples (batch, n)."""
    import tensorflow as tf

    window, hop = samples(settings.window, settings), samples(settings.hop, settings)
    with tf.device("CPU"):
        weight = tf.signal.hann_window(window)
        spectrum = tf.signal.stft(batch, window, hop, fft_length(window), lambda *_, **__: weight)
        power = tf.square(tf.abs(spectrum) / tf.reduce_sum(weight))  # (batch, frames, lines)
        bands = tf.tensordot(power, filters(settings.sample_rate, window, settings.mels, *edges(settings)), 1)
        return tf.math.log(bands + FLOOR).numpy()


def fft_length(window: int) -> int:
    """Return the length of the Fourier transform of a window of samples: the next power of two."""
    return 1 << (window - 1).bit_length()


def edges(settings: Bands) -> tuple[float, float]:
    """Return the Hz where the lowest band begins and the highest ends."""
    return settings.low, settings.sample_rate / 2 if settings.high is None else settings.high


@cache
def filters(rate: int, window: int, mels: int, low: float, high: float) -> np.ndarray:
    """Return what each band takes of each line of the spectrum, (lines, mels) float32.

    Raises:
        UsageError: no line lies in a band.
    """
    import tensorflow as tf

    lines = fft_length(window) // 2 + 1
    weights = tf.signal.linear_to_mel_weight_matrix(mels, lines, rate, low, high).numpy()
    if empty := int(np.sum(~weights.any(axis=0))):
        apart = rate / 2 / (lines - 1)
        raise UsageError(
            f"data.audio: {empty} of {mels} mels from {low:g} to {high:g} Hz are narrower than the {apart:.3g} Hz "
            "between two lines of the spectrum; set fewer data.audio.mels, or a longer data.audio.window"
        )
    return weights
