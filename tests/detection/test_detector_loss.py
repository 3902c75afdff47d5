"""The detector's places, assignment and losses against loops over places, and a decoding drawn by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from spiral_cli.registry import losses
from spiral_cli.tasks.detector import BALANCE, FOCUS, FOREGROUND, Head, Said, shared
from spiral_cli.tasks.places import IDEAL, NEAR, assigned, boxes_at, count, places, strides_of

CLASSES = 2
SHAPE = (48, 64)
HEAD = Head(SHAPE, (8,), CLASSES)
# One object of each class that overlap, a small one between four places, one at the corner, and padding.
OBJECTS = np.array(
    [
        [[4, 4, 36, 36, 0], [20, 8, 52, 44, 1], [7, 41, 9, 43, 1], [60, 44, 64, 48, 0]],
        [[10, 10, 40, 30, 1], [-1] * 5, [-1] * 5, [-1] * 5],
        [[-1] * 5] * 4,
    ],
    np.float32,
)


def by_hand(objects: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return which object each place has to find, place by place."""
    strides = sorted(set(at[:, 2].tolist()))
    found = np.full(len(at), -1)
    for place, (x, y, stride) in enumerate(at.tolist()):
        best = math.inf
        for index, (left, top, right, bottom, kind) in enumerate(objects.tolist()):
            if kind < 0:
                continue
            width, height = right - left, bottom - top
            dx, dy = abs(x - (left + right) / 2), abs(y - (top + bottom) / 2)
            own = min(strides, key=lambda one: abs(math.log(math.sqrt(width * height) / (IDEAL * one))))
            near = max(dx, dy) <= NEAR * stride and left <= x <= right and top <= y <= bottom
            if own != stride or not (near or max(dx, dy) <= stride / 2):
                continue
            far = (dx / width) ** 2 + (dy / height) ** 2
            if far < best:
                best, found[place] = far, index
    return found


def giou_by_hand(a, b) -> float:
    inside = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside
    around = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return inside / union - (around - union) / around


def box_by_hand(numbers, x: float, y: float, stride: float) -> tuple[float, ...]:
    cx, cy = x + numbers[0] * stride, y + numbers[1] * stride
    w, h = (IDEAL * stride * math.exp(one) for one in numbers[2:])
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def logits(seed: int = 0, head: Head = HEAD) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (3, len(head.places), CLASSES + 4)).astype(np.float32)


def test_places_are_the_middles_of_cells():
    np.testing.assert_array_equal(places((8,), (16, 24))[:4], [[4, 4, 8], [12, 4, 8], [20, 4, 8], [4, 12, 8]])
    at = places((8, 16), (20, 20))
    assert len(at) == 9 + 4 == count((8, 16), (20, 20))
    np.testing.assert_array_equal(at[-1], [24, 24, 16])


@pytest.mark.parametrize("strides", [(4,), (8,), (16,), (8, 16), (4, 8), (8, 16, 32)])
def test_strides_are_told_by_the_number_of_places(strides):
    assert strides_of(count(strides, (192, 256)), (192, 256)) == strides
    assert strides_of(count(strides, (192, 256)) + 1, (192, 256)) is None


@pytest.mark.parametrize("strides", [(8,), (8, 16)])
def test_objects_are_assigned_as_by_hand(strides):
    at = places(strides, SHAPE)
    found = assigned(tf.constant(OBJECTS), at).numpy()
    for one, objects in zip(found, OBJECTS, strict=True):
        np.testing.assert_array_equal(one, by_hand(objects, at))
    assert (found[2] == -1).all()
    assert set(found[0]) == {-1, 0, 1, 2, 3}  # however small, each is to be found somewhere


def test_random_objects_are_assigned_as_by_hand():
    rng = np.random.default_rng(3)
    at = places((8, 16), SHAPE)
    low = rng.uniform(0, 40, (20, 6, 2))
    objects = np.concatenate([low, low + rng.uniform(1, 30, (20, 6, 2)), rng.integers(-1, 2, (20, 6, 1))], axis=-1)
    found = assigned(tf.constant(objects, tf.float32), at).numpy()
    for one, there in zip(found, objects.astype(np.float32), strict=True):
        np.testing.assert_array_equal(one, by_hand(there, at))


def test_the_task_loss_is_that_of_loops_over_places():
    said = logits()
    found = HEAD.task_loss(tf.constant(said), tf.constant(OBJECTS)).numpy()
    for image in range(3):
        index = by_hand(OBJECTS[image], HEAD.places)
        total = 0.0
        for place, (x, y, stride) in enumerate(HEAD.places.tolist()):
            row = said[image, place].tolist()
            for kind in range(CLASSES):
                p = sigmoid(row[kind])
                if index[place] >= 0 and OBJECTS[image, index[place], 4] == kind:
                    total -= BALANCE * (1 - p) ** FOCUS * math.log(p)
                else:
                    total -= (1 - BALANCE) * p**FOCUS * math.log(1 - p)
            if index[place] >= 0:
                total += 1 - giou_by_hand(box_by_hand(row[CLASSES:], x, y, stride), OBJECTS[image, index[place], :4])
        wanted = total / max((index >= 0).sum(), 1)
        np.testing.assert_allclose(found[image], wanted, rtol=1e-4)


def test_padding_does_not_count():
    longer = np.concatenate([OBJECTS, np.full((3, 7, 5), -1, np.float32)], axis=1)
    said = tf.constant(logits())
    np.testing.assert_array_equal(HEAD.task_loss(said, tf.constant(OBJECTS)), HEAD.task_loss(said, tf.constant(longer)))


def test_a_perfect_answer_loses_nothing():
    index = by_hand(OBJECTS[0], HEAD.places)
    said = np.full((1, len(index), CLASSES + 4), -30, np.float32)
    for place, (x, y, stride) in enumerate(HEAD.places.tolist()):
        said[0, place, CLASSES:] = 0
        if index[place] >= 0:
            left, top, right, bottom, kind = OBJECTS[0, index[place]].tolist()
            said[0, place, int(kind)] = 30
            said[0, place, CLASSES:] = [
                ((left + right) / 2 - x) / stride,
                ((top + bottom) / 2 - y) / stride,
                math.log((right - left) / (IDEAL * stride)),
                math.log((bottom - top) / (IDEAL * stride)),
            ]
    assert HEAD.task_loss(tf.constant(said), tf.constant(OBJECTS[:1])).numpy()[0] < 1e-5
    decoded = HEAD.decode(said)[0]
    np.testing.assert_allclose(sorted(map(tuple, decoded.boxes)), sorted(map(tuple, OBJECTS[0, :, :4])), atol=1e-3)


def test_gradients_are_finite_everywhere():
    said = tf.Variable(30 * logits())
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(HEAD.task_loss(said, tf.constant(OBJECTS)))
    assert np.isfinite(tape.gradient(loss, said)).all()


@pytest.mark.parametrize(("name", "temperature"), [("kl", 1.0), ("kl", 3.0), ("mse", 1.0)])
def test_the_distillation_loss_is_that_of_loops_over_places(name, temperature):
    ours, theirs = logits(1), logits(2)
    loss = losses.get(name)
    arguments = tf.constant(ours), tf.constant(theirs), temperature, tf.constant(OBJECTS)
    found = HEAD.distillation_loss(loss, *arguments).numpy()
    for image in range(3):
        total = weights = 0.0
        for place, (x, y, stride) in enumerate(HEAD.places.tolist()):
            s, t = ours[image, place].tolist(), theirs[image, place].tolist()
            sure = max(map(sigmoid, t[:CLASSES]))
            for a, b in zip(s[:CLASSES], t[:CLASSES], strict=True):
                if name == "mse":
                    total += sure * 0.5 * (a - b) ** 2
                else:
                    q, p = sigmoid(a / temperature), sigmoid(b / temperature)
                    divergence = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
                    total += sure * temperature**2 * divergence
            if sure >= FOREGROUND:
                boxes = (box_by_hand(one[CLASSES:], x, y, stride) for one in (s, t))
                total += sure * (1 - giou_by_hand(*boxes))
            weights += sure
        np.testing.assert_allclose(found[image], total / max(weights, 1), rtol=1e-4)


def test_who_says_the_same_as_the_teacher_loses_nothing():
    said = tf.constant(logits())
    loss = HEAD.distillation_loss(losses.get("kl"), said, said, 2.0, tf.constant(OBJECTS))
    np.testing.assert_allclose(loss, 0, atol=1e-5)


def test_boxes_where_the_teacher_sees_nothing_do_not_matter():
    theirs = logits(2)
    theirs[..., :CLASSES] = -4  # 0.018, below the foreground
    ours = theirs.copy()
    ours[..., CLASSES:] += 1
    loss = HEAD.distillation_loss(losses.get("kl"), tf.constant(ours), tf.constant(theirs), 1.0, tf.constant(OBJECTS))
    np.testing.assert_allclose(loss, 0, atol=1e-6)


def test_of_answers_that_overlap_the_surest_of_each_class_stays():
    head = Head((32, 32), (8,), 2, least=0.1, overlap=0.5)
    said = np.full((1, 16, 6), -9, np.float32)
    said[..., 2:] = 0
    half = math.log(16 / (IDEAL * 8))
    # Places 5 (12, 12), 6 (20, 12) and 10 (20, 20): the same box of 16 x 16 around (16, 16), of class 0 twice.
    for place, (kind, logit) in {5: (0, 2.0), 6: (0, 1.0), 10: (1, 0.5)}.items():
        x, y, stride = head.places[place].tolist()
        said[0, place, kind] = logit
        said[0, place, 2:] = [(16 - x) / stride, (16 - y) / stride, half, half]
    # Place 0 (4, 4): another box of class 0, that reaches beyond the image.
    said[0, 0] = [0.0, -9, -1.0, -1.0, half, half]
    found = head.decode(said)[0]
    np.testing.assert_allclose(found.boxes, [[8, 8, 24, 24], [8, 8, 24, 24], [0, 0, 4, 4]], atol=1e-4)
    np.testing.assert_allclose(found.scores, [sigmoid(2.0), sigmoid(0.5), 0.5], rtol=1e-5)
    np.testing.assert_array_equal(found.classes, [0, 1, 0])
    assert len(head.decode(np.full((1, 16, 6), -9, np.float32))[0].boxes) == 0


def test_decoding_is_greedy_suppression_class_by_class():
    rng = np.random.default_rng(4)
    head = Head((64, 64), (8,), 3, least=0.2)
    said = rng.normal(0, 1, (2, 64, 7)).astype(np.float32)
    said[..., 3:] *= 0.3
    for image, found in zip(said, head.decode(said), strict=True):
        wanted = []
        boxes = [
            [min(max(edge, 0), 64) for edge in box_by_hand(row[3:].tolist(), *at)]
            for row, at in zip(image, head.places.tolist(), strict=True)
        ]
        for kind in range(3):
            kept = []
            for place in np.argsort(-image[:, kind], kind="stable"):
                score = sigmoid(float(image[place, kind]))
                if score > head.least and all(
                    iou_by_hand(boxes[place], boxes[other]) <= head.overlap for other in kept
                ):
                    kept.append(place)
            wanted += [(sigmoid(float(image[place, kind])), kind, *boxes[place]) for place in kept]
        wanted = [one for one in sorted(wanted, reverse=True)[:100] if one[4] > one[2] and one[5] > one[3]]
        told = np.column_stack([found.scores, found.classes, found.boxes])
        np.testing.assert_allclose(told, np.array(wanted), rtol=1e-4, atol=1e-3)


def iou_by_hand(a, b) -> float:
    inside = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside
    return inside / union if union else 0.0


def test_agreement_is_the_part_of_answers_that_are_shared():
    said = Said(HEAD, logits(5))
    assert HEAD.agreement(said, said) == 1.0
    silent = Said(HEAD, np.full_like(said.logits, -9))
    assert HEAD.agreement(said, silent) == 0.0
    assert HEAD.agreement(silent, silent) == 1.0
    some = said.sure[0]
    fewer = some.above(float(np.sort(some.scores)[1]))
    assert shared(some, fewer) == pytest.approx(2 * len(fewer.boxes) / (len(some.boxes) + len(fewer.boxes)))


def test_one_metric_is_what_it_is_among_all_and_takes_no_other_s_work(monkeypatch):
    pytest.importorskip("faster_coco_eval")
    said, weight = Said(HEAD, logits(5)), np.array([1.0, 2.0, 0.0])
    whole = HEAD.metrics(said, OBJECTS, weight)
    assert set(whole) == {"ap50", "map", "loss"}
    assert HEAD.metrics(said, OBJECTS, weight, "loss") == {"loss": whole["loss"]}
    monkeypatch.setattr(Head, "task_loss", None)
    for name in ("ap50", "map"):
        assert HEAD.metrics(said, OBJECTS, weight, name)[name] == pytest.approx(whole[name])


def test_losses_of_the_same_boxes_are_worked_out_once_for_all_draws(monkeypatch):
    said, silent = Said(HEAD, logits(5)), Said(HEAD, np.full_like(logits(5), -9))
    losses = HEAD.losses(said.logits, OBJECTS)
    for weight in np.eye(3):
        assert HEAD.metrics(said, OBJECTS, weight, "loss") == {"loss": pytest.approx(losses @ weight)}
        monkeypatch.setattr(Head, "losses", None)
    monkeypatch.undo()
    others = HEAD.metrics(said, OBJECTS[::-1], np.ones(3), "loss")
    assert others == {"loss": pytest.approx(HEAD.losses(said.logits, OBJECTS[::-1]).mean())}
    assert silent.losses(OBJECTS).mean() != pytest.approx(losses.mean())


def test_a_head_comes_back_from_json():
    import json
    from dataclasses import asdict

    assert Head(**json.loads(json.dumps(asdict(HEAD)))) == HEAD
    np.testing.assert_array_equal(
        boxes_at(tf.zeros((1, 1, 4)), np.array([[12, 20, 8.0]], np.float32))[0, 0], [-4, 4, 28, 36]
    )
