"""What tasks have in common whose training examples are seen in augmented views."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from functools import cached_property
from typing import Self

import numpy as np

from spiral_cli.data.pipeline import Inputs
from spiral_cli.recipe.schema import Recipe


class Augmented(ABC):
    """A task of images, each seen in `data.views` views where the recipe has `data.augment`."""

    recipe: Recipe

    @property
    def views(self) -> int:
        """How many augmented copies of each training image there are; 1 without augmentation."""
        return self.recipe.data.views if self.recipe.data.augment else 1

    @property
    def train_inputs(self) -> Inputs:
        """Stored training images (views · n, height, width, channels), one view after the other, in memory or not."""
        return self.seen[0]

    @cached_property
    @abstractmethod
    def seen(self) -> tuple[Inputs, np.ndarray]:
        """Training images and their labels, of every view where labels differ between them."""

    def unaugmented(self) -> Self:
        """Return the task with every training image as it is."""
        other = copy(self)
        other.recipe = self.recipe.model_copy(update={"data": self.recipe.data.model_copy(update={"augment": []})})
        vars(other).pop("seen", None)
        return other
