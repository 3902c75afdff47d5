"""What treats every value by itself: activations, dropout, noise; and what mixes channels though it looks alike."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from spiral_cli.channels.ties import Labels
from spiral_cli.channels.trace import Axes, NotCoveredError, Signal, Trace, kind_of, rule

# Functions of `keras.activations` that look at one value at a time.
PLAIN = frozenset(
    (
        *("celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh"),
        *("leaky_relu", "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink"),
        *("softplus", "softsign", "sparse_plus", "sparse_sigmoid", "squareplus", "swish", "tanh", "tanh_shrink"),
        "threshold",
    )
)
MIXING = ("softmax", "log_softmax", "sparsemax")


def mixes(trace: Trace, activation: Any, labels: Labels | None, *, gate: bool = False) -> None:
    """Hold channels whose activation function looks at several of them together, or is not Keras' own.

    What it makes of a masked channel may be more than nothing, unless it is a ``gate``: multiplied with nothing.
    """
    name = name_of(activation)
    own = getattr(activation, "__module__", type(activation).__module__).startswith("keras.src.")
    if labels is None:
        return
    if not (own and (name in PLAIN or kind_of(activation) in SINGLE)):
        trace.ties.hold(labels, f"the activation {name} looks at all of them together" if own else f"{name} is unknown")
    elif not gate and not keeps_zero(activation):
        trace.ties.taint(labels)


def fills(trace: Trace, activation: Any, axes: Axes) -> None:
    """Say that channels along ``axes``, which an activation is not of, have values though all their weights are zero.

    So it is where it makes something of nothing, as a sigmoid does; and a softmax, along another axis than
    theirs, divides one among zeros.
    """
    for labels in axes:
        if labels is not None and (name_of(activation) in MIXING or not keeps_zero(activation)):
            trace.ties.taint(labels)


def name_of(activation: Any) -> str:
    """Return what an activation function, or a layer that stands for one, is called."""
    return getattr(activation, "__name__", type(activation).__name__)


def keeps_zero(function: Any, *numbers: float) -> bool:
    """Return whether a function of single values makes nothing of nothing: a channel without weights stays zero.

    Args:
        function: of one tensor, or of as many as there are ``numbers``.
        numbers: what it is tried with; a single zero by default.

    Raises:
        NotCoveredError: its result has another shape, so that it looks at more than single values.
    """
    found = np.asarray(keras.ops.convert_to_numpy(function(*(keras.ops.full((1,), one) for one in numbers or (0.0,)))))
    if found.shape != (1,):
        raise NotCoveredError("it holds an array of constants")
    return not found.any()


SINGLE = (
    *("ReLU", "LeakyReLU", "ELU", "Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout", "Identity"),
    *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "ActivityRegularization"),
)
SINGLE_OPS = (
    *("Absolute", "Abs", "Cbrt", "Ceil", "Clip", "Copy", "Cos", "Cosh", "Exp", "Exp2", "Expm1", "Floor", "Log"),
    *("Log10", "Log1p", "Log2", "Negative", "Reciprocal", "Round", "Sign", "Sin", "Sinh", "Sqrt", "Square", "Tan"),
    *("Tanh", "Relu", "Relu6", "Sigmoid", "Softplus", "Softsign", "SoftShrink", "Silu", "Squareplus", "LogSigmoid"),
    *("LeakyRelu", "HardSigmoid", "HardSilu", "Elu", "Selu", "Gelu", "Celu", "TanhShrink", "HardTanh", "HardShrink"),
    *("Threshold", "Cast", "StopGradient", "Rsqrt", "Erf", "NanToNum"),
)


@rule(*SINGLE, *(f"ops.{name}" for name in SINGLE_OPS))
def single(trace: Trace, layer: Any, shapes: list, inputs: Signal, *_: Any, **__: Any) -> Axes:
    """Every value by itself: labels pass."""
    tracked = [labels for labels in inputs.axes if labels is not None]
    shape = getattr(layer, "noise_shape", None) or (None,) * len(inputs.axes)
    if any(labels is not None and size not in (None, 1) for labels, size in zip(inputs.axes, shape, strict=True)):
        raise NotCoveredError("its noise_shape counts channels")
    if tracked and not keeps_zero(layer.call):
        for labels in tracked:
            trace.ties.taint(labels)
    return inputs.axes


@rule("StochasticDepth")
def whole_example(trace: Trace, layer: Any, shapes: list, inputs: Signal, *_: Any, **__: Any) -> Axes:
    """An example is dropped whole, or not."""
    return inputs.axes


@rule("Activation")
def activation(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """As the function does; softmax holds what it runs along."""
    mixes(trace, layer.activation, inputs.axes[-1])
    name = name_of(layer.activation)
    if name not in PLAIN and name not in MIXING and any(labels is not None for labels in inputs.axes):
        raise NotCoveredError(f"its function {name} is not known to look at single values")
    fills(trace, layer.activation, inputs.axes[:-1])
    return inputs.axes


@rule("Softmax", "ops.Softmax", "ops.LogSoftmax", "ops.Sparsemax")
def softmax(trace: Trace, layer: Any, shapes: list, inputs: Signal, *_: Any, **__: Any) -> Axes:
    """Channels it runs along stay: a masked one would still take its share. Along others it divides one among zeros."""
    axis = getattr(layer, "axis", -1)
    along = {one % len(inputs.shape) for one in (axis if isinstance(axis, list | tuple) else [axis])}
    for place, labels in enumerate(inputs.axes):
        if place in along:
            trace.hold_axis(labels, f"{layer.name} looks at all of them together")
        elif labels is not None:
            trace.ties.taint(labels)
    return inputs.axes
