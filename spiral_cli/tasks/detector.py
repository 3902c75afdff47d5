"""How a detector's output is read: losses, answers and metrics of boxes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from spiral_cli.data.box_files import PADDING
from spiral_cli.data.pipeline import Inputs
from spiral_cli.tasks.average_precision import MOST, OVERLAPS, Matching, mean
from spiral_cli.tasks.head import DistillationLoss, Forward
from spiral_cli.tasks.once import Once
from spiral_cli.tasks.overlap import giou, matches
from spiral_cli.tasks.places import assigned, boxes_at, places

BALANCE, FOCUS = 0.25, 2.0  # alpha and gamma of the focal loss (Lin et al. 2017)
FOREGROUND = 0.1  # confidence of a teacher from which on its box is worth learning
BLOCK = 64  # images that are decoded at once
AT_A_HALF = (0.5,)


@dataclass(frozen=True)
class Head:
    """A detector's one output (batch, places, classes + 4): see `places` for what the numbers are.

    Attributes:
        shape: (height, width) of the model's input.
        strides: of its grids.
        classes: how many there are.
        least: the confidence from which on an answer is listed; average precision looks at all listed.
        overlap: of two answers of one class that overlap more the less certain one is left out (greedy
            non-maximum suppression); it is no part of exported files.
        sure: the confidence from which on an answer is shown, told and compared.
    """

    shape: tuple[int, int]
    strides: tuple[int, ...]
    classes: int
    least: float = 0.02
    overlap: float = 0.6
    sure: float = 0.4

    def __post_init__(self) -> None:
        for name in ("shape", "strides"):  # which JSON gives as lists
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def facts(self) -> dict[str, Any]:
        """Plain data from which the head is made again."""
        return asdict(self)

    @property
    def exclusive(self) -> bool:
        """Every class is asked for by itself.

        Where several teachers are averaged as such logits are, their boxes' numbers are, too: what comes out lies
        between theirs, near the mean.
        """
        return False

    @cached_property
    def places(self) -> np.ndarray:
        """X, y and stride of every place, (places, 3)."""
        return places(self.strides, self.shape)

    def logits(self, output: tf.Tensor) -> tf.Tensor:
        """Return the output as float32 (batch, places, classes + 4)."""
        return tf.cast(output, tf.float32)

    def task_loss(self, logits: tf.Tensor, y: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
        """Focal loss of the classes (Lin et al. 2017) and 1 - GIoU of the boxes (Rezatofighi et al. 2019).

        Both are summed over an image's places and divided by how many of these have an object to find.

        Args:
            logits: (batch, places, classes + 4).
            y: (batch, most, 5) left, top, right, bottom in pixels of the input, and class; below 0 for none.
            smoothing: how much less than certain an object is to be found.

        Returns:
            (batch,)
        """
        index = assigned(y, self.places)  # (B, P)
        there = tf.cast(index >= 0, tf.float32)
        wanted = tf.gather(y, tf.maximum(index, 0), batch_dims=1)  # (B, P, 5)
        kinds = tf.one_hot(tf.cast(wanted[..., 4], tf.int32), self.classes) * there[..., None] * (1.0 - smoothing)
        classes = tf.reduce_sum(focal(logits[..., : self.classes], kinds), axis=(1, 2))
        missed = 1.0 - giou(boxes_at(logits[..., self.classes :], self.places), wanted[..., :4])
        boxes = tf.reduce_sum(there * missed, axis=1)
        return (classes + boxes) / tf.maximum(tf.reduce_sum(there, axis=1), 1.0)

    def distillation_loss(
        self, loss: DistillationLoss, logits: tf.Tensor, taught: tf.Tensor, temperature: float, y: tf.Tensor
    ) -> tf.Tensor:
        """Return ``loss`` of the classes and 1 - GIoU of the boxes against a teacher's, (batch,).

        A place counts as much as the teacher's largest class probability there, and the sums are divided by
        that of these weights (Zhixing et al. 2021, "feature richness"): nearly all places are background, of
        which a mean would speak alone (the imbalance that Chen et al. 2017 weigh against). Boxes are learnt where
        the teacher sees an object, with `FOREGROUND` confidence or more; elsewhere they mean nothing.

        Args:
            loss: of rows (rows, classes), one value a row.
            logits, taught: (batch, places, classes + 4).
            temperature: of ``loss``.
            y: not used.
        """
        ours, theirs = (one[..., : self.classes] for one in (logits, taught))
        sure = tf.reduce_max(tf.sigmoid(theirs), axis=-1)  # (B, P)
        flat = loss(tf.reshape(ours, (-1, self.classes)), tf.reshape(theirs, (-1, self.classes)), temperature, False)
        classes = self.classes * tf.reshape(flat, tf.shape(sure))  # the sum over classes, as the task loss has it
        here, there = (boxes_at(one[..., self.classes :], self.places) for one in (logits, taught))
        seen = tf.where(sure >= FOREGROUND, sure, 0.0)
        total = tf.reduce_sum(sure * classes + seen * (1.0 - giou(here, there)), axis=1)
        return total / tf.maximum(tf.reduce_sum(sure, axis=1), 1.0)

    def say(self, forward: Forward, x: Inputs) -> Said:
        """Return what a model says of stored rows ``x``."""
        return Said(self, forward(x), getattr(x, "sizes", None))

    def decode(self, logits: np.ndarray) -> list[Found]:
        """Return the answers to each image, the surest first.

        Of each class those are left out that overlap a surer one by more than `overlap`; at most `MOST` stay.
        Boxes are cut off at the edges of the input; those outside of it are no answers.
        """
        height, width = self.shape
        limits = np.array([width, height, width, height], np.float32)
        found = []
        for start in range(0, len(logits), BLOCK):
            block = tf.constant(logits[start : start + BLOCK])
            boxes = tf.clip_by_value(boxes_at(block[..., self.classes :], self.places), 0.0, limits)
            kept, scores, kinds, counts = tf.image.combined_non_max_suppression(
                boxes[:, :, None],  # one box for all classes; corners in any order of axes
                tf.sigmoid(block[..., : self.classes]),
                max_output_size_per_class=MOST,
                max_total_size=MOST,
                iou_threshold=self.overlap,
                score_threshold=self.least,
                clip_boxes=False,
            )
            every = zip(kept.numpy(), scores.numpy(), kinds.numpy().astype(np.int64), counts.numpy(), strict=True)
            found += [Found(b[:k], s[:k], c[:k]).inside() for b, s, c, k in every]
        return found

    def measures(self, y: np.ndarray) -> tuple[str, ...]:
        """Return the names of the metrics, the one that counts first."""
        return ("ap50", "map", "loss")

    def metrics(self, said: Said, y: np.ndarray, weight: np.ndarray, only: str | None = None) -> dict[str, float]:
        """Measure answers against boxes ``y`` (n, most, 5) of images that count ``weight`` (n,) times each.

        Returns:
            Fractions ``ap50``, the average precision at an overlap of 0.5, and ``map``, its mean over overlaps
            from 0.5 to 0.95, both means over classes as COCO has them; and ``loss``. With ``only`` at
            least that one, without the others' work.
        """
        names = ("ap50", "map", "loss") if only is None else (only,)
        measured = {}
        if "map" in names:
            precision = said.matching(y).precision(weight)
            measured = {"ap50": mean(precision[0]), "map": mean(precision)}
        elif "ap50" in names:
            measured = {"ap50": mean(said.matching(y, AT_A_HALF).precision(weight))}
        if "loss" in names:
            measured["loss"] = float(np.average(said.losses(y), weights=weight))
        return measured

    def losses(self, logits: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the task loss (n,) of logits (n, places, classes + 4) against boxes ``y`` (n, most, 5)."""
        blocks = [slice(start, start + BLOCK) for start in range(0, len(y), BLOCK)]
        return np.concatenate([self.task_loss(tf.constant(logits[b]), tf.constant(y[b])).numpy() for b in blocks])

    def agreement(self, ours: Said, theirs: Said) -> float:
        """Return the part of the sure answers that two models share, the mean over images, as `shared`."""
        return float(np.mean([shared(a, b) for a, b in zip(ours.sure, theirs.sure, strict=True)]))


@dataclass(frozen=True)
class Found:
    """Answers to one image: boxes (k, 4) in pixels of the input, scores (k,) and classes (k,), the surest first."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray

    def above(self, least: float) -> Found:
        """Return the answers of at least this score."""
        return self._taken(self.scores >= least)

    def inside(self) -> Found:
        """Return the answers that have an area."""
        return self._taken(np.all(self.boxes[:, 2:] > self.boxes[:, :2], axis=-1))

    def _taken(self, kept: np.ndarray) -> Found:
        return Found(self.boxes[kept], self.scores[kept], self.classes[kept])


@dataclass(frozen=True)
class Said:
    """What a model says of a part of the data: logits (n, places, classes + 4), and the head that reads them.

    ``sizes`` are (height, width) of the files that the images are from, where these are known.
    """

    head: Head
    logits: np.ndarray
    sizes: tuple[tuple[int, int], ...] | None = None
    _matched: dict[tuple[float, ...], Once[Matching]] = field(
        default_factory=lambda: defaultdict(Once), repr=False, compare=False
    )
    _losses: Once[np.ndarray] = field(default_factory=Once, repr=False, compare=False)

    @cached_property
    def found(self) -> list[Found]:
        """The answers to each image."""
        return self.head.decode(self.logits)

    @cached_property
    def sure(self) -> list[Found]:
        """Those that are shown."""
        return [one.above(self.head.sure) for one in self.found]

    def matching(self, y: np.ndarray, overlaps: tuple[float, ...] = tuple(OVERLAPS)) -> Matching:
        """Return the answers matched with boxes ``y`` (n, most, 5), once for the same boxes."""

        def work(y: np.ndarray) -> Matching:
            found = [(one.boxes, one.scores, one.classes) for one in self.found]
            return Matching(y, found, self.head.classes, overlaps)

        return self._matched[overlaps](y, work)

    def losses(self, y: np.ndarray) -> np.ndarray:
        """Return the task loss (n,) against boxes ``y`` (n, most, 5), once for the same boxes."""
        return self._losses(y, lambda y: self.head.losses(self.logits, y))


def focal(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return the focal loss of sigmoid outputs against labels 0 or 1 of the same shape (Lin et al. 2017).

    The cross-entropy times (1 - p)^gamma, p being the probability of the right answer, so that what is easy
    counts little; times alpha for ones and 1 - alpha for zeros.
    """
    crossentropy = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
    wrong = tf.sigmoid(logits) * (1.0 - labels) + tf.sigmoid(-logits) * labels
    return (BALANCE * labels + (1.0 - BALANCE) * (1.0 - labels)) * tf.pow(wrong, FOCUS) * crossentropy


def shared(a: Found, b: Found) -> float:
    """Return which part of the answers to an image two models share, 1 where both see nothing.

    Twice the number of pairs of one class that overlap by a half or more, over the number of all answers.
    """
    total = len(a.boxes) + len(b.boxes)
    return 2 * matches(a.boxes, b.boxes, a.classes, b.classes) / total if total else 1.0


def truth_of(y: np.ndarray) -> Found:
    """Return the boxes (most, 5) of an image as answers that are certain."""
    there = y[y[:, 4] != PADDING]
    return Found(there[:, :4], np.ones(len(there)), there[:, 4].astype(np.int64))
