"""Tensors that meet: sums and products tie channels, concatenation lays them side by side."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np

from spiral_cli.channels.ties import Labels
from spiral_cli.channels.trace import Axes, NotCoveredError, Signal, Trace, rule, signals_in


def together(trace: Trace, signals: list[Signal]) -> Axes:
    """Tie signals that are broadcast to one shape; an axis of size 1 meets all of another."""
    rank = max(len(signal.shape) for signal in signals)
    axes: list[Labels | None] = []
    for column in zip_longest(*(zip(signal.shape[::-1], signal.axes[::-1], strict=True) for signal in signals)):
        present = [one for one in column if one is not None]
        wide = [one for one in present if one[0] != 1]
        for size, labels in present:
            if size == 1 and wide and labels is not None:
                trace.ties.hold(labels, "a single channel that is broadcast")
        meeting = [labels for _, labels in (wide or present)]
        first = meeting[0]
        for other in meeting[1:]:
            first = trace.join(first, other)
        axes.append(first)
    assert len(axes) == rank
    return tuple(reversed(axes))


@rule("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
def merge(trace: Trace, layer: Any, shapes: list, inputs: Any, **_: Any) -> Axes:
    """Channels at one place leave together."""
    signals = list(signals_in(inputs))
    rank = len(shapes[0])
    if any(len(signal.shape) != rank for signal in signals):
        raise NotCoveredError("its inputs differ in rank")
    return together(trace, signals)


BINARY = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "DivideNoNan", "Maximum", "Minimum", "Power", "Mod")


@rule(*(f"ops.{name}" for name in BINARY), "ops.Where")
def binary(trace: Trace, operation: Any, shapes: list, *args: Any, **kwargs: Any) -> Axes:
    """As the layers; numbers beside them change nothing, arrays hold what they meet."""
    signals = list(signals_in((args, kwargs)))
    sizes = [
        np.size(value) for value in (*args, *kwargs.values()) if not isinstance(value, Signal) and value is not None
    ]
    if any(size > 1 for size in sizes) and any(labels is not None for one in signals for labels in one.axes):
        raise NotCoveredError("one of its operands is a constant array")
    axes = together(trace, signals)
    return (None,) * (len(shapes[0]) - len(axes)) + axes


@rule("Concatenate", "ops.Concatenate")
def concatenate(trace: Trace, layer: Any, shapes: list, inputs: Any, **_: Any) -> Axes:
    """Side by side along its axis; along all others channels are tied."""
    signals = list(signals_in(inputs))
    rank = len(shapes[0])
    place = layer.axis % rank
    axes: list[Labels | None] = []
    for axis in range(rank):
        column = [signal.axes[axis] for signal in signals]
        if axis != place:
            first = column[0]
            for other in column[1:]:
                first = trace.join(first, other)
            axes.append(first)
        elif all(labels is None for labels in column):
            axes.append(None)
        else:
            axes.append(np.concatenate([laid_beside(trace, signal, place) for signal in signals]))
    return tuple(axes)


def laid_beside(trace: Trace, signal: Signal, axis: int) -> Labels:
    """Return the labels of one piece; what may not leave gets atoms that are held."""
    labels, size = signal.axes[axis], signal.shape[axis]
    if labels is not None:
        return labels
    if size is None:
        raise NotCoveredError("a piece of unknown size lies beside channels")
    fixed = trace.ties.fresh(size)
    trace.ties.hold(fixed, "a piece that keeps its size")
    return fixed


@rule("Dot")
def dot(trace: Trace, layer: Any, shapes: list, inputs: Any, **_: Any) -> Axes:
    """Axes that are summed over leave together."""
    first, second = signals_in(inputs)
    one, two = layer.axes if isinstance(layer.axes, list | tuple) else (layer.axes, layer.axes)
    one, two = one % len(first.shape), two % len(second.shape)
    if layer.normalize:
        raise NotCoveredError("normalize is not covered")
    trace.join(first.axes[one], second.axes[two])
    left = [labels for axis, labels in enumerate(first.axes) if axis != one]
    right = [labels for axis, labels in enumerate(second.axes) if axis not in (0, two)]
    axes = (*left, *right)
    return axes + (None,) * (len(shapes[0]) - len(axes))
