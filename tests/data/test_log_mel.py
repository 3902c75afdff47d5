"""Log-mel spectrograms against a plain computation of their definition, and laws of theirs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from spiral_cli.data.log_mel import AT_ONCE, FLOOR, alike, frames, log_mel, log_mels
from spiral_cli.data.spectrogram import fitted, spectrograms
from spiral_cli.errors import UsageError
from spiral_cli.recipe.data import Audio

SETTINGS = [
    Audio(),
    Audio(sample_rate=8000, window=0.040, hop=0.020, mels=32, low=100.0, high=3500.0),
    Audio(sample_rate=11_025, window=0.0232, hop=0.0116, mels=20, low=0.0),
]


def by_definition(wave: np.ndarray, settings: Audio) -> np.ndarray:
    """Return (frames, mels) float64, window by window and band by band."""
    rate = settings.sample_rate
    window, hop = round(settings.window * rate), round(settings.hop * rate)
    size = 2 ** int(np.ceil(np.log2(window)))
    hann = np.array([0.5 - 0.5 * np.cos(2 * np.pi * n / window) for n in range(window)])
    wave = np.pad(wave.astype(np.float64), (0, max(0, window - len(wave))))

    def mel(hertz):
        return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)

    lines = mel(np.arange(size // 2 + 1) * rate / size)
    points = np.linspace(mel(settings.low), mel(settings.high or rate / 2), settings.mels + 2)
    rows = []
    for start in range(0, len(wave) - window + 1, hop):
        spectrum = np.fft.fft(wave[start : start + window] * hann, size)[: size // 2 + 1]
        power = np.abs(spectrum / hann.sum()) ** 2
        bands = []
        for band in range(settings.mels):
            left, middle, right = points[band : band + 3]
            rising, falling = (lines - left) / (middle - left), (right - lines) / (right - middle)
            bands.append(np.sum(power * np.clip(np.minimum(rising, falling), 0.0, None) * (lines > 0)))
        rows.append(np.log(np.array(bands) + FLOOR))
    return np.array(rows)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("length", [1, 300, 640, 5000])
def test_the_spectrogram_is_the_one_of_the_definition(settings, length):
    rng = np.random.default_rng(length)
    time = np.arange(length) / settings.sample_rate
    wave = (0.3 * np.sin(2 * np.pi * 700 * time) + rng.normal(0, 0.05, length)).astype(np.float32)
    found, expected = log_mel(wave, settings), by_definition(wave, settings)
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_silence_is_the_floor_everywhere():
    np.testing.assert_allclose(log_mel(np.zeros(1600, np.float32), Audio()), np.log(FLOOR), rtol=1e-6)


def test_a_tone_is_loudest_in_the_band_of_its_pitch_and_twice_as_loud_is_four_times_the_power():
    settings = Audio()
    time = np.arange(16_000) / 16_000
    wave = (0.1 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    quiet, loud = log_mel(wave, settings), log_mel(2 * wave, settings)
    points = np.linspace(*1127 * np.log1p(np.array([20.0, 8000.0]) / 700), 42)
    middle = 700 * np.expm1(points[1:-1] / 1127)
    assert set(quiet.argmax(axis=1)) == {int(np.abs(middle - 1000).argmin())}
    band = quiet.argmax(axis=1)[0]
    np.testing.assert_allclose(loud[:, band] - quiet[:, band], np.log(4.0), atol=1e-3)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=12))
def test_many_together_are_as_each_alone(lengths):
    rng = np.random.default_rng(len(lengths))
    waves = [rng.normal(0, 0.1, length).astype(np.float32) for length in lengths]
    settings = SETTINGS[1]
    for wave, found in zip(waves, log_mels(waves, settings), strict=True):
        alone = log_mel(wave, settings)
        assert found.shape == alone.shape == (frames(len(wave), settings), settings.mels)
        np.testing.assert_allclose(found, alone, atol=2e-3)


@given(st.lists(st.integers(1, AT_ONCE * 2), max_size=30))
def test_what_is_transformed_together_is_bounded_and_everything_is(lengths):
    groups = list(alike(lengths))
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[index] for index in group) <= AT_ONCE


@pytest.mark.parametrize(("seconds", "rows"), [(0.3, 28), (1.0, 98), (2.5, 248)])
def test_clips_have_one_length(seconds, rows):
    settings = Audio(seconds=seconds)
    waves = [np.ones(length, np.float32) for length in (1, 8000, 16_000, 50_000)]
    made = spectrograms(waves, settings)
    assert made.shape == (4, rows, 40)
    np.testing.assert_array_equal(fitted(np.array([1.0, 2.0, 3.0]), 5), [1, 2, 3, 0, 0])
    np.testing.assert_array_equal(fitted(np.array([1.0, 2.0, 3.0]), 2), [1, 2])


def test_bands_narrower_than_lines_are_refused():
    with pytest.raises(UsageError, match=r"data.audio: \d+ of 128 mels .* set fewer data.audio.mels"):
        log_mel(np.zeros(800, np.float32), Audio(mels=128))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"high": 8001.0}, "received 8001; allowed: up to 8000, half of data.audio.sample_rate"),
        ({"low": 8000.0}, "received 8000; allowed: below 8000"),
        ({"low": 3000.0, "high": 2000.0}, "allowed: below 2000"),
        ({"hop": 0.03}, "received 0.03; allowed: up to 0.025"),
        ({"hop": 1e-5}, "one sample"),
        ({"seconds": 0.02}, "received 0.025; allowed: up to 0.02"),
        ({"sample_rate": 10}, "greater than or equal to 1000"),
        ({"mels": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_make_no_spectrogram(keys, message):
    with pytest.raises(ValidationError, match=message):
        Audio(**keys)
