"""Files of sound become samples of one channel at one rate, or are refused by name."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from tones import soundfile, tone, write

from spiral_cli.data.audio_files import NAMED, Found, read_audio, read_blocks, resampled
from spiral_cli.errors import MissingError

RAMP = np.linspace(-1.0, 0.99, 400).astype(np.float32)
STEP = {"PCM_U8": 2**-7, "PCM_S8": 2**-7, "PCM_16": 2**-15, "PCM_24": 2**-23, "PCM_32": 2**-23, "FLOAT": 0, "DOUBLE": 0}


@pytest.mark.parametrize(
    ("ending", "subtype"),
    [("wav", one) for one in STEP if one != "PCM_S8"] + [("flac", one) for one in ("PCM_S8", "PCM_16", "PCM_24")],
)
def test_every_depth_is_read_to_its_last_bit(tmp_path, ending, subtype):
    file = write(tmp_path / f"a.{ending}", RAMP, subtype=subtype)
    read = read_audio(file, 8000)
    assert read.samples.dtype == np.float32 and read.samples.shape == RAMP.shape
    assert np.abs(read.samples - RAMP).max() <= STEP[subtype]
    assert (read.rate, read.channels) == (8000, 1)


def test_integers_are_read_exactly(tmp_path):
    values = np.array([-32768, -1, 0, 1, 12345, 32767], np.int16)
    file = tmp_path / "a.wav"
    soundfile.write(file, values, 8000, "PCM_16")
    np.testing.assert_array_equal(read_audio(file, 8000).samples, values.astype(np.float32) / 32768)


def test_content_says_what_a_file_is_and_not_its_name(tmp_path):
    file = write(tmp_path / "a.flac", RAMP)
    file.rename(tmp_path / "a.wav")
    assert len(read_audio(tmp_path / "a.wav", 8000).samples) == len(RAMP)


def test_channels_are_mixed_to_their_mean(tmp_path):
    left, right, third = RAMP, RAMP[::-1], 0.25 * RAMP
    two = read_audio(write(tmp_path / "2.wav", np.stack([left, right], 1), subtype="FLOAT"), 8000)
    np.testing.assert_allclose(two.samples, (left + right) / 2, atol=1e-7)
    three = read_audio(write(tmp_path / "3.wav", np.stack([left, right, third], 1), subtype="FLOAT"), 8000)
    np.testing.assert_allclose(three.samples, (left + right + third) / 3, atol=1e-6)
    assert (two.channels, three.channels) == (2, 3)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_a_tone_keeps_its_pitch_and_its_loudness_at_another_rate(tmp_path, rate):
    time = np.arange(rate) / rate
    file = write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 1000 * time), rate)
    read = read_audio(file, 16_000)
    assert read.samples.shape == (16_000,) and read.samples.dtype == np.float32 and read.rate == rate
    inner = slice(1000, -1000)  # away from the ends, where the filter meets nothing
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(read.samples[inner], expected[inner], atol=5e-3)


def test_what_lies_above_half_the_rate_does_not_fold_back(tmp_path):
    time = np.arange(16_000) / 16_000
    file = write(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 6000 * time), 16_000)
    assert np.abs(read_audio(file, 8000).samples[200:-200]).max() < 5e-3


@pytest.mark.parametrize(("count", "own", "rate"), [(7, 8000, 16_000), (7, 16_000, 8000), (100, 44_100, 16_000)])
def test_the_length_is_the_next_whole_number_of_samples(count, own, rate):
    assert len(resampled(np.zeros(count, np.float32), own, rate)) == -(-count * rate // own)


def whole(tmp_path, ending="wav") -> bytes:
    return write(tmp_path / f"whole.{ending}", tone(500.0)).read_bytes()


def damaged_files(tmp_path) -> dict[str, bytes]:
    wav, flac = whole(tmp_path), whole(tmp_path, "flac")
    nan = write(tmp_path / "nan.wav", np.array([0.0, np.nan], np.float32), subtype="FLOAT").read_bytes()
    return {
        "text.wav": b"these are no samples, these are words\n" * 20,
        "head.wav": wav[:20],
        "half.wav": wav[: len(wav) // 2],
        "one_short.wav": wav[:-1],
        "half.flac": flac[: len(flac) // 2],
        "noise.flac": flac[:4] + bytes(200),
        "headless.raw": wav[44:],
        "holds_nan.wav": nan,
    }


def test_what_is_damaged_is_refused_by_name(tmp_path):
    for name, content in damaged_files(tmp_path).items():
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(MissingError, match=f"{name}.*replace or remove it"):
            read_audio(file, 8000)
    with pytest.raises(MissingError, match=r"half.wav is truncated: it holds \d+ of 6400 bytes"):
        read_audio(tmp_path / "half.wav", 8000)
    with pytest.raises(MissingError, match=r"nowhere.wav cannot be read"):
        read_audio(tmp_path / "nowhere.wav", 8000)
    with pytest.raises(MissingError, match="cannot be read"):
        read_audio(tmp_path, 8000)


def test_a_wav_whose_writer_did_not_know_its_length_is_whole(tmp_path):
    content = bytearray(whole(tmp_path))
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
    file = tmp_path / "streamed.wav"
    file.write_bytes(content)
    np.testing.assert_array_equal(read_audio(file, 8000).samples, read_audio(tmp_path / "whole.wav", 8000).samples)


def test_a_wav_of_a_rate_that_none_has_is_refused_before_it_takes_all_memory(tmp_path):
    content = bytearray(whole(tmp_path))
    struct.pack_into("<I", content, content.index(b"fmt ") + 12, 1_000_000_007)
    file = tmp_path / "fast.wav"
    file.write_bytes(content)
    with pytest.raises(MissingError, match=r"fast\.wav says 1000000007 samples a second"):
        read_audio(file, 8000)


def test_chunks_before_the_samples_are_passed_over(tmp_path):
    content = whole(tmp_path)
    place = content.index(b"data")
    odd = b"note" + struct.pack("<I", 3) + b"abc\0"  # chunks begin at even places
    file = tmp_path / "noted.wav"
    file.write_bytes(content[:4] + struct.pack("<I", len(content) + 4) + content[8:place] + odd + content[place:])
    assert len(read_audio(file, 8000).samples) == 3200


def test_files_of_nothing_are_recordings_without_samples(tmp_path):
    (tmp_path / "bytes.wav").write_bytes(b"")
    write(tmp_path / "samples.wav", np.zeros(0))
    for name in ("bytes.wav", "samples.wav"):
        assert read_audio(tmp_path / name, 16_000).samples.shape == (0,)


def test_blocks_keep_the_order_and_damaged_files_are_counted_at_the_end(tmp_path):
    files = [write(tmp_path / f"{n:02}.wav", np.full(n + 1, 0.1)) for n in range(20)]
    blocks = list(read_blocks(files, 8000, 6))
    assert [len(block) for block in blocks] == [6, 6, 6, 2]
    assert [len(one.samples) for block in blocks for one in block] == list(range(1, 21))
    for file in files[3:10]:
        file.write_bytes(b"no sound at all, of any kind")
    with pytest.raises(MissingError, match="7 of 20 recordings cannot be used") as caught:
        list(read_blocks(files, 8000, 6))
    said = str(caught.value)
    assert [file.name in said for file in files] == [3 <= n < 3 + NAMED for n in range(20)]
    assert said.endswith("and 2 more")


def test_what_was_mended_is_counted(tmp_path):
    files = [
        write(tmp_path / "a.wav", tone(500.0)),
        write(tmp_path / "b.wav", tone(500.0, rate=16_000), 16_000),
        write(tmp_path / "c.wav", np.stack([tone(500.0)] * 2, 1)),
        write(tmp_path / "d.wav", np.zeros((0, 2)), 44_100),
    ]
    found = Found("train", 8000)
    for block in read_blocks(files, 8000, 2):
        found.add(block)
    assert found.notes() == [
        "1 of 4 train recordings hold no sound and are left out",
        "1 of 4 train recordings have another sample rate and are resampled to 8000 Hz",
        "1 of 4 train recordings have several channels and are mixed down to one",
    ]
