"""Convolutions: plain, grouped, transposed, depthwise, separable, in one, two and three dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from spiral_cli.channels.rules.dense import may_be_as_long, refuse_low_rank
from spiral_cli.channels.rules.elementwise import mixes
from spiral_cli.channels.rules.regular import Parts, divided, heads_of, places_of
from spiral_cli.channels.ties import Labels
from spiral_cli.channels.trace import Axes, NotCoveredError, Signal, Trace, positions, rule


def channel_axis(layer: Any, rank: int) -> int:
    """Return the axis of a layer's input that its channels run along."""
    return rank - 1 if layer.data_format == "channels_last" else 1


def axis_of_channels(trace: Trace, layer: Any, inputs: Signal) -> int:
    """Return the axis of a layer's input that its channels run along, and hold what runs along the others."""
    axis = channel_axis(layer, len(inputs.shape))
    hold_space(trace, layer, inputs, axis)
    return axis


def finish(trace: Trace, layer: Any, made: Labels, shape: tuple[int | None, ...]) -> None:
    """Say what follows the filters that a layer makes, in an output of ``shape``: its bias, config and activation."""
    refuse_bias_of_space(layer, shape, made)
    trace.bind(layer.bias, made)
    trace.edit(layer, "filters", made)
    mixes(trace, layer.activation, made)


def refuse_bias_of_space(layer: Any, shape: tuple[int | None, ...], made: Labels) -> None:
    """Leave whole what could come to as many channels, in front, as its output's last axis is long.

    There Keras, on TensorFlow, takes the bias for one of the last axis.

    Raises:
        NotCoveredError: it could.
    """
    first = layer.bias is not None and layer.data_format == "channels_first"
    if first and may_be_as_long(len(made), made, shape[-1], None):
        raise NotCoveredError(
            "its channels come first, and Keras adds the bias along the last axis where that is as long as there are "
            "channels; use channels_last, or use_bias: false"
        )


def placed(inputs: Signal, axis: int, labels: Labels | None) -> Axes:
    """Return the axes of an output whose channels have ``labels``; what ran along others ends with the layer."""
    return tuple(labels if index == axis else None for index in range(len(inputs.shape)))


def hold_space(trace: Trace, layer: Any, inputs: Signal, axis: int) -> None:
    """Channels that run along height or width would move under the kernel: they stay."""
    for index, labels in enumerate(inputs.axes):
        if index != axis and labels is not None:
            trace.ties.hold(labels, f"run along the space of {layer.name}")


def places(shape: tuple[int | None, ...], axis: int) -> int:
    """Return how many places the kernel is laid at, in an output of ``shape``."""
    return positions([size for index, size in enumerate(shape) if index not in (0, axis)])


@rule("Conv1D", "Conv2D", "Conv3D")
def convolution(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """The kernel is (*space, inputs / groups, filters)."""
    refuse_low_rank(layer)
    axis = axis_of_channels(trace, layer, inputs)
    entering, made = inputs.axes[axis], trace.fresh(layer, layer.filters)
    kernel_in = entering
    if layer.groups > 1:
        kernel_in = grouped(trace, layer, entering, made)
    space = (None,) * layer.rank
    trace.bind(layer._kernel, *space, kernel_in, made, uses=places(shapes[0], axis))
    finish(trace, layer, made, shapes[0])
    return placed(inputs, axis, made)


def grouped(trace: Trace, layer: Any, entering: Labels | None, made: Labels) -> Labels | None:
    """Keep the groups of a convolution equal; return the labels along its kernel's input axis."""
    groups = layer.groups
    if entering is None:
        # Inputs stay, so groups do: the same filters of every group leave.
        Parts(groups, whole=False).tie(trace, made)
        trace.edit(layer, "groups", None)
        return None
    parts = divided(len(entering), groups)
    parts.tie(trace, entering)
    if parts.whole:
        parts.tie(trace, made)
        parts.tie_all(trace, entering, made)
        trace.edit(layer, "groups", heads_of(entering, groups))
        return None
    parts.tie(trace, made)
    trace.edit(layer, "groups", None)
    return places_of(entering, groups)


@rule("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """The kernel is (*space, filters, inputs)."""
    axis = axis_of_channels(trace, layer, inputs)
    made = trace.fresh(layer, layer.filters)
    space = (None,) * layer.rank
    trace.bind(layer.kernel, *space, made, inputs.axes[axis], uses=places(inputs.shape, axis))
    finish(trace, layer, made, shapes[0])
    return placed(inputs, axis, made)


@rule("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """The kernel is (*space, inputs, multiplier); an input leaves with all it is multiplied to."""
    axis = axis_of_channels(trace, layer, inputs)
    entering = inputs.axes[axis]
    made = None if entering is None else np.repeat(entering, layer.depth_multiplier)
    space = (None,) * layer.rank
    trace.bind(layer.kernel, *space, entering, None, uses=places(shapes[0], axis))
    trace.bind(layer.bias, made)
    if made is not None:
        refuse_bias_of_space(layer, shapes[0], made)
        mixes(trace, layer.activation, made)
    return placed(inputs, axis, made)


@rule("SeparableConv1D", "SeparableConv2D")
def separable(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """A depthwise kernel (*space, inputs, multiplier), then a pointwise one (1, …, inputs x multiplier, filters)."""
    axis = axis_of_channels(trace, layer, inputs)
    entering, made = inputs.axes[axis], trace.fresh(layer, layer.filters)
    between = None if entering is None else np.repeat(entering, layer.depth_multiplier)
    space = (None,) * layer.rank
    uses = places(shapes[0], axis)
    trace.bind(layer.depthwise_kernel, *space, entering, None, uses=uses)
    trace.bind(layer.pointwise_kernel, *space, between, made, uses=uses)
    finish(trace, layer, made, shapes[0])
    return placed(inputs, axis, made)
