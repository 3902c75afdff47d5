"""Layers that multiply by a matrix: Dense, EinsumDense, Embedding; and a scale for each channel."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from spiral_cli.channels.rules.elementwise import mixes
from spiral_cli.channels.trace import Axes, NotCoveredError, Signal, Trace, positions, rule


@rule("Dense")
def dense(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """The kernel is (inputs, units)."""
    refuse_low_rank(layer)
    made = trace.fresh(layer, layer.units)
    uses = positions(inputs.shape[1:-1])
    trace.bind(layer._kernel, inputs.axes[-1], made, uses=uses)
    trace.bind(layer.bias, made)
    trace.edit(layer, "units", made)
    mixes(trace, layer.activation, made)
    return (*inputs.axes[:-1], made)


def refuse_low_rank(layer: Any) -> None:
    """Leave layers whole whose kernel is quantised or has an adapter: they have further variables.

    Raises:
        NotCoveredError: it is one.
    """
    if getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False):
        raise NotCoveredError("its kernel is quantised or has a LoRA adapter")


@rule("EinsumDense")
def einsum_dense(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """The equation names the axes: those only of kernel and output are made, those of all three pass."""
    refuse_low_rank(layer)
    before, kernel_axes, after = equation_of(layer, len(inputs.shape))
    entering = dict(zip(before, inputs.axes, strict=True))
    sizes = dict(zip(kernel_axes, layer._kernel.shape, strict=True))
    made = {}
    for name in kernel_axes:
        if name not in entering:
            made[name] = trace.fresh(layer, sizes[name], name)
    axes = {**entering, **made}
    uses = positions([size for name, size in zip(before[1:], inputs.shape[1:], strict=True) if name not in kernel_axes])
    trace.bind(layer._kernel, *(axes[name] for name in kernel_axes), uses=uses)
    if layer.bias is not None:
        names = [name for name in after if name in layer.bias_axes]
        dims = iter(names)
        trace.bind(layer.bias, *(axes[next(dims)] if size != 1 else None for size in bias_shape(layer, after)))
    for place, name in enumerate(after[1:]):
        given = layer.partial_output_shape[place]
        if given is not None:
            trace.edit(layer, ("output_shape", place), axes[name])
    mixes(trace, layer.activation, axes[after[-1]])
    return tuple(axes[name] for name in after)


def bias_shape(layer: Any, after: str) -> tuple[int, ...]:
    """Return the shape of an EinsumDense's bias, axes without a name being 1."""
    return tuple(layer.bias.shape)


def equation_of(layer: Any, rank: int) -> tuple[str, str, str]:
    """Return the names of the axes of input, kernel and output, an ellipsis written out."""
    operands, _, after = layer.equation.replace(" ", "").partition("->")
    before, kernel = operands.split(",")
    if "..." in before:
        free = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in layer.equation]
        names = "".join(free[: rank - len(before.replace("...", ""))])
        before, after = before.replace("...", names), after.replace("...", names)
    if len(before) != rank or len(set(before)) != len(before) or before[0] != after[0]:
        raise NotCoveredError(f"equation {layer.equation} is not covered")
    return before, kernel, after


@rule("Embedding")
def embedding(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """The table is (entries, width); only its width may become smaller."""
    refuse_low_rank(layer)
    made = trace.fresh(layer, layer.output_dim)
    trace.bind(layer._embeddings, None, made)
    trace.edit(layer, "output_dim", made)
    return (*inputs.axes, made)


@rule("LayerScale")
def layer_scale(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """ConvNeXt's scale of each channel."""
    labels = inputs.axes[-1]
    trace.bind(layer.gamma, labels)
    trace.edit(layer, "projection_dim", labels)
    return inputs.axes


@rule("PReLU")
def prelu(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """Slopes have the input's shape, shared axes being 1."""
    sizes = layer.alpha.shape
    axes = [None if size == 1 else labels for size, labels in zip(sizes, inputs.axes[1:], strict=True)]
    trace.bind(layer.alpha, *axes)
    return inputs.axes


@rule("Normalization", "Rescaling")
def constant_of_channels(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """Constants that are part of the config: channels stay, as those of a model's input do anyway."""
    single = isinstance(layer, keras.layers.Rescaling) and np.ndim(layer.scale) == 0 and np.ndim(layer.offset) == 0
    if not single and any(labels is not None for labels in inputs.axes):
        raise NotCoveredError("its constants are fixed for each channel")
    return inputs.axes
