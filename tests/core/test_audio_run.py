"""Speech classification from recipe to report, on tones; and its recipe on the spoken digits, where they are."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_runs import assert_sound, run
from tones import soundfile, tone, write, write_folder

from spiral_cli.compress import build_task
from spiral_cli.data.audio import Clips
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.predict import predict
from spiral_cli.recipe import load_recipe
from spiral_cli.report.page import write_page

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "configs" / "speech" / "fsdd.yaml"
DATA = Path(os.environ.get("SPIRAL_DATA", ROOT.parent / "shared" / "data"))


def write_recipe(folder: Path, **sections) -> Path:
    base = {
        "task": "audio_classification",
        "data": {
            "format": "audio_folder",
            "path": "set",
            "validation": 0.2,
            "audio": {"sample_rate": 8000, "seconds": 0.5, "mels": 16, "window": 0.032, "hop": 0.032},
        },
        "teacher": {"model": "ds_cnn", "epochs": 14, "batch_size": 8, "learning_rate": 0.003},
        "prune": {"criterion": "lamp", "schedule": [0.7]},
        "train": {"epochs": 8, "batch_size": 8},
        "guard": {"max_drop": 0.2},
        "export": {"to": ["keras", "litert_int8"], "max_drop": 0.1},
    }
    path = folder / "spiral.yaml"
    path.write_text(yaml.safe_dump(base | sections))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    write_folder(folder / "set" / "train", 40)
    write_folder(folder / "set" / "test", 10, seed=5000)
    report, where = run(write_recipe(folder))
    return report, where, folder


def test_the_student_of_tones_is_sound(finished):
    report, where, _ = finished
    assert report["selected"]["metrics"]["test"]["accuracy"] > 0.9
    assert_sound(report, where, report["rounds"][-1]["sparsity"])
    assert [(one["kind"], one["status"]) for one in report["artifacts"]] == [("keras", "ok"), ("litert_int8", "ok")]


def test_files_alone_are_enough_to_hear_with(finished, tmp_path):
    report, where, folder = finished
    files = sorted((folder / "set" / "test").rglob("*.wav"))
    for one in report["artifacts"]:
        told = predict(where.root / one["path"], where.preprocessing, [str(file) for file in files])
        right = np.mean([said["answer"] == file.parent.name for said, file in zip(told, files, strict=True)])
        assert right == pytest.approx(one["metrics"]["test"]["accuracy"])
        assert all(1 / 3 <= said["confidence"] <= 1.0 for said in told)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "words.wav").write_text("no sound but words " * 10)
    for name, refusal in (("empty", "empty.wav holds no sound"), ("words", "words.wav cannot be read as audio")):
        with pytest.raises(MissingError, match=refusal):
            predict(where.student, where.preprocessing, [str(files[0]), str(tmp_path / f"{name}.wav")])


def test_what_is_shown_is_what_a_model_hears(finished):
    _, _, folder = finished
    task = build_task(load_recipe(folder / "spiral.yaml"))
    part = task.dataset.test
    assert isinstance(part, Clips)
    for row, shown in zip((0, 2), task.shown(part, np.array([0, 2])), strict=True):
        assert shown["kind"] == "audio"
        head, _, content = shown["source"].partition(",")
        assert head == "data:audio/wav;base64"
        heard, rate = soundfile.read(io.BytesIO(base64.b64decode(content)), dtype="float32")
        whole, _ = soundfile.read(part.files[row], dtype="float32")
        assert rate == 8000
        np.testing.assert_allclose(heard, whole[:4000], atol=1e-4)


def test_of_a_long_recording_the_part_is_shown_that_is_meant(tmp_path):
    sound = np.concatenate([tone(pitch, 0.5) for pitch in (300.0, 900.0)])
    write(tmp_path / "long.wav", sound)
    rows = "".join(f"long.wav\t{name}\t{offset}\t0.5\n" for name, offset in (("low", 0.0), ("high", 0.5)))
    (tmp_path / "train.tsv").write_text("path\tlabel\toffset\tduration\n" + rows * 10)
    sounds = {"sample_rate": 8000, "seconds": 0.4, "mels": 16, "window": 0.032, "hop": 0.032}
    task = build_task(load_recipe(write_recipe(tmp_path, data={"format": "audio_table", "path": ".", "audio": sounds})))
    part = task.dataset.test
    assert isinstance(part, Clips)
    for label, shown in zip(part.y, task.shown(part, np.arange(len(part.y))), strict=True):
        heard, _ = soundfile.read(io.BytesIO(base64.b64decode(shown["source"].partition(",")[2])), dtype="float32")
        begin = {"low": 0, "high": 4000}[task.dataset.preprocessing.classes[label]]
        np.testing.assert_allclose(heard, sound[begin : begin + 3200], atol=1e-3)


def test_a_page_plays_what_the_two_disagree_on(finished):
    _, where, _ = finished
    told = json.loads(where.details.read_text())
    said = {"answer": "low", "confidence": 0.9}
    shown = {"kind": "audio", "source": "data:audio/wav;base64,UklGRg=="}
    told["samples"] = [{"shown": shown, "truth": "low", "teacher": said, "student": {**said, "answer": "high"}}]
    before = where.details.read_text()
    where.details.write_text(json.dumps(told))
    try:
        write_page(where)
        assert '<audio controls preload="none" src="data:audio/wav;base64,UklGRg=="></audio>' in where.page.read_text()
    finally:
        where.details.write_text(before)
        write_page(where)


@pytest.mark.slow
def test_bc_resnet_loses_channels(finished):
    _, _, folder = finished
    recipe = write_recipe(
        folder,
        teacher={"model": "bc_resnet", "epochs": 10, "batch_size": 8, "learning_rate": 0.003},
        prune={"granularity": "channel", "criterion": "l2", "schedule": [0.4], "min_channels": 4},
        guard={"max_drop": 0.7},
    )
    report, _ = run(recipe, "channels")
    left = report["rounds"][-1]["left"]
    assert left["channels"] <= 0.61 and left["flops"] < 0.8 and left["parameters"] < 0.8
    assert [(one["kind"], one["status"]) for one in report["artifacts"]] == [("keras", "ok"), ("litert_int8", "ok")]


def test_recipes_of_other_kinds_of_data_are_refused(tmp_path):
    for section, value, allowed in (
        ("data", {"format": "image_folder", "path": "set"}, "audio_folder, audio_table"),
        ("teacher", {"model": "resnet20"}, "bc_resnet, ds_cnn"),
        ("teacher", {"application": "MobileNetV2"}, "received an application, which takes images"),
        (
            "data",
            {"format": "audio_folder", "path": "set", "augment": ["flip"]},
            "received augmentations, .* of images",
        ),
    ):
        with pytest.raises(UsageError, match=allowed):
            load_recipe(write_recipe(tmp_path, **{section: value}))
