"""Keras optimizers by their recipe names."""

from __future__ import annotations

import keras


def make_optimizer(name: str, weight_decay: float, precision: str = "float32") -> keras.optimizers.Optimizer:
    """Return a fresh optimizer; the loop sets its learning rate at every step.

    Args:
        name: ``adam``, ``adamw`` or ``sgd`` (Nesterov momentum 0.9).
        weight_decay: decoupled decay (Loshchilov and Hutter 2019), 0 for none.
        precision: of the step. Small gradients vanish in float16, so they are computed of a larger
            loss; a step whose gradients overflow changes nothing and makes the next factor smaller
            (Micikevicius et al. 2018).
    """
    optimizer = plain_optimizer(name, weight_decay)
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "mixed_float16" else optimizer


def plain_optimizer(name: str, weight_decay: float) -> keras.optimizers.Optimizer:
    """Return the optimizer itself."""
    decay = weight_decay or None
    match name:
        case "adam":
            return keras.optimizers.Adam(weight_decay=decay)
        case "adamw":
            return keras.optimizers.AdamW(weight_decay=weight_decay)
        case _:
            return keras.optimizers.SGD(momentum=0.9, nesterov=True, weight_decay=decay)
