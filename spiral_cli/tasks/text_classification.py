"""Text classification: one class a text, or several labels, from rows of piece numbers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from spiral_cli import registry
from spiral_cli.data import Split
from spiral_cli.data.texts import load_texts
from spiral_cli.data.tokenizer import PAD, text
from spiral_cli.data.tokens import TokenRows, refuse_empty
from spiral_cli.recipe.schema import Recipe
from spiral_cli.tasks.classifier import Classifier


@registry.tasks.register(
    "text_classification",
    data="texts",
    loss="crossentropy",
    metrics=("accuracy", "f1", "balanced_accuracy", "loss", "exact_match"),
)
class TextClassification(Classifier):
    """Say which class, or which labels, a text has."""

    preprocessing: TokenRows
    preprocessing_type = TokenRows

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, load_texts(recipe.data, recipe.seed))

    @property
    def model_arguments(self) -> tuple[Any, ...]:
        """Shape of a row, number of outputs, number of different pieces."""
        return *super().model_arguments, self.preprocessing.vocabulary

    @classmethod
    def rows_from(cls, preprocessing: TokenRows, inputs: Sequence[str]) -> np.ndarray:
        """Return sentences as rows (n, length); raises as `refuse_empty`."""
        rows, lengths = preprocessing.rows(inputs)
        refuse_empty(lengths[:, 0].tolist())
        return rows

    def shown(self, split: Split, rows: np.ndarray) -> list[dict[str, Any]]:
        """Return the texts, as a model reads them."""
        model = base64.b64decode(self.preprocessing.tokenizer)
        return [{"kind": "text", "source": text(model, row[row != PAD])} for row in split.x[rows]]
