"""The whole spiral from images on disk and targets on disk."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from record_files import encoded, example, write_shards
from small_runs import PATTERNS, X_TEST, Y_TEST, X, Y, assert_sound, run, write_recipe

from spiral_cli.errors import MissingError


@pytest.fixture
def pictures(tmp_path):
    for part, images, labels in (("train", X, Y), ("test", X_TEST, Y_TEST)):
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            place = tmp_path / "images" / part / f"class {label}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(place / f"{number:03}.png")
        records = [example(image=encoded(image), label=int(label)) for image, label in zip(images, labels, strict=True)]
        write_shards(tmp_path / "shards", part, records)
    return tmp_path


def recipe(folder, data=(), distill=()):
    source = {"format": "image_folder", "path": "images", "validation": 0.2, "augment": ["flip"], "views": 2}
    write_recipe(folder, train={"epochs": 3, "batch_size": 16}, distill=dict(distill))
    text = json.loads(json.dumps({"data": {**source, **dict(data)}}))
    path = folder / "spiral.yaml"
    import yaml

    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **text}))
    return path


@pytest.mark.parametrize("source", [("image_folder", "images"), ("tfrecord", "shards")])
def test_streamed_or_held_the_student_is_the_same_to_the_last_bit(pictures, source):
    assert PATTERNS.shape[0] == 3
    data = dict(zip(("format", "path"), source, strict=True))
    _, held = run(recipe(pictures, {**data, "stream": False}), "held")
    told = []
    report, streamed = run(recipe(pictures, {**data, "stream": True}), "streamed", listen=told.append)
    assert any("GB of images stay on disk and are read in every epoch (data.stream is true)" in str(e) for e in told)
    assert_sound(report, streamed)
    import keras

    for one, other in zip(*(keras.models.load_model(r.student).weights for r in (held, streamed)), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    # Resuming the other way is the same run: nothing is trained again.
    again, _ = run(recipe(pictures, {**data, "stream": False}), "streamed")
    assert again["rounds"] == report["rounds"]


@pytest.mark.slow
def test_targets_on_disk_are_shared_by_runs_that_name_a_cache(pictures):
    settings = {"memory_gb": 1e-6, "cache": "cache", "teacher": "ensemble", "top_k": 2}
    report, folder = run(recipe(pictures, distill=settings), "first")
    assert_sound(report, folder)
    files = {path: path.stat().st_mtime_ns for path in (pictures / "cache").rglob("*.npy")}
    assert files and not folder.targets.exists()
    again, _ = run(recipe(pictures, distill=settings), "second")
    assert again["rounds"][-1]["metrics"] == report["rounds"][-1]["metrics"]
    assert {path: path.stat().st_mtime_ns for path in (pictures / "cache").rglob("*.npy")} == files


@pytest.mark.slow
def test_a_teacher_in_every_step_needs_no_cache(pictures):
    report, folder = run(recipe(pictures, {"views": 100000}, {"targets": "online"}), "online")
    assert_sound(report, folder)
    assert not folder.targets.exists()


def test_an_image_that_is_damaged_later_ends_the_run_and_loses_nothing(pictures):
    path = recipe(pictures, {"stream": True, "image_size": [8, 8], "channels": 1})
    broken = next((pictures / "images" / "train" / "class 1").iterdir())
    content = broken.read_bytes()
    broken.write_bytes(b"x" * len(content))
    with pytest.raises(MissingError, match=f"{broken.name} cannot be read as an image"):
        run(path)
    broken.write_bytes(content)
    report, folder = run(path)
    assert_sound(report, folder)
