"""Utterances with transcripts, in the layouts people have."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from toys import found_in

from spiral_cli.data.audio_files import Cut, faster, read_audio
from spiral_cli.data.frames import Frames
from spiral_cli.data.load import read_raw
from spiral_cli.data.speech import carved, load_speech
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.recipe.data import Data
from spiral_cli.recipe.schema import Recipe
from spiral_cli.tasks.speech_recognition import SpeechRecognition
from spiral_cli.tasks.transcription_head import Transcripts, ctc, frames_for

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
    assert data.fingerprint() == again.fingerprint() and found_in(data) == ()
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


def test_utterances_are_cut_out_of_a_long_recording(tmp_path):
    time = np.arange(4 * RATE) / RATE
    sound = 0.3 * np.sin(2 * np.pi * np.repeat([300, 900, 1500, 2100], RATE) * time)
    soundfile.write(tmp_path / "long.wav", sound, RATE, subtype="FLOAT")
    rows = [{"offset": 1.0, "duration": 0.5}, {"offset": 2.25}, {"offset": 0, "duration": 0.25}, {"duration": 1.0}]
    lines = [json.dumps({"audio_filepath": "long.wav", "text": "a", **row}) for row in rows] * 5
    for part in ("train", "valid"):
        (tmp_path / f"{part}.jsonl").write_text("\n".join(lines))
    cuts = [Cut(1.0, 0.5), Cut(2.25), Cut(0.0, 0.25), Cut()]
    assert [one.cut for one in read_raw(settings(tmp_path)).train.x[:4]] == cuts
    part = load_speech(settings(tmp_path), 0).test
    assert part.cuts[:4] == tuple(cuts) and set(part.files) == {str(tmp_path / "long.wav")}
    hop, window = 0.016 * RATE, 0.032 * RATE
    seconds = [0.5, 1.75, 0.25, 4.0]
    assert part.lengths[:4, 0].tolist() == [1 + int((one * RATE - window) // hop) for one in seconds]
    loudest = part.x[0, : part.lengths[0, 0]].mean(axis=0).argmax()
    whole = part.x[3, round(1.1 * RATE / hop) : round(1.4 * RATE / hop)].mean(axis=0)
    assert loudest == whole.argmax()  # what is heard in its first row is the second tone
    for cut, begin, end in zip(cuts, (1.0, 2.25, 0.0, 0.0), (1.5, 4.0, 0.25, 4.0), strict=True):
        read = read_audio(tmp_path / "long.wav", RATE, cut).samples
        np.testing.assert_array_equal(read, sound[round(begin * RATE) : round(end * RATE)].astype(np.float32))
    table = tmp_path / "table.tsv"
    table.write_text("text\tstart\taudio_filepath\tduration\na\t1\tlong.wav\t0.5\nb\t\tlong.wav\t1\n")
    raw = read_raw(Data(format="speech_manifest", path=str(table), columns={"offset": "start"}))
    assert [one.cut for one in raw.train.x] == [Cut(1.0, 0.5), Cut()]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"offset": -0.5}, r"train\.jsonl, line 2: received the offset '-0\.5'; allowed are seconds from 0"),
        ({"offset": "half"}, "line 2: received the offset 'half'"),
        ({"offset": [1]}, "line 2: 'offset' is a list"),
        ({"offset": 1.0}, r"line 2: the offset 1 is behind the end of the recording, which lasts 1 s"),
        ({"offset": 0.5, "duration": 0.7}, r"line 2: from 0\.5 s on 0\.7 s are more than the recording has"),
        ({"offset": 0.5, "duration": 0}, "line 2: received the duration 0; allowed are seconds above 0"),
        ({"offset": 0.5, "duration": "NaN"}, "line 2: received the duration 'NaN'"),
        ({"audio_filepath": "gone.wav"}, r"line 2: there is no file .*gone\.wav; paths are relative to the table"),
        ({"audio_filepath": " "}, "line 2: the path of the recording is empty"),
    ],
)
def test_a_row_of_what_is_not_there_is_refused_with_the_line(tmp_path, row, said):
    record(tmp_path / "one.wav", 1.0)
    good = {"audio_filepath": "one.wav", "text": "a", "offset": 0.5, "duration": 0.55}  # rounded up
    (tmp_path / "train.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps({**good, 'duration': None, **row})}\n")
    with pytest.raises(MissingError, match=said):
        read_raw(settings(tmp_path))


def test_what_is_odd_is_counted(tmp_path):
    manifest(tmp_path, "train", 12)
    record(tmp_path / "wav/s1/long.wav", 2.0)
    record(tmp_path / "wav/s1/other.wav", 0.4, rate=16000)
    for name in ("none", "unseen"):
        record(tmp_path / f"wav/s2/{name}.wav", 0.4)
    with (tmp_path / "train.jsonl").open("a") as file:
        for name, text in (("long", "a"), ("other", "b"), ("none", " "), ("unseen", "\u200b\u200b")):
            speaker = 2 if name in ("none", "unseen") else 1
            file.write(json.dumps({"audio_filepath": f"wav/s{speaker}/{name}.wav", "text": text}) + "\n")
    manifest(tmp_path, "test", 3)
    with (tmp_path / "test.jsonl").open("a") as file:
        file.write(json.dumps({"audio_filepath": "wav/s1/long.wav", "text": "a ß"}) + "\n")
    data = load_speech(settings(tmp_path, audio={"longest": 1.0}), 0)
    told = data.preprocessing
    assert found_in(data) == (
        "1 of 16 train recordings have another sample rate and are resampled to 8000 Hz",
        "2 of 16 train transcripts are empty and left out",
        "1 of 16 train recordings last over 1 s and are left out",
        "1 of 4 test transcripts hold characters that train has not",
    )
    assert data.test.references[-1] == "a ß" and len(data.train.y) + len(data.validation.y) == 13
    assert told.input_shape[0] == data.test.lengths.max()


@pytest.mark.parametrize("row", [{}, {"offset": 0.0}, {"offset": 0, "duration": 0.0}])
def test_recordings_of_nothing_are_left_out_whether_or_not_a_part_is_told(tmp_path, row):
    manifest(tmp_path, "train", 12, **row and {"offset": 0.0})
    record(tmp_path / "wav/s0/none.wav", 0.0)
    (tmp_path / "wav/s1/bytes.wav").write_bytes(b"")
    with (tmp_path / "train.jsonl").open("a") as file:
        for name in ("s0/none", "s1/bytes"):
            file.write(json.dumps({"audio_filepath": f"wav/{name}.wav", "text": "a", **row}) + "\n")
    data = load_speech(settings(tmp_path), 0)
    assert found_in(data) == ("2 of 14 train recordings hold no sound and are left out",)


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
    assert found_in(data) == (
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


def test_names_of_ljspeech_may_have_their_ending_and_must_be_of_files(tmp_path):
    table = tmp_path / "metadata.csv"
    record(tmp_path / "wavs/LJ0.wav", 0.4)
    table.write_text("LJ0.wav|a|a\nLJ0|b\n")
    raw = read_raw(settings(tmp_path, "ljspeech"))
    assert [one.file for one in raw.train.x] == [str(tmp_path / "wavs/LJ0.wav")] * 2
    table.write_text("LJ0|a\nLJ1|b\n")
    with pytest.raises(MissingError, match=r"metadata\.csv, line 2: there is no file .*LJ1\.wav$"):
        read_raw(settings(tmp_path, "ljspeech"))
    table.write_text("ID|Transcription|Normalized\nLJ0|a|a\n")
    with pytest.raises(MissingError, match=r"line 1: there is no file .*ID\.wav; .* if this is one, remove it"):
        read_raw(settings(tmp_path, "ljspeech"))
    with pytest.raises(
        MissingError, match=r"data\.path: .*metadata\.csv is a file; allowed is LibriSpeech's own folder"
    ):
        read_raw(settings(table, "librispeech"))


def test_parts_are_carved_by_speaker_and_never_all(tmp_path):
    speakers = [f"s{number % 5}" for number in range(50)]
    chosen = carved(speakers, 0.15, 0, "validation")
    assert chosen.sum() == 10 and len({one for one, out in zip(speakers, chosen, strict=True) if out}) == 1
    assert carved([""] * 20, 0.25, 0, "test").sum() == 5
    for seed in range(8):  # who says nearly everything is passed over, and is no part of a few others
        chosen = carved(["a"] * 98 + ["b", "c"], 0.1, seed, "test")
        assert chosen.sum() == 10
        np.testing.assert_array_equal(carved(["a"] * 98 + ["b", "c"], 0.1, seed, "test"), chosen)
        chosen = carved(["a"] * 90 + ["b"] * 6 + ["c"] * 4, 0.1, seed, "test")
        assert not chosen[:90].any() and chosen[90:].all()
    with pytest.raises(MissingError, match="1 utterances are too few to carve a test part from"):
        carved([""], 0.5, 0, "test")
    manifest(tmp_path, "train", 12)
    with pytest.raises(UsageError, match=r"data\.subset: received 99"):
        load_speech(settings(tmp_path, subset=99), 0)


def test_a_part_that_shares_speakers_with_train_is_told(tmp_path):
    manifest(tmp_path, "train", 18, speakers=2)
    manifest(tmp_path, "test", 3)
    assert found_in(load_speech(settings(tmp_path), 0)) == (
        "the validation part, 2 of 18 train utterances, shares 2 of 2 speakers with train: whole ones make no part of "
        "about that size",
    )
    manifest(tmp_path, "train", 18, speakers=1)
    assert found_in(load_speech(settings(tmp_path), 0)) == ()


def test_the_frames_of_a_transcript_are_the_fewest_that_have_an_alignment():
    y = np.array([[1, 2, 3, 0], [1, 1, 0, 0], [2, 2, 2, 0], [1, 2, 2, 1], [0, 0, 0, 0]], np.int32)
    assert frames_for(y).tolist() == [3, 3, 5, 5, 0]
    logits = tf.constant(np.random.default_rng(0).normal(size=(5, 5, 4)), tf.float32)
    for frames in range(1, 6):  # CTC gives 0 where there is none
        losses = ctc(logits, tf.constant(y), tf.fill([5], frames)).numpy()
        np.testing.assert_array_equal(losses > 0, frames_for(y) <= frames)


def test_utterances_too_short_for_their_transcripts_are_told_by_stride_and_speed(tmp_path):
    def reader(stride: int) -> keras.Model:
        frames = keras.Input((None, 8))
        x = keras.layers.AveragePooling1D(stride, padding="same")(frames)
        return keras.Model(frames, keras.layers.Dense(task.preprocessing.vocabulary)(x))

    record(tmp_path / "one.wav", 0.032 + 0.016 * 15)  # 16 frames: 4 of a stride of 4, 3 at the higher speed
    for part, texts in (("train", ["a", "abc", "abca", "aab", "aaa", "abcab"]), ("valid", ["a"]), ("test", ["b"])):
        rows = [json.dumps({"audio_filepath": "one.wav", "text": text}) for text in texts]
        (tmp_path / f"{part}.jsonl").write_text("\n".join(rows))
    data = settings(tmp_path, audio={"speeds": [1.25]})
    task = SpeechRecognition(Recipe(task="speech_recognition", data=data, teacher={"model": "speech_gru", "epochs": 1}))
    assert frames_for(task.dataset.train.y).tolist() == [2, 4, 5, 5, 6, 6]  # a word begins with a piece of its own
    assert task.unlearnable(reader(4)) == [
        "of 6 train utterances 4 at speed 1, 5 at speed 1.25 have fewer frames than their transcripts take, of which "
        "the model gives one for every 4, and teach nothing",
    ]
    assert task.unlearnable(reader(1)) == [] and found_in(task.dataset) == ()


def test_a_page_plays_the_part_of_a_recording_that_is_meant(tmp_path, monkeypatch):
    record(tmp_path / "long.wav", 3.0)
    line = json.dumps({"audio_filepath": "long.wav", "text": "a", "offset": 1.0, "duration": 0.5})
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}.jsonl").write_text(f"{line}\n{line}\n")
    teacher = {"model": "speech_gru", "epochs": 1}
    task = SpeechRecognition(Recipe(task="speech_recognition", data=settings(tmp_path), teacher=teacher))
    heard = []
    monkeypatch.setattr("spiral_cli.tasks.speech_recognition.data_uri", lambda samples, rate: heard.append(samples))
    task.samples(task.dataset.test, Transcripts(("a", "a")), Transcripts(("b", "a")), 2)
    assert [len(one) for one in heard] == [RATE // 2]
