"""A model as it was before it learned anything."""

from __future__ import annotations

import keras


def begin_anew(model: keras.Model, seed: int) -> None:
    """Draw the trainable variables of a built model anew by their own initializers.

    A small network trained from what a large one left of itself can generalise worse than one trained
    from scratch (Ash and Adams 2020 on warm starts; Liu et al. 2019 on pruned architectures).

    Args:
        model: functional or sequential; its other variables stay.
        seed: the same gives the same values.
    """
    keras.utils.set_random_seed(seed)
    drawn = keras.models.clone_model(model)
    for variable, value in zip(model.trainable_variables, drawn.trainable_variables, strict=True):
        variable.assign(value)
