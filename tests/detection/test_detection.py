"""Detection from drawn shapes to exported files, and what the task refuses, tells and draws."""

from __future__ import annotations

import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml
from drawn import CLASSES, Shape, picture, scattered, write_voc
from PIL import Image

from spiral_cli.compress import compress
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.events import silent
from spiral_cli.models.detector_small import detector_small
from spiral_cli.predict import draw as draw_all
from spiral_cli.predict import files_of, predict
from spiral_cli.recipe import load_recipe
from spiral_cli.run import RunFolder
from spiral_cli.runtimes.session import open_model
from spiral_cli.tasks.detection import Detection
from spiral_cli.tasks.detector import Head, Said
from spiral_cli.tasks.drawing import draw
from spiral_cli.training.build import training_data
from spiral_cli.training.control import Control

SIZE = (64, 64)
ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SPIRAL_DATA", ROOT.parent / "shared" / "data")) / "bccd"

BUILDER = '''
import keras
from spiral_cli.models.resnet import convolution

def tiny(input_shape, outputs):
    """Three convolutions and the output, on a grid of stride 8."""
    inputs = x = keras.Input(input_shape)
    for number, channels in enumerate((8, 16, 24)):
        x = keras.layers.ReLU()(convolution(x, channels, 3, 2, f"conv{number}"))
    x = keras.layers.ReLU()(convolution(x, 24, 3, 1, "conv3"))
    rare = keras.initializers.Constant(-4.0)
    x = keras.layers.Concatenate()([
        keras.layers.Conv2D(outputs - 4, 1, bias_initializer=rare, name="classes")(x),
        keras.layers.Conv2D(4, 1, name="boxes")(x),
    ])
    return keras.Model(inputs, keras.layers.Reshape((-1, outputs))(x))
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(0)
    parts = {
        part: [scattered(rng, SIZE) for _ in range(many)] for part, many in (("train", 60), ("val", 12), ("test", 16))
    }
    write_voc(folder / "set", parts, SIZE)
    (folder / "tiny_detector.py").write_text(BUILDER)
    return folder


def recipe(folder: Path, **sections):
    base = {
        "task": "detection",
        "data": {"format": "voc", "path": "set", "augment": ["flip"], "views": 2},
        "teacher": {"builder": "tiny_detector:tiny", "epochs": 30, "batch_size": 10, "learning_rate": 0.01},
        "prune": {"schedule": {"kind": "geometric", "final_sparsity": 0.5, "rounds": 1}},
        "train": {"epochs": 6, "batch_size": 10, "learning_rate": 0.004},
        "distill": {"features": [{"teacher": "conv3", "student": "conv3"}]},
        "guard": {"monitor": "ap50", "max_drop": 0.1},
        "export": {"to": ["keras", "litert", "litert_int8", "onnx"], "max_drop": 0.05},
    }
    for name, section in sections.items():
        base[name] = {**base.get(name, {}), **section} if isinstance(section, dict) else section
    path = folder / "spiral.yaml"
    path.write_text(yaml.safe_dump(base))
    return load_recipe(path)


@pytest.fixture(scope="module")
def finished(folder):
    run = RunFolder(folder / "run")
    return compress(recipe(folder), run, listen=silent, control=Control()), run


def test_a_run_finds_the_shapes_and_ships_every_file(finished):
    report, _ = finished
    assert report["status"] == "ok"
    assert report["teacher"]["metrics"]["test"]["ap50"] > 0.5
    assert report["selected"]["sparsity"] == pytest.approx(0.5, abs=0.01)
    for entry in report["artifacts"]:
        assert entry["status"] == "ok", entry
        assert entry["agreement"] > (0.8 if entry["kind"] == "litert_int8" else 0.999)
    assert set(report["selected"]["metrics"]["test"]) == {"ap50", "map", "loss"}


def test_channels_leave_a_detector(finished, folder):
    prune = {"granularity": "channel", "schedule": {"kind": "geometric", "final_sparsity": 0.3, "rounds": 1}}
    made = recipe(folder, prune=prune, guard={"max_drop": 1.0}, export={"to": ["keras"], "max_drop": 1.0})
    report = compress(
        made, RunFolder(folder / "narrow"), listen=silent, control=Control(), teacher_from=finished[1].root
    )
    assert report["selected"]["sparsity"] > 0.25
    assert keras.saving.load_model(folder / "narrow/student.keras").output_shape == (None, 64, 6)


def test_the_page_s_details_show_classes_and_pictures(finished):
    details = json.loads(finished[1].details.read_text())
    assert [one["name"] for one in details["classes"]] == list(CLASSES)
    assert all(0 <= one[who] <= 1 for one in details["classes"] for who in ("teacher", "student"))
    for one in details["samples"]:
        assert one["shown"]["source"].startswith("data:image/png;base64,")
        assert one["student"]["answer"]


def test_the_student_is_a_plain_keras_model_whose_answers_are_told_in_pixels_of_the_file(finished, folder):
    _, run = finished
    file = folder / "wide.png"
    shape = Shape("disc", (24, 20, 40, 36))
    picture([shape], SIZE).resize((192, 128)).save(file)  # three times as wide, twice as high
    facts = json.loads(run.preprocessing.read_text())
    head = Detection.head_from(None, facts.pop("head"))
    assert facts.pop("task") == "detection"
    told = Detection.preprocessing_type.read(facts)
    rows = Detection.rows_from(told, [str(file)])
    assert rows.shape == (1, *SIZE, 3)
    session = open_model(run.student, 1)
    assert head == Head(SIZE, (8,), 2)
    said = head.say(lambda x: session.run([x.astype(np.float32) * told.factor])[0], rows)
    (answer,) = Detection.tell(told, said)
    assert answer["answer"] == "1 disc"
    (box,) = answer["boxes"]
    assert box["class"] == "disc" and 0.3 <= box["confidence"] <= 1
    np.testing.assert_allclose(box["box"], [24 * 3, 20 * 2, 40 * 3, 36 * 2], atol=15)
    (predicted,) = predict(*files_of(run.root / "exports/litert.tflite", None), [str(file)])
    assert predicted["input"] == str(file) and predicted["answer"] == "1 disc"
    np.testing.assert_allclose(predicted["boxes"][0]["box"], box["box"], atol=0.01)
    facts = json.loads(run.preprocessing.read_text())
    other = folder / "other.json"
    other.write_text(json.dumps({**facts, "input_shape": [32, 96, 3]}))
    for model in (run.student, run.root / "exports/litert.tflite"):
        with pytest.raises(MissingError, match=r"cannot take inputs of \(1, 32, 96, 3\), which .*other\.json makes"):
            predict(*files_of(model, other), [str(file)])
    with pytest.raises(UsageError, match=r"--draw: .*wide\.png is a file; give a folder"):
        draw_all([predicted], file)
    (small,) = Detection.tell(told, Said(head, said.logits))
    np.testing.assert_allclose(np.array(small["boxes"][0]["box"]) * [3, 2, 3, 2], box["box"])
    drawn = draw(file, answer["boxes"], folder / "drawn.png")
    assert drawn.size == (192, 128) and (folder / "drawn.png").is_file()
    assert not np.array_equal(np.asarray(drawn), np.asarray(picture([shape], SIZE).resize((192, 128))))
    with pytest.raises(MissingError, match=r"nowhere\.png"):
        Detection.rows_from(told, [str(folder / "nowhere.png")])


def test_every_view_has_boxes_of_its_own(folder):
    task = Detection(recipe(folder, data={"views": 3}))
    head = task.head(task.build_model(task.recipe.teacher))
    data = training_data(task, head)
    assert len(data.x) == len(data.y) == len(data.weight) == 3 * len(task.dataset.train.x)
    assert not np.array_equal(data.y[:60], data.y[60:120])
    np.testing.assert_array_equal(data.example(np.array([5, 65, 170])), [5, 65, 170])


@pytest.mark.parametrize(("beside", "ahead"), [(0, True), (-1, False)])
def test_images_and_views_of_them_share_the_memory(folder, beside, ahead):
    one = 64 * 64 * 3
    every, train = 88 * one, len(Detection(recipe(folder)).dataset.train.x) * one
    task = Detection(recipe(folder, data={"memory_gb": max(every, 3 * train + beside) / 1e9}))
    assert isinstance(task.dataset.train.x, np.ndarray)
    assert isinstance(task.train_inputs, np.ndarray) == ahead


def test_pictures_and_views_that_stay_on_disk_make_the_same_student(folder):
    def student(name: str, stream: bool) -> list[np.ndarray]:
        short = {"epochs": 2, "batch_size": 10, "learning_rate": 0.01}
        made = recipe(folder, data={"stream": stream}, teacher=short, train={"epochs": 1}, export=["keras"],
                      guard={"max_drop": 1.0}, distill={"teacher": "original"})  # fmt: skip
        told: list[object] = []
        compress(made, RunFolder(folder / name), listen=told.append, control=Control())
        assert any("images stay on disk" in str(event) for event in told) == stream
        return [weight.numpy() for weight in keras.saving.load_model(folder / name / "student.keras").weights]

    for held, streamed in zip(student("held", False), student("streamed", True), strict=True):
        np.testing.assert_array_equal(held, streamed)


def test_images_without_augmentation_are_their_own_view(folder):
    task = Detection(recipe(folder, data={"augment": []}))
    assert task.views == 1 and task.train_inputs is task.dataset.train.x


def test_a_task_and_the_same_without_augmentation_are_apart(folder):
    task = Detection(recipe(folder))
    rows, boxes = len(task.train_inputs), task.dataset.train.y
    plain = task.unaugmented()
    assert plain.views == 1 and plain.train_inputs is task.dataset.train.x
    np.testing.assert_array_equal(plain.labels(task.dataset.train, None), boxes)
    assert task.views == 2 and len(task.train_inputs) == rows == len(task.labels(task.dataset.train, None))


@pytest.mark.parametrize("size", [(64, 64), (40, 56), (50, 70)])
def test_the_built_in_model_answers_on_one_grid_of_any_size(size):
    model = detector_small((*size, 3), 6)
    rows, columns = -(-size[0] // 8), -(-size[1] // 8)
    assert model.output_shape == (None, rows * columns, 6)


def outputs(places: int, width: int, shape=(*SIZE, 3)) -> keras.Model:
    inputs = keras.Input(shape)
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    return keras.Model(
        inputs, keras.layers.Reshape((places, width))(keras.layers.Dense(places * width)(x)), name="given"
    )


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: outputs(64, 5), "has 5 outputs at a place; the 2 classes"),
        (lambda: outputs(60, 6), r"answers at 60 places of an input of 64x64.*64 for stride 8"),
        (lambda: outputs(64, 6, (32, 32, 3)), "cannot take the data's inputs"),
        (lambda: keras.Sequential([keras.Input((*SIZE, 3)), keras.layers.Flatten()]), "detection needs one tensor"),
    ],
)
def test_models_that_do_not_fit_are_refused(model, said, folder):
    task = Detection(recipe(folder))
    with pytest.raises(UsageError, match=said):
        task.head(model())


def test_a_student_answers_at_the_teacher_s_places(folder):
    task = Detection(recipe(folder))
    assert task.head(outputs(256 + 64, 6)).strides == (4, 8)
    assert task.output_shape == (320, 6)
    with pytest.raises(UsageError, match=r"strides \(8,\), the teacher of \(4, 8\)"):
        task.head(outputs(64, 6))


def test_a_teacher_that_finds_nothing_is_doubted(folder):
    task = Detection(recipe(folder))
    model = outputs(64, 6)
    head = task.head(model)
    assert "it finds nothing" in (task.doubt(model, head, {"ap50": 0.001}) or "")
    assert task.doubt(model, head, {"ap50": 0.5}) is None


def test_arrays_of_a_builder_and_augmentations_that_turn_are_refused(folder):
    with pytest.raises(UsageError, match=r"detection reads files: use data\.format"):
        Detection(recipe(folder, data={"format": None, "path": None, "builder": "tiny_detector:tiny"}))
    with pytest.raises(UsageError, match="received 'rotate'"):
        Detection(recipe(folder, data={"augment": [{"rotate": 10}]}))


def test_models_and_formats_of_images_are_refused_by_the_recipe(folder):
    with pytest.raises(UsageError, match="detection is of boxes; allowed: detector_small"):
        recipe(folder, teacher={"builder": None, "model": "lenet5"})
    with pytest.raises(UsageError, match="detection is of boxes; allowed: coco, voc, yolo"):
        recipe(folder, data={"format": "image_folder"})


needs_bccd = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"there is no {DATA}; name the folder that holds bccd by SPIRAL_DATA"
)


def of_bccd(name: str, *settings: str):
    return load_recipe(ROOT / "configs/detection" / f"{name}.yaml", [f"data.path={DATA}", *settings])


@needs_bccd
@pytest.mark.parametrize("name", ["bccd", "bccd-channels"])
def test_blood_cells_are_read_and_mended(name):
    task = Detection(of_bccd(name))
    assert task.preprocessing.classes == ("Platelets", "RBC", "WBC")
    assert [len(split.x) for split in (task.dataset.train, task.dataset.validation, task.dataset.test)] == [174, 31, 87]
    assert sum("have no area" in note for note in task.dataset.notes) == 2


def test_a_picture_is_never_drawn_over_itself_and_one_without_ending_becomes_a_png(tmp_path):
    file = tmp_path / "cells"
    picture([], SIZE).save(file, "png")
    told = [{"input": str(file), "answer": "nothing", "boxes": []}]
    (drawn,) = draw_all(told, tmp_path / "seen")
    assert drawn == tmp_path / "seen/cells.png" and Image.open(drawn).size == SIZE[::-1]
    own = tmp_path / "cells.png"
    file.rename(own)
    before = own.read_bytes()
    with pytest.raises(UsageError, match=r"cells\.png is the picture itself.*give another folder"):
        draw_all([{**told[0], "input": str(own)}], tmp_path / "seen" / "..")
    assert own.read_bytes() == before
