"""Recurrent layers: a unit leaves with its column in every gate and its row in what comes back."""

from __future__ import annotations

from typing import Any

import numpy as np

from spiral_cli.channels.rules.elementwise import mixes
from spiral_cli.channels.ties import Labels
from spiral_cli.channels.trace import (
    RULES,
    Axes,
    NotCoveredError,
    Path,
    Signal,
    Trace,
    kind_of,
    positions,
    rule,
    signals_in,
    tiled,
)

GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}


def units_of(trace: Trace, layer: Any, inputs: Signal, initial: Any, owner: Any, path: Path) -> Labels:
    """Bind the weights of one recurrent layer and return the labels of its units.

    Args:
        trace: what is found.
        layer: LSTM, GRU or SimpleRNN.
        inputs: (batch, time, features).
        initial: states it starts from, or None.
        owner, path: where its config lies.
    """
    cell, gates = layer.cell, GATES[kind_of(layer)]
    made = trace.fresh(layer, cell.units)
    columns = tiled(made, gates)
    steps = positions(inputs.shape[1:2])
    trace.bind(cell.kernel, inputs.axes[-1], columns, uses=steps)
    trace.bind(cell.recurrent_kernel, made, columns, uses=steps)
    if cell.bias is not None:
        trace.bind(cell.bias, *(None,) * (len(cell.bias.shape) - 1), columns)
    mixes(trace, cell.activation, made)
    mixes(trace, getattr(cell, "recurrent_activation", cell.activation), made, gate=True)
    for state in signals_in(initial):
        trace.join(state.axes[-1], made)
    if not list(signals_in(initial)) and initial is not None:
        trace.ties.hold(made, f"{layer.name} starts from given states")
    trace.edit(owner, (*path, "units"), made)
    return made


@rule("LSTM", "GRU", "SimpleRNN")
def recurrent(
    trace: Trace, layer: Any, shapes: list, inputs: Signal, initial_state: Any = None, **_: Any
) -> list[Axes]:
    """Outputs, then states where they are asked for."""
    if inputs.axes[1] is not None:
        raise NotCoveredError("channels run along its time")
    made = units_of(trace, layer, inputs, initial_state, layer, ())
    return [(None,) * (len(shape) - 1) + (made,) for shape in shapes]


@rule("Bidirectional")
def bidirectional(
    trace: Trace, layer: Any, shapes: list, inputs: Signal, initial_state: Any = None, **_: Any
) -> list[Axes]:
    """One layer each way: units at one place leave in both, as Keras takes both to be equally wide."""
    ways = (layer.forward_layer, layer.backward_layer)
    if any(kind_of(way) not in GATES for way in ways):
        raise NotCoveredError(f"{type(ways[0]).__name__} inside it is not covered")
    if inputs.axes[1] is not None:
        raise NotCoveredError("channels run along its time")
    states = list(signals_in(initial_state))
    half = len(states) // 2
    given = (states[:half] or None, states[half:] or None)
    for way in ways:
        trace.paths[id(way)] = f"{trace.paths[id(layer)]}/{way.name}"
    there, back = (
        units_of(trace, way, inputs, initial, layer, (name, "config"))
        for way, initial, name in zip(ways, given, ("layer", "backward_layer"), strict=True)
    )
    trace.ties.tie(there, back)
    merged = {"concat": [np.concatenate([there, back])], None: [there, back]}
    outputs: list[Labels] = merged.get(layer.merge_mode, [there])
    rest = len(shapes) - len(outputs)
    outputs += [there] * (rest // 2) + [back] * (rest // 2)
    return [(None,) * (len(shape) - 1) + (made,) for shape, made in zip(shapes, outputs, strict=True)]


@rule("TimeDistributed")
def time_distributed(trace: Trace, layer: Any, shapes: list, inputs: Signal, **_: Any) -> Axes:
    """The inner layer at every step."""
    inner = layer.layer
    function = RULES.get(kind_of(inner))
    if function is None or inputs.axes[1] is not None or len(shapes) > 1:
        raise NotCoveredError(f"{type(inner).__name__} inside it is not covered")
    trace.paths[id(inner)] = f"{trace.paths[id(layer)]}/{inner.name}"
    single = Signal((inputs.shape[0], *inputs.shape[2:]), (inputs.axes[0], *inputs.axes[2:]))
    before = {id(variable): trace.uses.get(id(variable), 0.0) for variable in inner.variables}
    axes = function(trace, inner, [(shapes[0][0], *shapes[0][2:])], single)
    axes = axes[0] if isinstance(axes, list) else axes
    for path, edit in trace.edits.get(id(inner), {}).items():
        trace.edit(layer, ("layer", "config", *path), edit.labels)
    for rescale in [rescale for owner, rescale in trace.rescales if owner is inner]:
        trace.rescale(layer, rescale.labels, rescale.power, path=("layer", "config", *rescale.path))
    for variable, uses in before.items():
        trace.uses[variable] = uses + (trace.uses.get(variable, 0.0) - uses) * (inputs.shape[1] or 1)
    return (axes[0], None, *axes[1:])
