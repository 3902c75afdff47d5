"""Tensors that meet: sums and products tie channels, concatenation lays them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import keras
import numpy as np

from spiral_cli.channels.rules.elementwise import keeps_zero
from spiral_cli.channels.rules.regular import Parts
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
    axes = together(trace, signals)
    taint(trace, axes, signals, lambda *values: layer._merge_function(list(values)))
    return axes


def taint(trace: Trace, axes: Axes, signals: list[Signal], function: Any) -> None:
    """Say of which axes a masked channel is no longer zero, as something is added that has not this channel.

    Args:
        trace, axes, signals: what is found, of the result, and of what meets.
        function: of single values, one for each signal.
    """
    for place, labels in enumerate(reversed(axes), 1):
        if labels is None:
            continue
        with_it = [has_channels(signal, place, len(labels)) for signal in signals]
        if not all(keeps_zero(function, *(0.0 if one else other for one in with_it)) for other in (0.7, -0.7)):
            trace.ties.taint(labels)


def has_channels(signal: Signal, place: int, count: int) -> bool:
    """Return whether a signal has ``count`` channels of its own along the axis at ``place`` from the end."""
    there = place <= len(signal.shape)
    return there and signal.axes[-place] is not None and signal.shape[-place] == count


@rule("CustomScaleLayer")
def scaled_sum(trace: Trace, layer: Any, shapes: list, inputs: Any, **_: Any) -> Axes:
    """The residual of InceptionResNetV2, x + s f(x)."""
    return together(trace, list(signals_in(inputs)))


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
    structure = (list(args), dict(kwargs))

    def on_values(*values: Any) -> Any:
        rest = iter(values)
        filled = keras.tree.map_structure(lambda leaf: next(rest) if isinstance(leaf, Signal) else leaf, structure)
        return operation.call(*filled[0], **filled[1])

    taint(trace, axes, signals, on_values)
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


def contract(trace: Trace, operation: Any, axes: Sequence[Labels | None]) -> None:
    """Tie axes that are multiplied and summed over: zeros add nothing to the sum."""
    along = axes[0]
    for other in axes[1:]:
        along = trace.join(along, other)
    if along is not None:
        trace.ties.sum_up(along, f"{operation.name} sums over them")


@rule("ops.Matmul")
def matmul(trace: Trace, operation: Any, shapes: list, x1: Signal, x2: Any) -> Axes:
    """(…, n, k) times (…, k, m): k is summed over, what comes before is broadcast."""
    if not isinstance(x2, Signal) or min(len(x1.shape), len(x2.shape)) < 2:
        raise NotCoveredError("one of its operands is a constant, or a vector")
    contract(trace, operation, [x1.axes[-1], x2.axes[-2]])
    before = together(trace, [Signal(one.shape[:-2], one.axes[:-2]) for one in (x1, x2)])
    return (*before, x1.axes[-2], x2.axes[-1])


@rule("ops.Einsum")
def einsum(trace: Trace, operation: Any, shapes: list, operands: tuple) -> Axes:
    """Axes of one letter are tied; those of letters that the result lacks are summed over."""
    before, arrow, after = operation.subscripts.replace(" ", "").partition("->")
    terms = before.split(",")
    repeated = any(len({*term}) != len(term) for term in (*terms, after))
    if not arrow or "." in before or repeated or not all(isinstance(one, Signal) for one in operands):
        raise NotCoveredError(f"einsum of {operation.subscripts} is not covered")
    found: dict[str, list[Labels | None]] = {}
    for term, signal in zip(terms, operands, strict=True):
        for letter, labels in zip(term, signal.axes, strict=True):
            found.setdefault(letter, []).append(labels)
    axes: dict[str, Labels | None] = {}
    for letter, several in found.items():
        if letter not in after:
            contract(trace, operation, several)
        axes[letter] = several[0]
        for other in several[1:]:
            axes[letter] = trace.join(axes[letter], other)
    return tuple(axes[letter] for letter in after)


@rule("ops.Split")
def split(trace: Trace, operation: Any, shapes: list, x: Signal) -> list[Axes]:
    """Equal pieces stay equal: the same places of every piece leave."""
    place = operation.axis % len(x.shape)
    labels, pieces = x.axes[place], len(shapes)
    if labels is None:
        return [x.axes] * pieces
    if not isinstance(operation.indices_or_sections, int):
        raise NotCoveredError("it splits channels at fixed places")
    Parts(pieces, whole=False).tie(trace, labels)
    return [
        tuple(part if axis == place else others for axis, others in enumerate(x.axes))
        for part in labels.reshape(pieces, -1)
    ]


@rule("ops.Stack")
def stack(trace: Trace, operation: Any, shapes: list, x: Any) -> Axes:
    """A new axis; along all others channels are tied."""
    axes = list(together(trace, list(signals_in(x))))
    axes.insert(operation.axis % len(shapes[0]), None)
    return tuple(axes)


@rule("Dot")
def dot(trace: Trace, layer: Any, shapes: list, inputs: Any, **_: Any) -> Axes:
    """Axes that are summed over leave together."""
    first, second = signals_in(inputs)
    one, two = layer.axes if isinstance(layer.axes, list | tuple) else (layer.axes, layer.axes)
    one, two = one % len(first.shape), two % len(second.shape)
    if layer.normalize:
        raise NotCoveredError("normalize is not covered")
    contract(trace, layer, [first.axes[one], second.axes[two]])
    left = [labels for axis, labels in enumerate(first.axes) if axis != one]
    right = [labels for axis, labels in enumerate(second.axes) if axis not in (0, two)]
    axes = (*left, *right)
    return axes + (None,) * (len(shapes[0]) - len(axes))
