"""What moves values without changing them, or takes them together over space."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from spiral_cli.channels.rules.convolution import axis_of_channels, channel_axis, hold_space
from spiral_cli.channels.rules.regular import divided
from spiral_cli.channels.ties import Labels
from spiral_cli.channels.trace import Axes, NotCoveredError, Signal, Trace, rule

POOLING = [f"{kind}Pooling{n}D" for kind in ("Max", "Average", "AdaptiveAverage", "AdaptiveMax") for n in (1, 2, 3)]
SPATIAL = [f"{kind}{n}D" for kind in ("UpSampling", "ZeroPadding", "Cropping") for n in (1, 2, 3)]


@rule(*POOLING, *SPATIAL)
def spatial(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """Space changes, channels pass."""
    axis = channel_axis(layer, len(inputs.shape)) if hasattr(layer, "data_format") else len(inputs.shape) - 1
    hold_space(trace, layer, inputs, axis)
    return tuple(labels if index == axis else None for index, labels in enumerate(inputs.axes))


@rule(*(f"Global{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)))
def global_pooling(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """Space goes, channels pass."""
    axis = axis_of_channels(trace, layer, inputs)
    labels = inputs.axes[axis]
    if not layer.keepdims:
        return (None, labels)
    return tuple(labels if index == axis else None for index in range(len(inputs.shape)))


@rule("Flatten")
def flatten(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """Every position of a channel leaves with it."""
    if layer.data_format == "channels_first" and len(inputs.shape) > 2:
        order = [0, *range(2, len(inputs.shape)), 1]
        inputs = Signal(tuple(inputs.shape[i] for i in order), tuple(inputs.axes[i] for i in order))
    return reshaped(trace, inputs, shapes[0])


@rule("Reshape")
def reshape(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """Labels go where their positions go; numbers of the target follow."""
    axes = reshaped(trace, inputs, shapes[0])
    for place, size in enumerate(layer.target_shape):
        if size != -1:
            trace.edit(layer, ("target_shape", place), axes[place + 1])
    return axes


@rule("ops.Reshape")
def reshape_operation(trace: Trace, operation: Any, shapes: list, inputs: Signal, *_: Any, **__: Any) -> Axes:
    """As the layer; its target has the batch, too."""
    axes = reshaped(trace, inputs, shapes[0])
    for place, size in enumerate(operation.newshape):
        if size != -1:
            trace.edit(operation, ("newshape", place), axes[place])
    return axes


def reshaped(trace: Trace, inputs: Signal, shape: tuple[int | None, ...]) -> Axes:
    """Return the axes after a reshape, in row-major order. Where channels run along several, those of the last pass.

    Raises:
        NotCoveredError: channels would run along several axes after it, or sizes are not known.
    """
    tracked = [axis for axis, labels in enumerate(inputs.axes) if labels is not None]
    if not tracked:
        return (None,) * len(shape)
    *others, axis = tracked
    for other in others:
        trace.hold_axis(inputs.axes[other], "run along a second axis of what is reshaped")
    same = 1  # axes in front that stay as they are, the batch first
    while same < min(axis, len(shape)) and inputs.shape[same] == shape[same]:
        same += 1
    before, after = known(inputs.shape[same:]), known(shape[same:])
    if axis == 0 or before is None or after is None or math.prod(before) != math.prod(after):
        raise NotCoveredError("sizes are not known where channels are reshaped")
    labels = inputs.axes[axis]
    assert labels is not None
    spread = labels.reshape([-1 if index == axis - same else 1 for index in range(len(before))])
    table = np.broadcast_to(spread, before).reshape(after)
    divide(trace, table, math.prod(before[: axis - same]), len(labels))
    place = one_axis(trace.ties.named(table))
    if place is None:
        raise NotCoveredError("it divides channels over several axes")
    return (*(None,) * (same + place), along(table, place), *(None,) * (len(after) - place - 1))


def divide(trace: Trace, table: np.ndarray, before: int, channels: int) -> None:
    """Tie channels that a reshape lays over two axes: whole rows leave, or the same places of every row.

    Args:
        trace: what is found.
        table: labels after the reshape.
        before: positions in front of the axis that channels ran along.
        channels: how many there are.
    """
    for place in range(table.ndim - 1):
        rows, places = table.shape[place], table.shape[place + 1]
        if math.prod(table.shape[:place]) == before and rows * places == channels and min(rows, places) > 1:
            first = table.reshape(before, channels, -1)[0, :, 0]
            divided(channels, rows).tie(trace, first)


def one_axis(table: np.ndarray) -> int | None:
    """Return the axis along which alone labels differ, or None where they differ along several."""
    for place in range(table.ndim):
        line = along(table, place).reshape([-1 if index == place else 1 for index in range(table.ndim)])
        if (table == line).all() and (table.shape[place] > 1 or table.size == 1):
            return place
    return None


def along(table: np.ndarray, place: int) -> Labels:
    """Return the labels along one axis, at the start of all others."""
    return np.ascontiguousarray(table[tuple(slice(None) if index == place else 0 for index in range(table.ndim))])


def known(shape: tuple[int | None, ...]) -> tuple[int, ...] | None:
    """Return a shape of which every size is known, or None."""
    sizes = tuple(size for size in shape if size is not None)
    return sizes if len(sizes) == len(shape) else None


@rule("Permute")
def permute(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """Axes change places."""
    return (inputs.axes[0], *(inputs.axes[dim] for dim in layer.dims))


@rule("ops.Transpose")
def transpose(trace: Trace, operation: Any, shapes: list, inputs: Signal, *_: Any, **__: Any) -> Axes:
    """Axes change places."""
    order = operation.axes or range(len(inputs.shape))[::-1]
    return tuple(inputs.axes[axis] for axis in order)


@rule("ops.Swapaxes")
def swap_axes(trace: Trace, operation: Any, shapes: list, x: Signal) -> Axes:
    """Two axes change places."""
    axes = list(x.axes)
    axes[operation.axis1], axes[operation.axis2] = axes[operation.axis2], axes[operation.axis1]
    return tuple(axes)


@rule("RepeatVector")
def repeat_vector(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """A new axis of time."""
    return (inputs.axes[0], None, inputs.axes[1])


@rule("ops.ExpandDims")
def expand_dims(trace: Trace, operation: Any, shapes: list, inputs: Signal, *_: Any, **__: Any) -> Axes:
    """A new axis of size 1."""
    place = operation.axis
    for one in place if isinstance(place, list | tuple) else [place]:
        if len(shapes[0]) != len(inputs.shape) + 1:
            raise NotCoveredError("several axes at once")
        place = one % len(shapes[0])
    return (*inputs.axes[:place], None, *inputs.axes[place:])


@rule("ops.Squeeze")
def squeeze(trace: Trace, operation: Any, shapes: list, inputs: Signal, *_: Any, **__: Any) -> Axes:
    """An axis of size 1 goes."""
    axis = operation.axis
    dropped = [index for index, size in enumerate(inputs.shape) if size == 1 and index > 0]
    if axis is None:
        for labels in inputs.axes:
            trace.hold_axis(labels, f"{operation.name}, which names no axis, would take a single channel away, too")
    else:
        dropped = [one % len(inputs.shape) for one in (axis if isinstance(axis, list | tuple) else [axis])]
    for one in dropped:
        trace.hold_axis(inputs.axes[one], f"{operation.name} needs a single one")
    return tuple(labels for index, labels in enumerate(inputs.axes) if index not in dropped)


@rule("ops.Mean", "ops.Sum", "ops.Max", "ops.Min", "ops.Amax", "ops.Amin")
def reduce(trace: Trace, operation: Any, shapes: list, inputs: Signal, *_: Any, **__: Any) -> Axes:
    """Channels pass along axes that stay; what runs along a reduced one is held."""
    rank = len(inputs.shape)
    axis = operation.axis
    if axis is None:
        reduced = list(range(rank))
    else:
        reduced = [one % rank for one in (axis if isinstance(axis, list | tuple) else [axis])]
    for one in reduced:
        trace.hold_axis(inputs.axes[one], f"{operation.name} takes all of them together")
    if getattr(operation, "initial", None) is not None:  # a value that is among those compared
        for labels in inputs.axes:
            if labels is not None:
                trace.ties.taint(labels)
    if operation.keepdims:
        return tuple(None if index in reduced else labels for index, labels in enumerate(inputs.axes))
    return tuple(labels for index, labels in enumerate(inputs.axes) if index not in reduced)


@rule("ops.GetItem")
def get_item(trace: Trace, operation: Any, shapes: list, inputs: Signal, key: Any = None, **_: Any) -> Axes:
    """Channels pass along axes taken whole; of others a piece is taken, so they stay."""
    keys = list(key if isinstance(key, tuple) else (key,))
    if any(one is None or isinstance(one, Signal) for one in keys):
        raise NotCoveredError("an index that adds axes or is computed")
    if Ellipsis in keys:
        place = keys.index(Ellipsis)
        keys[place : place + 1] = [slice(None)] * (len(inputs.shape) - len(keys) + 1)
    keys += [slice(None)] * (len(inputs.shape) - len(keys))
    axes: list[Labels | None] = []
    for one, labels in zip(keys, inputs.axes, strict=True):
        whole = isinstance(one, slice) and one == slice(None)
        if not whole:
            trace.hold_axis(labels, f"{operation.name} takes a piece of them")
        if isinstance(one, slice):
            axes.append(labels if whole else None)
    if len(axes) != len(shapes[0]):
        raise NotCoveredError("this index is not covered")
    return tuple(axes)
