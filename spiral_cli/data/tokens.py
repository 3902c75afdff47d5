"""How texts become the model's input: rows of piece numbers."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from spiral_cli.data.tokenizer import PAD, numbers
from spiral_cli.errors import MissingError

if TYPE_CHECKING:
    import tensorflow as tf

LENGTH_STEP = 8  # rows are cut to multiples of it: kernels are prepared anew for every shape they meet


@dataclass(frozen=True)
class TokenRows:
    """What a model expects of a text: the numbers of its pieces, filled up with 0.

    Attributes:
        input_shape: (length,), the most pieces that are read.
        classes: names in the order of the model's outputs.
        vocabulary: how many different numbers there are.
        tokenizer: sentencepiece's model in base64.
    """

    dtype: ClassVar[str] = "int32"  # of stored rows
    input_shape: tuple[int]
    classes: tuple[str, ...]
    vocabulary: int
    tokenizer: str

    def inputs(self, stored: tf.Tensor, cut: tf.Tensor | None = None) -> tf.Tensor:
        """Return rows (batch, length) int32, all cut to the length ``cut`` (1,)."""
        return stored if cut is None else stored[:, : cut[0]]

    def rows(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return texts as rows (n, length) int32, and how many pieces (n, 1) int32 each has, at most length."""
        pieces = numbers(base64.b64decode(self.tokenizer), texts)
        return padded(pieces, self.input_shape[0])

    def differences(self, other: TokenRows) -> list[str]:
        """Return in what ``other`` is not the same, and the recipe's keys that say it."""
        found = []
        if self.classes != other.classes:
            found.append(f"classes {self.classes}, and the recipe comes to {other.classes}; see data.classes")
        if self.input_shape != other.input_shape:
            found.append(f"length {self.input_shape[0]}, the recipe {other.input_shape[0]}; see data.tokens.max_length")
        if self.tokenizer != other.tokenizer:
            found.append("another vocabulary than the recipe comes to; see data.tokens and the train part it is from")
        return found

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `dataclasses.asdict` gave."""
        base64.b64decode(facts["tokenizer"], validate=True)
        return cls(
            input_shape=(int(facts["input_shape"][0]),),
            classes=tuple(str(name) for name in facts["classes"]),
            vocabulary=int(facts["vocabulary"]),
            tokenizer=str(facts["tokenizer"]),
        )


def padded(pieces: Sequence[Sequence[int]], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return lists of numbers as rows (n, length) int32 filled up with `PAD`, and their lengths (n, 1) int32.

    What is longer is cut off.
    """
    rows = np.full((len(pieces), length), PAD, np.int32)
    lengths = np.array([[min(len(one), length)] for one in pieces], np.int32).reshape(-1, 1)
    for row, one in zip(rows, pieces, strict=True):
        row[: len(one)] = one[:length]
    return rows, lengths


def refuse_empty(counts: Iterable[int]) -> None:
    """Refuse inputs of which so many pieces are left.

    Raises:
        MissingError: of one there is none.
    """
    for number, count in enumerate(counts, 1):
        if not count:
            raise MissingError(f"input {number} is empty, or nothing in it is seen; give a sentence")


def cut_lengths(longest: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Return ``longest`` (steps, parts) rounded up to few different lengths, none above ``most`` (parts,)."""
    return np.minimum(-(-longest // LENGTH_STEP) * LENGTH_STEP, most).astype(np.int32)
