"""Average precision against the whole evaluation of two libraries on the same files, and weights against copies."""

from __future__ import annotations

import json

import numpy as np
import pytest

from spiral_cli.tasks.average_precision import Matching, mean

CLASSES = 3


def scene(seed: int = 0, images: int = 12):
    """Return boxes (n, 6, 5) and answers near some of them, none for some images."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 150, (images, 6, 2))
    truth = np.concatenate(
        [low, low + rng.uniform(8, 60, (images, 6, 2)), rng.integers(0, CLASSES, (images, 6, 1))], -1
    )
    truth[rng.random((images, 6)) < 0.3] = -1
    truth = truth.astype(np.float32)
    found = []
    for boxes in truth:
        there = boxes[boxes[:, 4] >= 0]
        near = there[rng.random(len(there)) < 0.8]
        noise = rng.normal(0, 2, (len(near), 4))
        stray = np.sort(rng.uniform(0, 200, (4, 2, 2)), axis=1).reshape(4, 4)
        every = np.concatenate([near[:, :4] + noise, near[:, :4] + 2 * noise, stray]).astype(np.float32)
        kinds = np.concatenate([near[:, 4], near[:, 4], rng.integers(0, CLASSES, 4)]).astype(np.int64)
        scores = rng.permutation(len(every)) / 100 + rng.random() / 1000
        order = np.argsort(-scores)
        found.append((every[order], scores[order].astype(np.float32), kinds[order]))
    return truth, found


def write(folder, truth, found):
    """Write both as COCO's files."""
    there = {
        "images": [{"id": 1 + i, "width": 210, "height": 210} for i in range(len(truth))],
        "categories": [{"id": 1 + kind, "name": str(kind)} for kind in range(CLASSES)],
        "annotations": [],
    }
    said = []
    for i, (boxes, (answers, scores, kinds)) in enumerate(zip(truth.tolist(), found, strict=True)):
        for left, top, right, bottom, kind in boxes:
            if kind >= 0:
                there["annotations"].append(
                    {
                        "id": len(there["annotations"]) + 1,
                        "image_id": 1 + i,
                        "category_id": 1 + int(kind),
                        "bbox": [left, top, right - left, bottom - top],
                        "area": (right - left) * (bottom - top),
                        "iscrowd": 0,
                    }
                )
        for (left, top, right, bottom), score, kind in zip(
            answers.tolist(), scores.tolist(), kinds.tolist(), strict=True
        ):
            box = [left, top, right - left, bottom - top]
            said.append({"image_id": 1 + i, "category_id": 1 + kind, "bbox": box, "score": score})
    (folder / "truth.json").write_text(json.dumps(there))
    (folder / "found.json").write_text(json.dumps(said))
    return str(folder / "truth.json"), str(folder / "found.json")


@pytest.mark.parametrize("library", ["faster_coco_eval", "pycocotools"])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_what_libraries_find_in_the_same_files(library, seed, tmp_path, capsys):
    if library == "pycocotools":
        coco = pytest.importorskip("pycocotools.coco")
        evaluation = pytest.importorskip("pycocotools.cocoeval").COCOeval
    else:
        coco = pytest.importorskip("faster_coco_eval")
        evaluation = coco.COCOeval_faster
    truth, found = scene(seed)
    paths = write(tmp_path, truth, found)
    there = coco.COCO(paths[0])
    one = evaluation(there, there.loadRes(paths[1]), "bbox")
    one.evaluate()
    one.accumulate()
    one.summarize()
    precision = Matching(truth, found, CLASSES).precision(np.ones(len(truth)))
    assert 0.1 < mean(precision) < 0.9
    np.testing.assert_allclose(mean(precision), one.stats[0], atol=1e-12)
    np.testing.assert_allclose(mean(precision[0]), one.stats[1], atol=1e-12)
    np.testing.assert_allclose(precision, np.mean(one.eval["precision"][:, :, :, 0, 2], axis=1), atol=1e-12)


def test_a_weight_counts_an_image_so_many_times():
    truth, found = scene(2)
    weight = np.array([0, 1, 2, 3, 0, 1, 1, 1, 4, 0, 2, 1])
    copies = np.repeat(np.arange(12), weight)
    repeated = Matching(truth[copies], [found[i] for i in copies], CLASSES)
    weighted = Matching(truth, found, CLASSES).precision(weight)
    np.testing.assert_allclose(weighted, repeated.precision(np.ones(len(copies))), atol=1e-12)
    fewer = Matching(truth, found, CLASSES, (0.5,)).precision(weight)
    np.testing.assert_array_equal(fewer, weighted[:1])


def test_by_hand():
    truth = np.array([[[0, 0, 10, 10, 0], [20, 20, 30, 30, 0]]], np.float32)
    right, stray = [0, 0, 10, 10], [50, 50, 60, 60]
    found = [(np.array([stray, right], np.float32), np.array([0.9, 0.8]), np.array([0, 0]))]
    # Recall 0.5 at a precision of 0.5: so much at 51 of the 101 recalls looked at, nothing at the others.
    np.testing.assert_allclose(Matching(truth, found, 1).precision(np.ones(1)), 0.5 * 51 / 101)


def test_nothing_found_is_zero_and_a_class_that_is_not_there_does_not_count():
    truth = np.array([[[0, 0, 10, 10, 0]]], np.float32)
    nothing = [(np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0, int))]
    precision = Matching(truth, nothing, 2).precision(np.ones(1))
    np.testing.assert_array_equal(precision[0], [0.0, np.nan])
    assert mean(precision) == 0.0
    assert mean(Matching(np.full((1, 1, 5), -1, np.float32), nothing, 2).precision(np.ones(1))) == 0.0
