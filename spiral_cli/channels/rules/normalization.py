"""Normalisation: a scale, a shift and statistics for each channel."""

from __future__ import annotations

from typing import Any

from spiral_cli.channels.rules.regular import divided, heads_of
from spiral_cli.channels.trace import Axes, NotCoveredError, Signal, Trace, rule


@rule("BatchNormalization")
def batch_normalization(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """Every channel has statistics of its own."""
    labels = inputs.axes[layer.axis]
    for variable in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance):
        trace.bind(variable, labels)
    taint_others(trace, layer, inputs)
    return inputs.axes


def taint_others(trace: Trace, layer: Any, inputs: Signal) -> None:
    """Channels along axes that a layer does not normalise are shifted with the rest: no longer zero where masked."""
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    along = {axis % len(inputs.shape) for axis in axes}
    for axis, labels in enumerate(inputs.axes):
        if labels is not None and axis not in along:
            trace.ties.taint(labels)


@rule("LayerNormalization")
def layer_normalization(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """Mean and variance run over the channels that are there: removed ones no longer count in them."""
    along = labels_along(layer, inputs)
    for variable in (layer.gamma, layer.beta):
        trace.bind(variable, *along)
    if getattr(layer, "rms_scaling", False):
        raise NotCoveredError("rms_scaling is not covered")
    taint_others(trace, layer, inputs)
    taint_without_scale(trace, layer, inputs)
    return inputs.axes


def taint_without_scale(trace: Trace, layer: Any, inputs: Signal) -> None:
    """Without a scale of its own, a channel of zeros becomes what the others' mean makes of it."""
    for labels in inputs.axes:
        if labels is not None and layer.gamma is None:
            trace.ties.taint(labels)


@rule("RMSNormalization")
def rms_normalization(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """The mean square of zeros and others is that of the others, times the part of them: scale and epsilon follow.

    x / sqrt(m r + e) = x r^-1/2 / sqrt(m + e / r), with m the mean over what is kept and r its part.
    """
    along = labels_along(layer, inputs)
    trace.bind(layer.scale, *along)
    if len(along) == 1 and along[0] is not None:
        trace.ties.sum_up(along[0], f"{layer.name} takes their mean square")
        trace.rescale(layer.scale, along[0], -0.5)
        trace.rescale(layer, along[0], -1.0, path=("epsilon",))
    return inputs.axes


def labels_along(layer: Any, inputs: Signal) -> list:
    """Return the labels of the axes that are normalised.

    Raises:
        NotCoveredError: several axes of which one may lose channels.
    """
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    along = [inputs.axes[axis] for axis in axes]
    if len(along) > 1 and any(labels is not None for labels in along):
        raise NotCoveredError("it normalises over several axes together")
    return along


@rule("GroupNormalization")
def group_normalization(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """Whole groups leave, so that the statistics of the others stay; with one group it is a layer normalisation."""
    labels = inputs.axes[layer.axis]
    for axis, others in enumerate(inputs.axes):
        if axis != layer.axis % len(inputs.shape):
            trace.hold_axis(others, f"{layer.name} takes its statistics over them")
    for variable in (layer.gamma, layer.beta):
        trace.bind(variable, labels)
    if labels is None:
        trace.edit(layer, "groups", None)
        return inputs.axes
    groups = inputs.shape[layer.axis] if layer.groups == -1 else layer.groups
    if groups > 1:
        parts = divided(groups, groups)  # whole ones
        parts.tie(trace, labels)
        if layer.groups != -1:
            trace.edit(layer, "groups", heads_of(labels, groups))
    else:
        taint_without_scale(trace, layer, inputs)
    return inputs.axes


@rule("UnitNormalization")
def unit_normalization(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """Zeros add nothing to a length."""
    for axis in layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]:
        if (labels := inputs.axes[axis]) is not None:
            trace.ties.sum_up(labels, f"{layer.name} takes their length")
    return inputs.axes
