"""Utterances with transcripts, in the layouts people have."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spiral_cli.data.audio_files import faster
from spiral_cli.data.frames import Frames
from spiral_cli.data.speech import carved, load_speech
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.recipe.data import Data

soundfile = pytest.importorskip("soundfile")
RATE = 8000
AUDIO = {"sample_rate": RATE, "mels": 8, "window": 0.032, "hop": 0.016}
TEXTS = ["a b", "b c a", "c", "a a b"]


def record(path, seconds: float, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 440 * time), rate)


def manifest(folder, part: str, count: int, speakers: int = 4, **more) -> None:
    lines = []
    for number in range(count):
        name = f"wav/s{number % speakers}/{part}{number}.wav"
        record(folder / name, 0.3 + 0.01 * number)
        lines.append({"audio_filepath": name, "duration": 0.3, "text": TEXTS[number % len(TEXTS)].upper(), **more})
    (folder / f"{part}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def settings(folder, name="speech_manifest", **more) -> Data:
    return Data(
        format=name,
        path=str(folder),
        audio={**AUDIO, **more.pop("audio", {})},
        **{"tokens": {"kind": "char"}, **more},
    )


def test_rows_hold_frames_and_zeros_behind_them(tmp_path):
    manifest(tmp_path, "train", 24)
    manifest(tmp_path, "valid", 4)
    data = load_speech(settings(tmp_path, validation=0.2), 1)
    told = data.preprocessing
    again = load_speech(settings(tmp_path, validation=0.2), 1)
    assert data.fingerprint() == again.fingerprint() and data.notes == ()
    assert len(data.test.y) == 4 and data.test.references == tuple(TEXTS)  # small, as data.tokens.lower says
    assert Frames.read(json.loads(json.dumps(vars(told)))) == told
    for part in (data.train, data.validation, data.test):
        real = (part.x != 0).any(axis=-1)
        np.testing.assert_array_equal(real.sum(axis=1), part.lengths[:, 0])
        assert all(row[: length[0]].all() for row, length in zip(real, part.lengths, strict=True))
        assert [told.text(row[row != 0]) for row in part.y] == list(part.references)
    frames = np.concatenate([row[: length[0]] for row, length in zip(data.train.x, data.train.lengths, strict=True)])
    np.testing.assert_allclose(frames.mean(axis=0), 0.0, atol=1e-3)
    assert data.train.weight.mean() == pytest.approx(1.0)
    speakers = [{file.split("/")[-2] for file in part.files} for part in (data.train, data.validation)]
    assert not speakers[0] & speakers[1] and len(speakers[1]) == 1  # no voice in both


def test_what_is_odd_is_counted(tmp_path):
    manifest(tmp_path, "train", 12)
    record(tmp_path / "wav/s1/long.wav", 2.0)
    record(tmp_path / "wav/s1/other.wav", 0.4, rate=16000)
    record(tmp_path / "wav/s2/none.wav", 0.4)
    with (tmp_path / "train.jsonl").open("a") as file:
        for name, text in (("long", "a"), ("other", "b"), ("none", " ")):
            speaker = 2 if name == "none" else 1
            file.write(json.dumps({"audio_filepath": f"wav/s{speaker}/{name}.wav", "text": text}) + "\n")
    manifest(tmp_path, "test", 3)
    with (tmp_path / "test.jsonl").open("a") as file:
        file.write(json.dumps({"audio_filepath": "wav/s1/long.wav", "text": "a ß"}) + "\n")
    data = load_speech(settings(tmp_path, audio={"longest": 1.0}), 0)
    told = data.preprocessing
    assert data.notes == (
        "1 of 15 train recordings have another sample rate and are resampled to 8000 Hz",
        "1 of 15 train transcripts are empty and left out",
        "1 of 15 train recordings last over 1 s and are left out",
        "1 of 4 test transcripts hold characters that train has not",
    )
    assert data.test.references[-1] == "a ß" and len(data.train.y) + len(data.validation.y) == 13
    assert told.input_shape[0] == data.test.lengths.max()


@pytest.mark.parametrize("lower", [True, False])
def test_a_model_that_is_always_right_has_no_errors(tmp_path, lower):
    jiwer = pytest.importorskip("jiwer")
    texts = ["Die  Straße", "ein ﬁxes Café …", "Größe ½", "\u200b"]  # the last says nothing
    for part, count in (("train", 16), ("test", 16)):
        manifest(tmp_path, part, count)
        lines = [json.loads(line) for line in (tmp_path / f"{part}.jsonl").read_text().splitlines()]
        said = ({**line, "text": texts[number // 4 % 4]} for number, line in enumerate(lines))
        (tmp_path / f"{part}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
    data = load_speech(settings(tmp_path, tokens={"kind": "char", "lower": lower}), 0)
    assert data.notes == (
        "4 of 16 train transcripts are empty and left out",
        "4 of 16 test transcripts are empty and left out",
    )
    references = data.test.references
    assert references[3:5] == (("die straße", "ein fixes café ...") if lower else ("Die Straße", "ein fixes Café ..."))
    perfect = [data.preprocessing.text(row[row != 0]) for row in data.test.y]
    assert jiwer.wer(list(references), perfect) == jiwer.cer(list(references), perfect) == 0.0


def test_training_utterances_are_heard_at_every_speed(tmp_path):
    manifest(tmp_path, "train", 12)
    manifest(tmp_path, "test", 3)
    data = load_speech(settings(tmp_path, audio={"speeds": [0.8, 1.25]}), 0)
    train, count = data.train, len(data.train.y)
    assert train.views.shape == (3 * count, *train.x.shape[1:]) and train.view_lengths.shape == (3 * count, 1)
    np.testing.assert_array_equal(train.views[:count], train.x)
    np.testing.assert_array_equal((train.views != 0).any(axis=-1).sum(axis=1), train.view_lengths[:, 0])
    own, slow, fast = train.view_lengths.reshape(3, count)
    np.testing.assert_allclose(slow / own, 1.25, atol=0.1)
    np.testing.assert_allclose(fast / own, 0.8, atol=0.1)
    loud = [train.views[view * count, : train.view_lengths[view * count, 0]].mean(axis=0) for view in range(3)]
    assert not np.allclose(loud[0], loud[1], atol=0.1)  # a lower voice
    assert len(data.test.views) == len(data.test.x) == 3  # what is measured is as it was recorded


def test_a_faster_tone_is_a_higher_one():
    time = np.arange(8000) / RATE
    quick = faster(np.sin(2 * np.pi * 400 * time).astype(np.float32), 1.25)
    assert len(quick) == 6400
    spectrum = np.abs(np.fft.rfft(quick[200:-200]))
    assert np.fft.rfftfreq(len(quick) - 400, 1 / RATE)[spectrum.argmax()] == pytest.approx(500, abs=2)


def test_a_file_that_is_no_sound_is_refused_by_name(tmp_path):
    manifest(tmp_path, "train", 8)
    (tmp_path / "wav/s1/train1.wav").write_text("no sound")
    with pytest.raises(MissingError, match=r"1 of 8 recordings cannot be used: .*train1\.wav"):
        load_speech(settings(tmp_path), 0)


def test_librispeech_and_ljspeech_are_read_as_they_lie(tmp_path):
    for speaker in (11, 12, 13):
        chapter = tmp_path / f"libri/train-clean-100/{speaker}/7"
        names = [f"{speaker}-7-{number:04d}" for number in range(3)]
        for name in names:
            record(chapter / f"{name}.flac", 0.4)
        (chapter / f"{speaker}-7.trans.txt").write_text("".join(f"{name} A B C\n" for name in names))
    data = load_speech(settings(tmp_path / "libri", "librispeech"), 0)
    assert len(data.test.y) == 3 and set(data.train.references) == {"a b c"}
    voices = [{file.split("/")[-3] for file in part.files} for part in (data.train, data.test)]
    assert not voices[0] & voices[1]
    for number in range(10):
        record(tmp_path / f"lj/wavs/LJ{number}.wav", 0.4)
    (tmp_path / "lj/metadata.csv").write_text("".join(f"LJ{number}|2 a|two a\n" for number in range(10)))
    data = load_speech(settings(tmp_path / "lj", "ljspeech"), 0)
    assert data.test.references == ("two a",) * len(data.test.y) and len(data.train.y) == 7
    (tmp_path / "lj/metadata.csv").write_text("LJ0|a|b|c\n")
    with pytest.raises(MissingError, match=r"metadata\.csv, line 1: received 4 fields"):
        load_speech(settings(tmp_path / "lj", "ljspeech"), 0)


def test_parts_are_carved_by_speaker_and_never_all(tmp_path):
    speakers = [f"s{number % 5}" for number in range(50)]
    chosen = carved(speakers, 0.15, 0, "validation")
    assert chosen.sum() == 10 and len({one for one, out in zip(speakers, chosen, strict=True) if out}) == 1
    assert carved([""] * 20, 0.25, 0, "test").sum() == 5
    with pytest.raises(MissingError, match="1 utterances are too few to carve a test part from"):
        carved([""], 0.5, 0, "test")
    manifest(tmp_path, "train", 12)
    with pytest.raises(UsageError, match=r"data\.subset: received 99"):
        load_speech(settings(tmp_path, subset=99), 0)
