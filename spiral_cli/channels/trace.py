"""A model's graph walked with labels instead of numbers: which position of which axis depends on which.

Every tensor carries for each of its axes either labels (see `ties`) or None, where nothing along it
may be removed. A rule says for one kind of layer how labels pass through it, along which axes of its
variables they run, and which settings of its config count them.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from spiral_cli.channels.ties import Labels, Ties
from spiral_cli.models.graph import graph_of

Axes = tuple[Labels | None, ...]
Path = tuple[str | int, ...]


class NotCoveredError(Exception):
    """Raised by a rule for a setting of its layer that it does not cover; the layer is left whole."""


@dataclass(frozen=True)
class Signal:
    """A symbolic tensor: its shape, the batch included, and the labels of every axis."""

    shape: tuple[int | None, ...]
    axes: Axes

    def __post_init__(self) -> None:
        fits = (labels is None or len(labels) == size for size, labels in zip(self.shape, self.axes, strict=True))
        if not all(fits):
            raise NotCoveredError("it does not keep the channels it is taken to keep")


@dataclass(frozen=True)
class Edit:
    """A number of a layer's config that becomes how many of ``labels`` are kept.

    Attributes:
        path: keys into the config, from the layer's own.
        labels: what it counts; None where a shared layer's number may not change.
    """

    path: Path
    labels: Labels | None


@dataclass(frozen=True)
class Rescale:
    """A number of a config, or a whole variable, that depends on which part of ``labels`` is kept.

    A mean over channels of which some are zero is the mean over the others times the part that is
    left. ``power`` says how the number follows: it is multiplied by (kept / all) ** power.
    """

    labels: Labels
    power: float
    path: Path = ()


@dataclass
class Trace:
    """What a walk has found so far; rules write into it.

    Attributes:
        ties: which atoms leave together.
        bound: labels along each axis of a variable, by its identity.
        edits: changes of a layer's config, by its identity.
        rescales: layers and variables, each with what depends on the part that is kept.
        produced: the labels a layer makes, by its identity and a name of what it makes.
        owners: the path under which a layer that makes some is known, by its identity.
        uses: how often each weight of a variable is used in an example, by the variable's identity.
        products: multiplications of an example beside weights: pairs of labels and how many each stands for.
        refused: why a layer is left whole, by its identity.
        unknown: the same by its path, of those that have variables or touch what may leave.
        paths: of layers, by their identity, as they were last called.
    """

    ties: Ties = field(default_factory=Ties)
    bound: dict[int, list[Labels | None]] = field(default_factory=dict)
    edits: dict[int, dict[Path, Edit]] = field(default_factory=dict)
    rescales: list[tuple[Any, Rescale]] = field(default_factory=list)
    produced: dict[tuple[int, str], Labels] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    uses: dict[int, float] = field(default_factory=dict)
    products: list[tuple[Labels, float]] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    paths: dict[int, str] = field(default_factory=dict)

    def fresh(self, layer: Any, count: int, what: str = "") -> Labels:
        """Return the labels of what ``layer`` makes: new ones, the same at every call of a shared layer."""
        key = (id(layer), what)
        if key not in self.produced:
            self.produced[key] = self.ties.fresh(count)
            self.owners[id(layer)] = self.paths.get(id(layer), layer.name)
        return self.produced[key]

    def bind(self, variable: Any, *axes: Labels | None, uses: float = 0.0) -> None:
        """Say which labels run along the axes of a variable, and that each weight is used so often an example.

        A shared layer binds its variables at every call: what comes from one call is tied to the other's.
        """
        if variable is None:
            return
        assert len(axes) == len(variable.shape), (variable.path, axes)
        for labels, size in zip(axes, variable.shape, strict=True):
            assert labels is None or len(labels) == size, (variable.path, len(labels), size)
        before = self.bound.get(id(variable))
        if before is None:
            self.bound[id(variable)] = list(axes)
        else:
            self.bound[id(variable)] = [self.join(a, b) for a, b in zip(before, axes, strict=True)]
        self.uses[id(variable)] = self.uses.get(id(variable), 0.0) + uses

    def join(self, first: Labels | None, second: Labels | None) -> Labels | None:
        """Tie two axes to each other; one of which nothing may leave holds the other."""
        if first is None or second is None:
            for labels in (first, second):
                if labels is not None:
                    self.ties.hold(labels, "meets an axis that keeps its size")
            return None
        self.ties.tie(first, second)
        return first

    def edit(self, layer: Any, key: str | Path, labels: Labels | None) -> None:
        """Let the number at ``key`` of the layer's config follow what is kept of ``labels``.

        At every call of a shared layer: what it counts at one is tied to what it counts at the other.
        """
        path = (key,) if isinstance(key, str) else key
        known = self.edits.setdefault(id(layer), {})
        known[path] = Edit(path, self.join(known[path].labels, labels) if path in known else labels)

    def rescale(self, owner: Any, labels: Labels, power: float, *, path: Path = ()) -> None:
        """Multiply a number of a layer's config, or a variable, by the kept part of ``labels`` to ``power``."""
        known = any(one is owner and rule.path == path for one, rule in self.rescales)
        if not known:  # once for a shared layer
            self.rescales.append((owner, Rescale(labels, power, path)))

    def leave_whole(self, operation: Any, reason: str) -> None:
        """Let all channels stay that an earlier call of a layer, or a part of its rule, has given to it."""
        axes = [
            labels for variable in getattr(operation, "variables", ()) for labels in self.bound.get(id(variable), ())
        ]
        axes += [edit.labels for edit in self.edits.get(id(operation), {}).values()]
        axes += [labels for (owner, _), labels in self.produced.items() if owner == id(operation)]
        for labels in axes:
            self.hold_axis(labels, reason)

    def hold(self, signal: Signal, reason: str) -> None:
        """Let every channel stay that runs along an axis of ``signal``."""
        for labels in signal.axes:
            if labels is not None:
                self.ties.hold(labels, reason)

    def hold_axis(self, labels: Labels | None, reason: str) -> None:
        """Let the channels of one axis stay."""
        if labels is not None:
            self.ties.hold(labels, reason)


Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}


def rule(*kinds: str) -> Callable[[Rule], Rule]:
    """Register a rule for Keras classes by name, layers as ``Dense``, operations as ``ops.Add``."""

    def keep(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return keep


def kind_of(operation: Any) -> str:
    """Return the name under which a rule for ``operation`` is registered; empty for what is not Keras' own."""
    cls = type(operation)
    if cls.__module__.startswith("keras.src.ops"):
        return f"ops.{cls.__name__}"
    return cls.__name__ if cls.__module__.startswith("keras.src.") else ""


def editable_graph(model: Any) -> Any:
    """Return the graph of a model that its config tells whole: functional or sequential, of no class of its own."""
    return graph_of(model) if type(model).__module__.startswith("keras.src.") else None


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield the calls of a graph in the order they are made."""
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        yield from (node for node in graph._nodes_by_depth[depth] if node.operation and not node.is_input)


def walk(trace: Trace, model: Any, inputs: Sequence[Signal], prefix: str = "") -> list[Signal]:
    """Walk a functional model and return the signals of its outputs, in flat order."""
    graph = editable_graph(model)
    known: dict[int, Signal] = {}
    for tensor, signal in zip(graph.inputs, inputs, strict=True):
        known[id(tensor)] = signal
        source = tensor._keras_history[0]
        for axis, labels in enumerate(signal.axes):
            trace.edit(source, ("batch_shape", axis), labels)
    for node in nodes_of(graph):
        if any(id(tensor) not in known for tensor in node.input_tensors):
            continue
        args, kwargs = node.arguments.fill_in(known)
        shapes = [tuple(tensor.shape) for tensor in node.outputs]
        outputs = pass_through(trace, node.operation, shapes, args, kwargs, prefix)
        known.update({id(tensor): signal for tensor, signal in zip(node.outputs, outputs, strict=True)})
    return [known[id(tensor)] for tensor in graph.outputs]


def pass_through(
    trace: Trace, operation: Any, shapes: list[tuple[int | None, ...]], args: Any, kwargs: Any, prefix: str
) -> list[Signal]:
    """Apply the rule of one call; a layer without one is left whole with what it touches."""
    path = f"{prefix}{operation.name}"
    trace.paths[id(operation)] = path
    try:
        if id(operation) in trace.refused:
            raise NotCoveredError(trace.refused[id(operation)])
        return covered(trace, operation, shapes, arguments(operation, args, kwargs), path)
    except NotCoveredError as error:
        reason = str(error)
    except Exception as error:  # what a rule did not expect must neither end the run nor make a wrong model
        reason = f"its rule fails here ({type(error).__name__}: {error})"
    trace.refused[id(operation)] = reason
    touched = list(signals_in((args, kwargs)))
    if getattr(operation, "variables", ()) or any(labels is not None for one in touched for labels in one.axes):
        trace.unknown[path] = f"{type(operation).__name__}: {reason}"
    full = f"feeds {path} ({type(operation).__name__}: {reason})"
    for signal in touched:
        trace.hold(signal, full)
    trace.leave_whole(operation, reason)
    return [Signal(shape, (None,) * len(shape)) for shape in shapes]


def covered(
    trace: Trace, operation: Any, shapes: list[tuple[int | None, ...]], given: dict[str, Any], path: str
) -> list[Signal]:
    """Apply the rule of one call.

    Raises:
        NotCoveredError: there is none, or it does not cover this call.
    """
    (_, first), *rest = given.items()
    others = dict(rest)
    if editable_graph(operation) is not None:
        return walk(trace, operation, inputs_of(operation, first), f"{path}/")
    function = RULES.get(kind_of(operation))
    if function is None:
        raise NotCoveredError("spiral has no rule for this layer")
    for name, value in others.items():
        for signal in signals_in(value if "mask" in name else None):
            trace.hold(signal, f"a mask of {path} is made of them")
    axes = function(trace, operation, shapes, first, **others)
    axes = axes if isinstance(axes, list) else [axes]
    return [Signal(shape, one) for shape, one in zip(shapes, axes, strict=True)]


def arguments(operation: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    """Return what a layer is called with by the names of its ``call``, however it was written."""
    bound = inspect.signature(operation.call).bind(*args, **kwargs)
    given = dict(bound.arguments)
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            given.update(given.pop(name, {}))
    return given


def inputs_of(model: Any, given: Any) -> list[Signal]:
    """Return what a nested model is called with, in the order of its inputs.

    Raises:
        NotCoveredError: they do not fit to each other, so that Keras adapts them.
    """
    graph = editable_graph(model)
    if isinstance(given, dict):
        structure = graph._inputs_struct
        names = list(structure) if isinstance(structure, dict) else [tensor.name for tensor in graph.inputs]
        given = {name: given[name] for name in names} if isinstance(structure, dict) else [given[one] for one in names]
    signals = list(signals_in(given))
    if [len(signal.shape) for signal in signals] != [len(tensor.shape) for tensor in graph.inputs]:
        raise NotCoveredError("it is called with something else than its inputs")
    return signals


def signals_in(structure: Any) -> Iterator[Signal]:
    """Yield the signals of nested arguments, in order."""
    yield from (leaf for leaf in keras.tree.flatten(structure) if isinstance(leaf, Signal))


def positions(shape: Sequence[int | None]) -> int:
    """Return how many places an example has along these axes; an axis of unknown size counts as one."""
    return math.prod(size or 1 for size in shape)


def tiled(labels: Labels | None, times: int) -> Labels | None:
    """Return ``labels`` one after the other so many times."""
    return None if labels is None else np.tile(labels, times)
