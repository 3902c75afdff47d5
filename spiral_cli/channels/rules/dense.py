"""Layers that multiply by a matrix: Dense, EinsumDense, Embedding; and a scale for each channel."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from spiral_cli.channels.rules.elementwise import fills, mixes
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
    fills(trace, layer.activation, inputs.axes[:-1])
    if layer.bias is not None:
        add_to(trace, inputs.axes[:-1])
    return (*inputs.axes[:-1], made)


def add_to(trace: Trace, axes: Axes) -> None:
    """Channels along axes that a layer's bias has not get it all the same: they are no longer zero where masked."""
    for labels in axes:
        if labels is not None:
            trace.ties.taint(labels)


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
    if layer.bias is not None:
        keep_bias_in_place(trace, layer, after, axes, shapes[0])
    for name in entering:
        if name not in kernel_axes and name not in after and (labels := axes[name]) is not None:
            trace.ties.sum_up(labels, f"{layer.name} sums over them")
    uses = positions([size for name, size in zip(before[1:], inputs.shape[1:], strict=True) if name not in kernel_axes])
    trace.bind(layer._kernel, *(axes[name] for name in kernel_axes), uses=uses)
    if layer.bias is not None:
        last = after[len(after) - len(layer.bias.shape) :]  # axes without a bias of their own are 1
        trace.bind(layer.bias, *(axes[name] if name in layer.bias_axes else None for name in last))
    elided = len(after) - 1 - len(layer.partial_output_shape)
    given = after[1 + elided :] if layer.equation.startswith("...") else after[1:]
    for place, (name, size) in enumerate(zip(given, layer.partial_output_shape, strict=False)):
        if size is not None:
            trace.edit(layer, ("output_shape", place), axes[name])
    mixes(trace, layer.activation, axes[after[-1]])
    fills(trace, layer.activation, tuple(axes[name] for name in after[:-1]))
    if layer.bias is not None:
        add_to(trace, tuple(axes[name] for name in after if name not in layer.bias_axes))
    return tuple(axes[name] for name in after)


def keep_bias_in_place(
    trace: Trace, layer: Any, after: str, axes: dict[str, Any], shape: tuple[int | None, ...]
) -> None:
    """Let stay what could bring a bias along another axis than its own.

    Keras, on TensorFlow, adds a bias of which one axis alone is longer than 1 along the last axis, or the second,
    if that is as long.

    Args:
        trace: what is found.
        layer: has a bias.
        after: names of the output's axes.
        axes: labels by name.
        shape: the output's.

    Raises:
        NotCoveredError: the bias does not run along the last axis, which may become as long as one that it has.
    """
    sizes = dict(zip(after, shape, strict=True))
    others, last = after[:-1], after[-1]
    beside = [name for name in others if name in layer.bias_axes]

    def as_long(one: str, other: str) -> bool:
        return may_be_as_long(sizes[one], axes[one], sizes[other], axes[other])

    for name in beside:
        if last not in layer.bias_axes and as_long(name, last):
            raise NotCoveredError(f"its bias runs along {name}, which may become as long as {last}, the last axis")
        if name != after[1] and as_long(name, after[1]):
            trace.hold_axis(axes[last], f"a single one would bring the bias of {layer.name} along another axis")


def may_be_as_long(size: int | None, labels: Any, other_size: int | None, other: Any) -> bool:
    """Say whether two axes, of which one at least loses channels, may become equally long, and longer than 1."""
    if labels is None and other is None:
        return False
    if size is None or other_size is None:
        return True
    least = max(2, size if labels is None else 1, other_size if other is None else 1)
    return least <= min(size, other_size)


def equation_of(layer: Any, rank: int) -> tuple[str, str, str]:
    """Return the names of the axes of input, kernel and output, an ellipsis written out."""
    operands, _, after = layer.equation.replace(" ", "").partition("->")
    before, kernel = operands.split(",")
    if "..." in before:
        free = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in layer.equation]
        names = "".join(free[: rank - len(before.replace("...", ""))])
        before, after = before.replace("...", names), after.replace("...", names)
    if any(len({*names}) != len(names) for names in (before, kernel, after)):
        raise NotCoveredError(f"equation {layer.equation} repeats an axis")
    if len(before) != rank or before[0] != after[0] or before[0] in kernel:
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


@rule("ReversibleEmbedding")
def reversible_embedding(
    trace: Trace, layer: Any, shapes: list, inputs: Signal, reverse: bool = False, **_: Any
) -> Axes:
    """As an embedding; in reverse its table, or another (width, entries), multiplies what comes in."""
    made = embedding(trace, layer, shapes, inputs)[-1]
    if not layer.tie_weights:
        uses = positions(inputs.shape[1:-1]) if reverse else 0.0
        trace.bind(layer.reverse_embeddings, inputs.axes[-1] if reverse else made, None, uses=uses)
        trace.join(made, trace.bound[id(layer.reverse_embeddings)][0])  # one width for both
    elif reverse:
        trace.bind(layer._embeddings, None, inputs.axes[-1], uses=positions(inputs.shape[1:-1]))
    if not reverse:
        return (*inputs.axes, made)
    if any(labels is not None for labels in inputs.axes[:-1]):
        raise NotCoveredError("channels run along another axis than its width")
    return (None,) * len(shapes[0])


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
    for labels in inputs.axes:
        if labels is not None and layer.offset != 0:
            trace.ties.taint(labels)
    return inputs.axes
