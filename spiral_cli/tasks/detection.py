"""Object detection: which objects an image shows, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spiral_cli import registry
from spiral_cli.data import Split
from spiral_cli.data.box_views import views
from spiral_cli.data.boxes import load_boxes
from spiral_cli.data.image_files import decode, look, read_image
from spiral_cli.data.load import streamed
from spiral_cli.data.picture import data_uri
from spiral_cli.data.preprocessing import model_inputs
from spiral_cli.data.stream import Images, in_memory_bytes, reader
from spiral_cli.data.stretched import Rows, Stretched
from spiral_cli.errors import UsageError
from spiral_cli.recipe.schema import Recipe
from spiral_cli.tasks.augmented import Augmented
from spiral_cli.tasks.classification import refuse_other_precision
from spiral_cli.tasks.detector import AT_A_HALF, Found, Head, Said, shared, truth_of
from spiral_cli.tasks.drawing import outlined
from spiral_cli.tasks.places import STRIDES, count, strides_of
from spiral_cli.tasks.plain import PlainTask

NOTHING = 0.02  # average precision below which a teacher has found nothing
LARGEST = 320  # pixels a side of an image on a page
ZOOM = 2  # thin lines on a small image hide what they mark
TRUTH, TEACHER, STUDENT = "#ffffff", "#3b82f6", "#f59e0b"


@registry.tasks.register(
    "detection",
    data="boxes",
    unused=("labels", "class_weights", "builder"),
    augments=("flip", "flip_vertical", "crop", "translate", "zoom", "contrast", "brightness"),  # see `box_views`
    class_metric="AP50",
    metrics=("ap50", "map", "loss"),
)
class Detection(Augmented, PlainTask):
    """Say which objects an image shows, and where.

    Training images are augmented ahead, each `data.views` times with its boxes, so every view has labels of its
    own. All models of a task answer at the same places: those of the first that `head` is asked about.

    Args:
        recipe: the recipe.
    """

    preprocessing_type = Stretched
    preprocessing: Stretched

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, load_boxes(recipe.data, recipe.seed))
        self._strides: tuple[int, ...] = (STRIDES[1],)  # of the built-in models
        self._asked = False

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the model's input."""
        return self.preprocessing.input_shape[:2]

    @property
    def output_shape(self) -> tuple[int, int]:
        """Places, and classes with the four numbers of a box."""
        return count(self._strides, self.shape), len(self.preprocessing.classes) + 4

    @cached_property
    def seen(self) -> tuple[Images, np.ndarray]:
        """Training images with their boxes, of every view."""
        train, settings = self.dataset.train, self.recipe.data
        if not settings.augment:
            return train.x, train.y
        x, y = views(train.x, train.y, settings.views, settings.augment, self.recipe.seed)
        # Of views that nothing is cached for most are never seen: they are not made ahead.
        if self.recipe.distill.targets == "online" or streamed(settings, in_memory_bytes(train.x) + x.nbytes):
            return x, y
        return x[:], y

    def labels(self, split: Split, head: Head) -> np.ndarray:
        """Return boxes (n, most, 5) float32; of train those of every view, as these differ."""
        return self.seen[1] if split is self.dataset.train else split.y

    def head(self, model: keras.Model, declared: str = "auto") -> Head:
        """Find out how to read ``model``: its outputs must fit the classes, its places the input and other models.

        Raises:
            UsageError: they do not.
        """
        refuse_other_precision(model)
        if declared == "probabilities":
            raise UsageError("teacher.output is probabilities, but a detector gives logits of classes; leave it out")
        places, outputs = self._output(model)
        classes = self.preprocessing.classes
        if outputs != len(classes) + 4:
            raise UsageError(
                f"model '{model.name}' has {outputs} outputs at a place; the {len(classes)} classes "
                f"({', '.join(classes)}) and a box need {len(classes) + 4}: check data.classes, or use another model"
            )
        strides = strides_of(places, self.shape)
        if strides is None:
            grids = ", ".join(f"{count((stride,), self.shape)} for stride {stride}" for stride in STRIDES)
            raise UsageError(
                f"model '{model.name}' answers at {places} places of an input of {self.shape[0]}x{self.shape[1]}; "
                f"allowed are grids of one stride or of several neighbouring ones: {grids}"
            )
        if self._asked and strides != self._strides:
            raise UsageError(
                f"model '{model.name}' answers on grids of strides {strides}, the teacher of {self._strides}; "
                "a student learns place by place, so they must be the same"
            )
        self._strides, self._asked = strides, True
        return Head(self.shape, strides, len(classes))

    def _output(self, model: keras.Model) -> tuple[int, int]:
        """Return how many places and outputs ``model`` has.

        Raises:
            UsageError: it cannot take the images, or gives something else.
        """
        inputs = model_inputs(self.dataset.validation.x[:1], self.preprocessing)
        try:
            output = model(*inputs, training=False)
        except Exception as error:
            raise UsageError(
                f"model '{model.name}' cannot take the data's inputs of shape {self.preprocessing.input_shape} "
                f"({str(error).strip().splitlines()[0]}); set data.image_size and data.channels to what it expects"
            ) from error
        if not tf.is_tensor(output) or len(output.shape) != 3:
            given = tuple(output.shape) if tf.is_tensor(output) else type(output).__name__
            raise UsageError(
                f"model '{model.name}' gives {given}; detection needs one tensor (batch, places, classes + 4)"
            )
        return int(output.shape[1]), int(output.shape[2])

    def doubt(self, model: keras.Model, head: Head, metrics: Mapping[str, float]) -> str | None:
        """Return why a teacher that finds nothing has nothing to teach, or None."""
        if metrics["ap50"] >= NOTHING:
            return None
        return (
            f"average precision at an overlap of 0.5 is {metrics['ap50']:.3f} on validation, so it finds nothing. "
            "Where it is good elsewhere, the recipe feeds or reads it wrongly (suspects: data.scale, the order of "
            "data.classes, another meaning of its outputs); else it has had too few teacher.epochs"
        )

    def classes(self, split: Split, teacher: Said, student: Said) -> list[dict[str, Any]]:
        """Return ``name``, ``examples`` (boxes), and ``teacher`` and ``student`` AP50 of every class that occurs."""
        y = split.y
        theirs, ours = (said.matching(y, AT_A_HALF).precision(split.weight)[0] for said in (teacher, student))
        counts = np.bincount(y[..., 4][y[..., 4] >= 0].astype(np.int64), minlength=len(theirs))
        return [
            {"name": name, "examples": int(many), "teacher": float(their), "student": float(our)}
            for name, many, their, our in zip(self.preprocessing.classes, counts, theirs, ours, strict=True)
            if many
        ]

    def samples(self, split: Split, teacher: Said, student: Said, most: int) -> list[dict[str, Any]]:
        """Return up to ``most`` images of which the two share the smallest part of their answers, with all boxes.

        The teacher's are blue, the student's orange, and those that are there white.
        """
        alike = np.array([shared(a, b) for a, b in zip(teacher.sure, student.sure, strict=True)])
        rows = [row for row in np.argsort(alike, kind="stable")[:most] if alike[row] < 1.0]
        return [self._sample(split, row, teacher.sure[row], student.sure[row]) for row in rows]

    def _sample(self, split: Split, row: int, teacher: Found, student: Found) -> dict[str, Any]:
        true = truth_of(split.y[row])
        layers = [
            ("true", true.boxes, TRUTH),
            ("teacher", teacher.boxes, TEACHER),
            ("student", student.boxes, STUDENT),
        ]
        picture = outlined(reader(split.x)(row), layers, ZOOM)
        names = self.preprocessing.classes
        return {
            "shown": {"kind": "image", "source": data_uri(picture, 0.0, 255.0, LARGEST)},
            "truth": counted(true, names),
            "teacher": {"answer": counted(teacher, names), "confidence": None},
            "student": {"answer": counted(student, names), "confidence": None},
        }

    @classmethod
    def head_from(cls, preprocessing: Stretched, facts: Mapping[str, Any]) -> Head:
        """Return the head whose `Head.facts` these are."""
        return Head(**facts)

    @classmethod
    def rows_from(cls, preprocessing: Stretched, inputs: Sequence[str]) -> np.ndarray:
        """Return image files as `Rows` (n, height, width, channels) uint8; MissingError names one that is none."""
        height, width, channels = preprocessing.input_shape
        files = [Path(name) for name in inputs]
        images = [read_image(file, lambda image: decode(image, channels, (height, width))) for file in files]
        return Rows.of(np.stack(images), [read_image(file, look).size for file in files])

    @classmethod
    def tell(cls, preprocessing: Stretched, said: Said) -> list[dict[str, Any]]:
        """Return of every image how many objects of which class it shows, and its ``boxes``, the surest first.

        They are in pixels of the files that the rows were made from, where `rows_from` made them.
        """
        sizes = said.sizes or (preprocessing.input_shape[:2],) * len(said.logits)
        return [answer(found, preprocessing, size) for found, size in zip(said.sure, sizes, strict=True)]


def answer(found: Found, preprocessing: Stretched, size: tuple[int, int]) -> dict[str, Any]:
    """Return what was found in an image of ``size`` (height, width) as plain data."""
    boxes = preprocessing.original(found.boxes, size)
    return {
        "answer": counted(found, preprocessing.classes),
        "boxes": [
            {"class": preprocessing.classes[kind], "confidence": float(score), "box": [float(edge) for edge in box]}
            for box, score, kind in zip(boxes, found.scores, found.classes, strict=True)
        ],
    }


def counted(found: Found, names: Sequence[str]) -> str:
    """Return how many objects of each class there are, as a person reads it."""
    counts = Counter(found.classes.tolist())
    return ", ".join(f"{counts[index]} {name}" for index, name in enumerate(names) if counts[index]) or "nothing"
