"""How stored rows become a model's inputs; kept beside the student as `preprocessing.json`.

Every kind of data has a class of its own: `pixels.Pixels`, `tokens.Tokens`, …
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias

import numpy as np

from spiral_cli.errors import MissingError

if TYPE_CHECKING:  # data are read without TensorFlow
    import tensorflow as tf

AT_ONCE = 2**22  # numbers: 16 MiB of inputs
TASK, HEAD = "task", "head"  # keys of `preprocessing.json`: whose it is, and how outputs are read
ModelInputs: TypeAlias = "tf.Tensor | list[tf.Tensor]"


class Preprocessing(Protocol):
    """What a model is given, as a frozen dataclass of plain data.

    Attributes:
        input_shape: of one stored row.
        classes: what the numbers along the outputs' last axis stand for: classes, characters, pieces.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one stored row."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What the numbers along the outputs' last axis stand for."""

    def inputs(self, stored: tf.Tensor, cut: tf.Tensor | None = None) -> ModelInputs:
        """Turn stored rows (batch, …) into what the model takes, where some have any length cut to ``cut``."""

    def differences(self, other: Self) -> list[str]:
        """Return a sentence for everything in which ``other`` is not the same, and the recipe's keys that say it."""

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `asdict` gave; raises KeyError, TypeError or ValueError where it did not."""


def to_json(task: str, preprocessing: Preprocessing, head: Any) -> str:
    """Return the text of `preprocessing.json`: whose it is, how outputs are read, and how inputs are made."""
    facts = {TASK: task, HEAD: head.facts, **asdict(preprocessing)}
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Beside:
    """What lies beside a student: the class of its task, how its inputs are made, how its outputs are read."""

    task: Any
    preprocessing: Preprocessing
    head: Any


def from_json(text: str) -> Beside:
    """Read the text of `preprocessing.json`.

    Raises:
        MissingError: the text is not what `to_json` writes.
    """
    from spiral_cli.registry import tasks

    try:
        facts = json.loads(text)
        task = tasks.get(facts.pop(TASK, "image_classification"))  # which none named before there were others
        head = facts.pop(HEAD, None)
        preprocessing = task.preprocessing_type.read(facts)
        return Beside(task, preprocessing, None if head is None else task.head_from(preprocessing, head))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MissingError(
            f"preprocessing.json cannot be used ({type(error).__name__}: {error}); it must be as spiral wrote it"
        ) from error


def model_inputs(
    stored: np.ndarray, preprocessing: Preprocessing, cut: np.ndarray | None = None
) -> tuple[np.ndarray, ...]:
    """Return stored rows (n, …) as the model sees them: one array for each of its inputs, in order; maybe cut."""
    import tensorflow as tf

    inputs = preprocessing.inputs(tf.constant(stored), None if cut is None else tf.constant(cut))
    return tuple(one.numpy() for one in (inputs if isinstance(inputs, list) else [inputs]))


def few(shape: tuple[int, ...], most: int) -> int:
    """Return how many inputs of ``shape`` to send through a model at once: ``most``, or fewer of large ones.

    What a convolutional network keeps in between is some ten times its input.
    """
    return max(1, min(most, AT_ONCE // math.prod(shape)))
