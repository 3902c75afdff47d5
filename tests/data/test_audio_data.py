"""Recordings in folders and tables become three parts of spectrograms; what was found in them is said."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tones import PITCHES, tone, write, write_folder

from spiral_cli.data.audio import Clips, Excerpt, load_audio
from spiral_cli.data.audio_files import Cut, read_audio
from spiral_cli.data.preprocessing import from_json, to_json
from spiral_cli.data.spectrogram import LogMel, spectrograms
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets
from spiral_cli.tasks.classification import Head

SOUND = {"sample_rate": 8000, "seconds": 0.5, "mels": 16, "window": 0.032, "hop": 0.016}


def data(kind: str, path: Path, **keys) -> Data:
    return Data(format=kind, path=str(path), audio=SOUND, **keys)


def names(part) -> list[tuple[str, str]]:
    files = [one.file if isinstance(one, Excerpt) else one for one in part.x]
    return [(Path(file).name, str(label)) for file, label in zip(files, part.y, strict=True)]


@pytest.fixture
def folder(tmp_path) -> Path:
    write_folder(tmp_path / "set" / "train", 10)
    write_folder(tmp_path / "set" / "test", 4, seed=1000)
    return tmp_path / "set"


def test_parts_of_a_folder(folder):
    raw = datasets.get("audio_folder")(data("audio_folder", folder))
    assert names(raw.train)[:2] == [("00.wav", "high"), ("01.wav", "high")] and len(raw.train.y) == 30
    assert len(raw.test.y) == 12 and raw.validation is None
    one = datasets.get("audio_folder")(data("audio_folder", folder / "train", test=str(folder / "test")))
    assert names(one.train) == names(raw.train) and names(one.test) == names(raw.test)


def test_hidden_files_other_files_and_files_in_folders_below(folder):
    (folder / "train" / "low" / "notes.txt").write_text("no sound")
    (folder / "train" / "low" / "._00.wav").write_bytes(b"macOS")
    (folder / "train" / ".cache").mkdir()
    write(folder / "train" / "low" / "more" / "x.FLAC".lower(), tone(300.0))
    raw = datasets.get("audio_folder")(data("audio_folder", folder))
    assert len(raw.train.y) == 31 and ("x.flac", "low") in names(raw.train)


def test_a_class_folder_without_a_recording_is_refused(folder):
    (folder / "test" / "shrill").mkdir()
    (folder / "test" / "shrill" / "0.ogg").write_bytes(b"OggS")
    said = r"class 'shrill' is empty: .*test/shrill holds no file ending in \.wav or \.flac; add some or remove the"
    with pytest.raises(MissingError, match=said):
        datasets.get("audio_folder")(data("audio_folder", folder))
    (folder / "test" / "shrill" / "0.ogg").rename(folder / "test" / "shrill" / "0.WAV")
    assert ("0.WAV", "shrill") in names(datasets.get("audio_folder")(data("audio_folder", folder)).test)


def test_speech_commands(tmp_path):
    write_folder(tmp_path, 5)
    write(tmp_path / "_background_noise_" / "rain.wav", tone(100.0))
    (tmp_path / "validation_list.txt").write_text("low/01.wav\r\n\nhigh/03.wav\n")
    (tmp_path / "testing_list.txt").write_text("middle/00.wav\n")
    raw = datasets.get("audio_folder")(data("audio_folder", tmp_path))
    assert names(raw.validation) == [("01.wav", "low"), ("03.wav", "high")]
    assert names(raw.test) == [("00.wav", "middle")]
    assert len(raw.train.y) == 12 and set(raw.train.y) == set(PITCHES)
    for wrong in ("low/99.wav", "low/01.wav"):
        (tmp_path / "testing_list.txt").write_text(f"middle/00.wav\n{wrong}\n")
        with pytest.raises(MissingError, match=rf"testing_list.txt, line 2: there is no recording {wrong}"):
            datasets.get("audio_folder")(data("audio_folder", tmp_path))


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_tables(tmp_path, ending):
    rows = []
    for number, (name, pitch) in enumerate(PITCHES.items()):
        write(tmp_path / "clips" / f"{number}.wav", tone(pitch))
        rows.append((f"clips/{number}.wav", name))
    rows.append((str(tmp_path / "clips" / "0.wav"), "low"))
    if ending == "jsonl":
        text = "".join(json.dumps({"file": path, "word": name}) + "\n" for path, name in rows)
    else:
        between = {"csv": ",", "tsv": "\t"}[ending]
        text = "".join(between.join(row) + "\n" for row in [("file", "word"), *rows])
    table = tmp_path / f"train.{ending}"
    table.write_text(text)
    columns = {"path": "file", "label": "word"}
    raw = datasets.get("audio_table")(data("audio_table", tmp_path, columns=columns))
    assert names(raw.train) == [("0.wav", "low"), ("1.wav", "middle"), ("2.wav", "high"), ("0.wav", "low")]
    table.write_text(text.replace("clips/1.wav", "clips/7.wav"))
    line = 2 if ending == "jsonl" else 3
    with pytest.raises(MissingError, match=rf"train.{ending}, line {line}: there is no file .*7.wav; .*relative"):
        datasets.get("audio_table")(data("audio_table", tmp_path, columns=columns))


def test_tables_without_labels_or_rows(tmp_path):
    write(tmp_path / "a.wav", tone(300.0))
    table = tmp_path / "train.csv"
    table.write_text("path,label\na.wav, \n")
    with pytest.raises(MissingError, match=r"train.csv, line 2: the label is empty"):
        datasets.get("audio_table")(data("audio_table", tmp_path))
    table.write_text("path,label\n")
    with pytest.raises(MissingError, match="holds no row"):
        datasets.get("audio_table")(data("audio_table", tmp_path))


def test_examples_are_cut_out_of_a_long_recording(tmp_path):
    write(tmp_path / "long.wav", np.concatenate([tone(pitch, 0.5) for pitch in PITCHES.values()]))
    rows = [
        {"audio_filepath": "long.wav", "offset": 0.5 * number, "duration": 0.5, "command": name}
        for number, name in enumerate(PITCHES)
    ]
    (tmp_path / "train.json").write_text("".join(json.dumps(row) + "\n" for row in rows * 10))
    settings = data("audio_table", tmp_path, columns={"path": "audio_filepath", "label": "command"})
    loaded = load_audio(settings, 0)
    told, sounds = loaded.preprocessing, {}
    for number, name in enumerate(PITCHES):
        sounds[name] = read_audio(tmp_path / "long.wav", 8000, Cut(0.5 * number, 0.5)).samples
    for part in (loaded.train, loaded.validation, loaded.test):
        for row, label, cut in zip(part.x, part.y, part.cuts, strict=True):
            name = told.classes[label]
            assert cut == Cut(0.5 * list(PITCHES).index(name), 0.5)
            np.testing.assert_allclose(row, told.rows([sounds[name]])[0], atol=1e-3)
    (tmp_path / "train.tsv").write_text("path\tlabel\tstart\nlong.wav\tlow\t0\nlong.wav\thigh\t9\n")
    settings = data("audio_table", tmp_path / "train.tsv", columns={"offset": "start"})
    with pytest.raises(MissingError, match=r"train\.tsv, line 3: the offset 9 is behind the end of the recording"):
        load_audio(settings, 0)


def test_rows_are_standardised_by_train_and_the_same_seed_gives_the_same_bytes(folder):
    loaded = load_audio(data("audio_folder", folder, validation=0.2), 3)
    train = loaded.train
    assert isinstance(train, Clips) and train.x.dtype == np.float32
    assert train.x.shape == (24, *loaded.preprocessing.input_shape) == (24, 30, 16)
    assert (len(loaded.validation.y), len(loaded.test.y)) == (6, 12)
    assert loaded.preprocessing.classes == ("high", "low", "middle") and loaded.labels == "sparse"
    np.testing.assert_allclose(train.x.mean(axis=(0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(train.x.std(axis=(0, 1)), 1, atol=1e-3)
    assert all(note.endswith("recordings last over 0.5 s and are cut there") for note in loaded.notes)
    assert sum(int(note.split()[0]) for note in loaded.notes) == 9 + 3  # every third of a class
    again = load_audio(data("audio_folder", folder, validation=0.2), 3)
    assert again.fingerprint() == loaded.fingerprint()
    assert load_audio(data("audio_folder", folder, validation=0.2), 4).fingerprint() != loaded.fingerprint()


def test_every_row_is_the_file_that_it_names(folder):
    loaded = load_audio(data("audio_folder", folder, subset=9), 0)
    told = loaded.preprocessing
    for part in (loaded.train, loaded.validation, loaded.test):
        for row, label, file in zip(part.x, part.y, part.files, strict=True):
            assert Path(file).parent.name == told.classes[label]
            np.testing.assert_allclose(row, told.rows([read_audio(Path(file), 8000).samples])[0], atol=1e-3)
    assert len(loaded.train.y) == 9


def test_what_is_empty_is_left_out_and_what_is_mended_is_counted(folder):
    write(folder / "test" / "low" / "00.wav", np.zeros(0))
    (folder / "test" / "high" / "01.wav").write_bytes(b"")
    write(folder / "test" / "high" / "02.wav", tone(2500.0, rate=44_100), 44_100)
    write(folder / "test" / "high" / "00.wav", np.stack([tone(2500.0)] * 2, 1))
    loaded = load_audio(data("audio_folder", folder), 0)
    assert len(loaded.test.y) == len(loaded.test.x) == len(loaded.test.weight) == len(loaded.test.files) == 10
    assert not any(Path(file).parts[-2:] in {("low", "00.wav"), ("high", "01.wav")} for file in loaded.test.files)
    assert [note for note in loaded.notes if "cut" not in note] == [
        "2 of 12 test recordings hold no sound and are left out",
        "1 of 12 test recordings have another sample rate and are resampled to 8000 Hz",
        "1 of 12 test recordings have several channels and are mixed down to one",
    ]


def test_a_class_that_only_test_has_is_told(folder):
    write(folder / "test" / "shrill" / "0.wav", tone(3500.0))
    loaded = load_audio(data("audio_folder", folder), 0)
    assert loaded.preprocessing.classes == ("high", "low", "middle", "shrill")
    assert (
        "the class 'shrill' has no example in train, and 0 in validation, 1 in test, that no model can get right"
        in loaded.notes
    )


def test_damaged_files_stop_before_anything_is_trained(folder):
    files = sorted((folder / "train").rglob("*.wav"))[:7]
    for file in files:
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(MissingError, match=r"7 of \d\d recordings cannot be used: .*00.wav is truncated.*and 2 more"):
        load_audio(data("audio_folder", folder, validation=str(folder / "test")), 0)


def test_parts_of_nothing(folder, tmp_path):
    for file in (folder / "test").rglob("*.wav"):
        file.write_bytes(b"")
    with pytest.raises(MissingError, match="all 12 test recordings are empty"):
        load_audio(data("audio_folder", folder), 0)
    (tmp_path / "other" / "a").mkdir(parents=True)
    with pytest.raises(MissingError, match=r"other must hold a folder for each class with files ending in .wav"):
        load_audio(data("audio_folder", tmp_path / "other"), 0)
    with pytest.raises(MissingError, match="is a file; allowed is a folder"):
        load_audio(data("audio_folder", next((folder / "train").rglob("*.wav"))), 0)


def test_a_builder_gives_paths_and_nothing_else(folder, tmp_path, monkeypatch):
    (tmp_path / "made_here.py").write_text(
        "import numpy as np, pathlib\n"
        f"files = sorted(pathlib.Path({str(folder / 'train')!r}).rglob('*.wav'))\n"
        "y = np.array([file.parent.name for file in files])\n"
        "def paths(): return {'x': np.array(list(map(str, files))), 'y': y}\n"
        "def numbers(): return {'x': np.zeros((30, 800)), 'y': y}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = load_audio(Data(builder="made_here:paths", audio=SOUND), 0)
    assert len(loaded.train.y) + len(loaded.validation.y) + len(loaded.test.y) == 30
    with pytest.raises(MissingError, match=r"float64 of shape \(30, 800\); allowed are paths"):
        load_audio(Data(builder="made_here:numbers", audio=SOUND), 0)


def test_preprocessing_is_written_read_and_compared(folder):
    told = load_audio(data("audio_folder", folder), 0).preprocessing
    head = Head(exclusive=True, probabilities=False)
    beside = from_json(to_json("audio_classification", told, head))
    assert (beside.preprocessing, beside.head) == (told, head)
    assert told.differences(told) == []
    assert told.differences(replace(told, hop=0.02, high=3000.0)) == [
        "hop 0.016, and the recipe comes to 0.02; see data.audio.hop",
        "high None, and the recipe comes to 3000.0; see data.audio.high",
    ]
    assert "see data.classes" in told.differences(replace(told, classes=("a", "b", "c")))[0]
    assert "mean or deviation" in told.differences(replace(told, mean=(0.0,) * 16))[0]
    with pytest.raises(ValueError, match="15 means"):
        LogMel.read({**asdict(told), "mean": told.mean[1:]})


def test_model_inputs_have_a_channel(folder):
    loaded = load_audio(data("audio_folder", folder), 0)
    inputs = loaded.preprocessing.inputs(tf.constant(loaded.test.x))
    np.testing.assert_array_equal(inputs.numpy(), loaded.test.x[..., None])
    raw = spectrograms([tone(300.0)], loaded.preprocessing)
    back = loaded.preprocessing.standardised(raw) * np.float32(loaded.preprocessing.std)
    np.testing.assert_allclose(back + np.float32(loaded.preprocessing.mean), raw, atol=1e-3)


FSDD = Path(os.environ.get("SPIRAL_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "fsdd"


@pytest.mark.skipif(not FSDD.is_dir(), reason=f"the spoken digits are not in {FSDD}; SPIRAL_DATA says where they are")
def test_spoken_digits():
    settings = Data(format="audio_folder", path=str(FSDD), audio={"sample_rate": 8000})
    loaded = load_audio(settings, 0)
    assert [len(part.y) for part in (loaded.train, loaded.validation, loaded.test)] == [2430, 270, 300]
    assert loaded.preprocessing.classes == tuple("0123456789")
    assert loaded.preprocessing.input_shape == (98, 40)
    assert all("last over 1 s" in note for note in loaded.notes)
    assert {Path(file).stem.split("_")[-1] for file in loaded.test.files} == set("01234")
    np.testing.assert_array_equal(np.bincount(loaded.validation.y), [27] * 10)
