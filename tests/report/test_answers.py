"""How two classifiers differ, by arrays small enough to follow."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from spiral_cli.data.picture import LARGEST, data_uri
from spiral_cli.tasks.answers import disagreements, named, paired, recalls, said_of
from spiral_cli.tasks.classification import Head, Said, truth

CLASSES = Head(exclusive=True, probabilities=False)
LABELS = Head(exclusive=False, probabilities=False)
NAMES = ("cat", "dog", "bird")
ONES = np.ones(4, np.float32)


def sure(*classes: int, by: float = 4.0) -> Said:
    """Return a model that says these classes, ``by`` above the other two."""
    return Said(CLASSES, by * np.eye(3, dtype=np.float32)[list(classes)])


def test_pairs_are_counted_where_one_alone_is_right():
    true = np.array([0, 1, 2, 1])
    assert paired(true, sure(0, 1, 2, 0), sure(0, 0, 0, 1), ONES) == {
        "examples": 4, "only_teacher": 2, "only_student": 1
    }  # fmt: skip
    assert paired(true, sure(0, 1, 2, 1), sure(0, 1, 2, 1), ONES) == {
        "examples": 4, "only_teacher": 0, "only_student": 0
    }  # fmt: skip


def test_pairs_are_vague_with_weights_or_several_labels():
    true = np.array([0, 1, 2, 1])
    assert paired(true, sure(0, 1, 2, 0), sure(0, 0, 0, 1), np.array([1, 1, 1, 2.0])) is None
    several = Said(LABELS, np.ones((4, 3), np.float32))
    assert paired(np.ones((4, 3), np.int64), several, several, ONES) is None


def test_recalls_of_the_classes_that_occur():
    found = recalls(np.array([0, 0, 0, 2]), sure(0, 0, 0, 1), sure(0, 1, 0, 2), NAMES)
    assert found == [
        {"name": "cat", "examples": 3, "teacher": 1.0, "student": 2 / 3},
        {"name": "bird", "examples": 1, "teacher": 0.0, "student": 1.0},
    ]


def test_recalls_of_several_labels_are_of_each_label():
    true = np.array([[1, 0, 1], [1, 0, 0]])
    ours, theirs = (
        Said(LABELS, np.array(z, np.float32)) for z in ([[2, -1, -1], [2, 1, -1]], [[2, -1, 1], [-2, 1, 1]])
    )
    assert recalls(true, theirs, ours, NAMES) == [
        {"name": "cat", "examples": 2, "teacher": 0.5, "student": 1.0},
        {"name": "bird", "examples": 1, "teacher": 1.0, "student": 0.0},
    ]
    assert disagreements(theirs, ours, 5).tolist() == [0, 1]
    assert [named(one, NAMES) for one in ours.decided] == ["cat", "cat, dog"]
    assert named(np.zeros(3), NAMES) == "none"


def test_a_binary_model_has_two_classes():
    model = Said(LABELS, np.array([[3.0], [-1.0]], np.float32))
    assert model.decided.tolist() == [1, 0]
    assert model.confidence == pytest.approx([1 / (1 + np.exp(-3)), 1 / (1 + np.exp(-1))])
    assert truth(np.array([[1.0], [0.0]], np.float32), LABELS).tolist() == [1, 0]
    assert said_of(model, np.array([1]), ("no", "yes")) == [{"answer": "no", "confidence": pytest.approx(0.7310586)}]


def test_labels_in_every_form():
    hot = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], np.float32)
    assert truth(np.array([1, 0], np.int32), CLASSES).tolist() == [1, 0]
    assert truth(hot, CLASSES).tolist() == [1, 0]
    assert truth(hot, LABELS).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_the_surest_disagreements_come_first():
    logits = np.array([[5, 0, 0], [1, 0, 0], [3, 0, 0], [0, 9, 0]], np.float32)
    other = np.array([[0, 5, 0], [0, 1, 0], [0, 3, 0], [0, 1, 0]], np.float32)
    teacher, student = Said(CLASSES, logits), Said(CLASSES, other)
    assert disagreements(teacher, student, 9).tolist() == [0, 2, 1]
    assert disagreements(teacher, student, 2).tolist() == [0, 2]
    assert disagreements(teacher, teacher, 9).tolist() == []
    [first] = said_of(teacher, np.array([0]), NAMES)
    assert first == {"answer": "cat", "confidence": pytest.approx(np.exp(5) / (np.exp(5) + 2))}


def opened(address: str) -> Image.Image:
    kind, _, content = address.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA"), (2, "L")])
def test_a_picture_keeps_its_pixels(channels, mode):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(np.uint8)
    picture = opened(data_uri(image, 0, 255))
    assert (picture.mode, picture.size) == (mode, (7, 5))
    shown = image if channels in (3, 4) else image[..., 0]
    np.testing.assert_array_equal(np.asarray(picture), shown)


def test_a_picture_of_floats_is_scaled_and_clipped_and_a_large_one_made_small():
    image = np.array([-3.0, -1.0, 0.0, 1.0], np.float32).reshape(1, 4, 1)
    assert np.asarray(opened(data_uri(image, -1.0, 1.0))).tolist() == [[0, 0, 128, 255]]
    assert opened(data_uri(np.zeros((600, 300, 3), np.uint8), 0, 255)).size == (LARGEST // 2, LARGEST)


@pytest.mark.parametrize(("head", "labels"), [(CLASSES, np.array([0, 1, 2, 1])), (LABELS, np.eye(3)[[0, 1, 2, 1]])])
def test_the_accuracy_asked_for_alone_is_that_among_all(head, labels):
    logits = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    weight = np.array([1.0, 2.0, 0.5, 1.0], np.float32)
    y = labels.astype(np.int32 if labels.ndim == 1 else np.float32)
    everything = head.metrics(Said(head, logits), y, weight)
    alone = head.metrics(Said(head, logits), y, weight, "accuracy")
    assert alone["accuracy"] == pytest.approx(everything["accuracy"])
    assert set(head.measures(y)) == set(everything)


def test_losses_of_the_same_labels_are_worked_out_once_for_all_draws(monkeypatch):
    said, true = sure(0, 1, 1, 1), np.array([0, 1, 2, 1])
    losses = CLASSES.task_loss(said.logits, true).numpy()
    for weight in np.eye(4):
        assert CLASSES.metrics(said, true, weight, "loss") == {"loss": pytest.approx(losses @ weight)}
        monkeypatch.setattr(Head, "task_loss", None)
    monkeypatch.undo()
    assert CLASSES.metrics(said, 2 - true, np.ones(4), "loss")["loss"] != pytest.approx(losses.mean())


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1"])
def test_one_metric_is_what_it_is_among_all_and_takes_no_loss(monkeypatch, name):
    true, weight = np.array([0, 1, 2, 1]), np.array([1.0, 0.0, 2.0, 1.0])
    whole = CLASSES.metrics(sure(0, 1, 1, 1), true, weight)
    assert CLASSES.metrics(sure(0, 1, 1, 1), true, weight, "loss") == {"loss": whole["loss"]}
    monkeypatch.setattr(Head, "task_loss", None)
    assert CLASSES.metrics(sure(0, 1, 1, 1), true, weight, name)[name] == whole[name]
