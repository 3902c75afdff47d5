"""Average precision as COCO defines it, computed by faster-coco-eval."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from spiral_cli.extras import needed

MOST = 100  # detections of a class in an image that count
OVERLAPS = np.linspace(0.5, 0.95, 10)
ALL_SIZES = [0.0, 1e10]


@dataclass(frozen=True)
class Matching:
    """Detections of many images matched with what is there; the images may then weigh differently.

    Attributes:
        truth: (n, most, 5) left, top, right, bottom, class; below 0 where there is no object.
        found: of each image boxes (k, 4), scores (k,) and classes (k,).
        classes: how many there are.
        overlaps: that a match needs, one precision for each.
    """

    truth: np.ndarray
    found: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]
    classes: int
    overlaps: tuple[float, ...] = tuple(OVERLAPS)

    def precision(self, weight: np.ndarray) -> np.ndarray:
        """Return the average precision (overlaps, classes) with images that count ``weight`` (n,) times each.

        It is NaN for a class without an object.
        """
        library = needed("faster_coco_eval.faster_eval_api_cpp", "detection")
        times = np.rint(weight).astype(np.int64)
        rows = np.repeat(np.arange(len(times)), times)
        parameters = copy.copy(self._parameters)
        parameters.imgIds = list(range(len(rows)))
        images = [self._images[index * len(times) + row] for index in range(self.classes) for row in rows]
        precision = np.asarray(library.COCOevalAccumulate(parameters, images)["precision"])
        found = precision[:, :, :, 0, 0]  # (overlaps, recalls, classes) of the one range of sizes
        return np.where((found > -1).any(axis=1), found.mean(axis=1), np.nan)

    @cached_property
    def _evaluated(self) -> tuple[Any, list[Any]]:
        coco = needed("faster_coco_eval", "detection")
        there, found = coco.COCO(), coco.COCO()
        images = [{"id": image} for image in range(len(self.truth))]
        categories = [{"id": index, "name": str(index)} for index in range(self.classes)]
        objects = [
            {**entry(image, box[:4], int(box[4])), "iscrowd": 0}
            for image, boxes in enumerate(self.truth)
            for box in boxes
            if box[4] >= 0
        ]
        answers = [
            {**entry(image, box, int(kind)), "score": float(score)}
            for image, (boxes, scores, kinds) in enumerate(self.found)
            for box, score, kind in zip(boxes, scores, kinds, strict=True)
        ]
        for one, boxes in ((there, objects), (found, answers)):
            numbered = [{**annotation, "id": number} for number, annotation in enumerate(boxes, 1)]
            one.dataset = {"images": images, "categories": categories, "annotations": numbered}
            one.createIndex()
        evaluation = coco.COCOeval_faster(there, found, "bbox", separate_eval=True, print_function=lambda *_: None)
        evaluation.params.iouThrs = np.array(self.overlaps)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [ALL_SIZES], ["all"]
        evaluation.params.maxDets = [MOST]
        evaluation.evaluate()
        return evaluation._paramsEval, evaluation._evalImgs_cpp

    @property
    def _parameters(self) -> Any:
        return self._evaluated[0]

    @property
    def _images(self) -> list[Any]:
        """What was matched, one image after the other for each class."""
        return self._evaluated[1]


def entry(image: int, box: np.ndarray, kind: int) -> dict[str, Any]:
    """Return one box of an image as COCO writes it."""
    left, top, right, bottom = map(float, box)
    width, height = right - left, bottom - top
    return {"image_id": image, "category_id": kind, "bbox": [left, top, width, height], "area": width * height}


def mean(precision: np.ndarray) -> float:
    """Return the mean over overlaps and those classes that have objects; 0 where none has."""
    return 0.0 if np.isnan(precision).all() else float(np.nanmean(precision))
