"""Sparsity pressure: gradients of penalties that push weights to zero before they are cut."""

from __future__ import annotations

from typing import Any

from keras import ops

from spiral_cli.registry import pressures

Tensor = Any
TINY = 1e-12  # where all weights are zero there is no push


@pressures.register("l1")
def l1(w: Tensor) -> Tensor:
    """sign(w), the gradient of Σ|w|: the same push on every weight."""
    return ops.sign(w)


@pressures.register("hoyer_square")
def hoyer_square(w: Tensor) -> Tensor:
    """Gradient of (Σ|w|)² / Σw²: pushes small weights down and large ones up (Yang et al. 2020).

    That is 2 sign(w) s/q - 2 w s²/q² with s = Σ|w|, q = Σw². Multiplied by q / 2s, it equals
    sign(w) - w s/q: as strong as ``l1`` on a weight near zero, whatever the layer's size.
    """
    s, q = ops.sum(ops.abs(w)), ops.sum(ops.square(w))
    return ops.sign(w) - w * s / (q + TINY)


@pressures.register("group_lasso")
def group_lasso(w: Tensor) -> Tensor:
    """Gradient of Σ‖row‖: all weights of one input (a row, along the last axis) shrink together (Wen et al. 2016).

    The push on a row has length 1, so on one weight about 1 / √outputs of what ``l1`` gives.
    """
    norm = ops.sqrt(ops.sum(ops.square(w), axis=-1, keepdims=True))
    return w / (norm + TINY)


def pressure_course(progress: float, cut: float) -> float:
    """Return the pressure's strength over a round: it builds up before the cut and ends before the polish.

    Args:
        progress: position in the round, 0 to 1.
        cut: part of the round in which density falls.

    Returns:
        a factor: rises linearly to 1 over the first tenth of the cut, stays there to its end, then 0.
    """
    if progress >= cut:
        return 0.0
    return min(1.0, progress / (0.1 * cut))


def pressure_strength(strength: float, density: float) -> float:
    """Return the factor of the pressure's gradient in a round that ends at ``density``.

    The recipe's ``strength`` is that of a round to 1 % density; others differ in inverse proportion.
    A fixed one is either too weak where few weights stay or harmful where many do: on
    Fashion-MNIST 3e-4 was best at 1 % and cost a whole point at 10 %, where 3e-5 cost nothing.
    """
    return strength * 0.01 / density
