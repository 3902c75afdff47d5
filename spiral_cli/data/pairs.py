"""How sentences and their translations become the inputs of an encoder and a decoder."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from spiral_cli.data.tokenizer import BEGIN, END, numbers, text
from spiral_cli.data.tokens import padded

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class PairRows:
    """A row is what the encoder is given and, behind it, what the decoder is.

    The encoder reads the pieces of a sentence and `END`; the decoder `BEGIN` and the pieces that
    it has said so far. Both are filled up with 0.

    Attributes:
        lengths: (source, target), the most pieces that are read and said.
        vocabulary: how many different numbers there are.
        tokenizer: sentencepiece's model of both languages in base64.
        source, target: what the recipe calls the languages.
    """

    lengths: tuple[int, int]
    vocabulary: int
    tokenizer: str
    source: str
    target: str

    @property
    def input_shape(self) -> tuple[int]:
        """(length,) of a row."""
        return (sum(self.lengths),)

    @property
    def classes(self) -> tuple[str, ...]:
        """None: what a model says are pieces."""
        return ()

    def inputs(self, stored: tf.Tensor, cut: tf.Tensor | None = None) -> list[tf.Tensor]:
        """Return what encoder (batch, source) and decoder (batch, target) are given, cut to lengths ``cut`` (2,)."""
        source, target = stored[:, : self.lengths[0]], stored[:, self.lengths[0] :]
        return [source, target] if cut is None else [source[:, : cut[0]], target[:, : cut[1]]]

    def rows(self, sentences: Sequence[str]) -> np.ndarray:
        """Return sentences, of which nothing is translated yet, as rows (n, length) int32."""
        return self.rows_of(self.pieces(sentences), [()] * len(sentences))

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text as numbers of pieces."""
        return numbers(base64.b64decode(self.tokenizer), texts)

    def rows_of(self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]) -> np.ndarray:
        """Return the pieces of sentences and of what is said of their translations as rows (n, length) int32."""
        read = [[*one[: self.lengths[0] - 1], END] for one in sources]
        said = [[BEGIN, *one] for one in targets]
        return np.concatenate([padded(read, self.lengths[0])[0], padded(said, self.lengths[1])[0]], axis=1)

    def labels(self, targets: Sequence[Sequence[int]]) -> np.ndarray:
        """Return what the decoder should say at every place (n, target) int32: the pieces, `END`, and padding."""
        return padded([[*one[: self.lengths[1] - 1], END] for one in targets], self.lengths[1])[0]

    def text(self, said: Iterable[int]) -> str:
        """Return what the decoder said, up to `END`, as text."""
        pieces = [int(piece) for piece in said]
        return text(base64.b64decode(self.tokenizer), pieces[: pieces.index(END)] if END in pieces else pieces)

    def sentence(self, row: np.ndarray) -> str:
        """Return the sentence of a row (length,) as it is read."""
        return self.text(row[: self.lengths[0]])

    def differences(self, other: PairRows) -> list[str]:
        """Return in what ``other`` is not the same, and the recipe's keys that say it."""
        found = []
        if self.lengths != other.lengths:
            found.append(f"lengths {self.lengths}, and the recipe comes to {other.lengths}; see data.tokens.max_length")
        if (self.source, self.target) != (other.source, other.target):
            found.append(
                f"{self.source} to {self.target}, the recipe {other.source} to {other.target}; see data.columns"
            )
        if self.tokenizer != other.tokenizer:
            found.append("another vocabulary than the recipe comes to; see data.tokens and the train part it is from")
        return found

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `dataclasses.asdict` gave."""
        base64.b64decode(facts["tokenizer"], validate=True)
        source, target = (int(length) for length in facts["lengths"])
        texts = {name: str(facts[name]) for name in ("tokenizer", "source", "target")}
        return cls(lengths=(source, target), vocabulary=int(facts["vocabulary"]), **texts)
