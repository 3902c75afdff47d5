"""The channels of a model: groups of positions that must leave together, and what each takes with it.

A dependency graph as in DepGraph (Fang et al., CVPR 2023), found by walking the Keras operation
graph once with labels along the axes (see `trace`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spiral_cli.channels.rules import load_rules
from spiral_cli.channels.ties import Labels
from spiral_cli.channels.trace import Path, Rescale, Signal, Trace, editable_graph, walk
from spiral_cli.errors import UsageError
from spiral_cli.pruning.patterns import matches, refuse_unmatched, spellings

Axes = tuple[Labels | None, ...]


@dataclass(frozen=True)
class Space:
    """Groups that play the same part, such as the channels of a residual stream: they are compared with each other.

    Attributes:
        layers: those that make them.
        groups: their numbers, (groups,).
        width: channels of one layer that a group stands for: 1, or those of a part that leaves whole.
    """

    layers: tuple[str, ...]
    groups: np.ndarray
    width: int

    @property
    def name(self) -> str:
        """The layers that make them, as a person reads them."""
        return " + ".join(self.layers)


@dataclass(frozen=True)
class Channels:
    """What may leave a model, in groups numbered from 0; all labels are numbers of groups, -1 for what stays.

    Attributes:
        spaces: the groups that may leave, each in one space.
        weight: channels of all layers that each group stands for, (groups,).
        axes: of every variable of the model, in its order, the groups along each axis.
        shapes: of the same variables.
        weights: which of them are weights; states of random generators are not.
        uses: how often each weight of a variable is used in an example.
        products: groups and the multiplications beside weights that each stands for.
        edits: by identity of a layer, then by path of a number in its config: the groups it counts.
        rescales: layers and variables, each with what else follows in it.
        total: channels that layers make, those that stay included.
        held: layers whose channels stay, with the reason.
    """

    spaces: tuple[Space, ...]
    weight: np.ndarray
    axes: tuple[Axes, ...]
    shapes: tuple[tuple[int, ...], ...]
    weights: tuple[bool, ...]
    uses: tuple[float, ...]
    products: tuple[tuple[Labels, float], ...]
    edits: Mapping[int, Mapping[Path, Labels]]
    rescales: tuple[tuple[Any, Rescale], ...]
    total: int
    held: Mapping[str, str]

    @property
    def count(self) -> int:
        """How many groups there are."""
        return len(self.weight)


def find_channels(model: Any, targets: Sequence[str] = ("*",), ignore: Sequence[str] = ()) -> Channels:
    """Return the groups of channels that may leave ``model``.

    Channels of its inputs and outputs stay, and those of layers without a rule. A layer that
    ``ignore`` names keeps its channels; so does one that ``targets`` does not name.

    Raises:
        UsageError: the model is no functional or sequential one, a pattern matches nothing, or no
            channel may leave.
    """
    trace = traced(model)
    made: dict[str, list[Labels]] = {trace.owners[owner]: [] for owner, _ in trace.produced}
    for (owner, _), labels in trace.produced.items():
        made[trace.owners[owner]].append(labels)
    refuse_unmatched(targets, list(made), "prune.targets")
    refuse_unmatched(ignore, [*made, *trace.unknown], "prune.ignore")
    for path, several in made.items():
        for labels in several:
            for reason in unwanted(path, targets, ignore):
                trace.ties.hold(labels, reason)
    hold_frozen(trace, model)
    channels = collect(trace, model)
    if not channels.spaces:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in channels.held.items()) or "it has none"
        raise UsageError(f"prune.granularity: no channel of model '{model.name}' can leave ({reasons})")
    return channels


def unwanted(path: str, targets: Sequence[str], ignore: Sequence[str]) -> list[str]:
    """Return why the recipe keeps the channels of a layer; empty where it does not."""
    names = spellings(path)
    reasons = [f"ignored by '{pattern}'" for pattern in ignore if matches(pattern, names)]
    return reasons or ([] if any(matches(pattern, names) for pattern in targets) else ["not among prune.targets"])


def hold_frozen(trace: Trace, model: Any) -> None:
    """Let frozen layers stay whole; what is one vector of channels, as in batch normalisation, follows them."""
    for layer in model._flatten_layers():
        own = [] if layer.trainable else list(layer._trainable_variables)
        if any(np.count_nonzero(np.array(variable.shape) > 1) > 1 for variable in own):
            for labels in (one for variable in own for one in trace.bound.get(id(variable), ())):
                trace.hold_axis(labels, f"{layer.name} is frozen (trainable is False)")


def traced(model: Any) -> Trace:
    """Walk a model and hold the channels of its outputs.

    Raises:
        UsageError: it has no graph to walk.
    """
    load_rules()
    graph = editable_graph(model)
    if graph is None:
        raise UsageError(
            "prune.granularity: channel needs a functional or sequential model, whose graph says which channels depend "
            f"on each other; '{model.name}' is a {type(model).__name__}, a class of its own: rebuild it with the "
            "functional API as a keras.Model, or choose another granularity"
        )
    trace = Trace()
    inputs = [Signal(tuple(tensor.shape), (None,) * len(tensor.shape)) for tensor in graph.inputs]
    for signal in walk(trace, model, inputs):
        trace.hold(signal, "an output of the model")
    return trace


def collect(trace: Trace, model: Any) -> Channels:
    """Number the groups of a finished walk and look at everything by these numbers."""
    roots, held = trace.ties.roots(), trace.ties.held()
    free = sorted({*roots.tolist()} - {*held})
    numbers = np.full(len(roots), -1, np.int64)
    index = {root: number for number, root in enumerate(free)}
    for atom, root in enumerate(roots.tolist()):
        numbers[atom] = index.get(root, -1)

    def renumber(labels: Labels | None) -> Labels | None:
        found = None if labels is None else numbers[labels]
        return None if found is None or (found < 0).all() else found

    weight = np.zeros(len(free), np.int64)
    members: dict[int, list[tuple[str, int]]] = {number: [] for number in range(len(free))}
    stay: dict[str, str] = {}
    for (owner, what), labels in trace.produced.items():
        name = trace.owners[owner]
        groups, counts = np.unique(numbers[labels], return_counts=True)
        for group, count in zip(groups.tolist(), counts.tolist(), strict=True):
            if group >= 0:
                weight[group] += count
                members[group].append((f"{name}:{what}" if what else name, count))
            else:
                atom = labels[numbers[labels] < 0][0]
                stay.setdefault(name, held[int(roots[atom])])
    weights = {id(weight) for weight in model.weights}
    return Channels(
        spaces=spaces_of(members),
        weight=weight,
        axes=tuple(
            tuple(renumber(labels) for labels in trace.bound.get(id(variable), [None] * len(variable.shape)))
            for variable in model.variables
        ),
        shapes=tuple(tuple(variable.shape) for variable in model.variables),
        weights=tuple(id(variable) in weights for variable in model.variables),
        uses=tuple(trace.uses.get(id(variable), 0.0) for variable in model.variables),
        products=tuple((numbers[labels], amount) for labels, amount in trace.products),
        edits={
            owner: {path: numbers[edit.labels] for path, edit in edits.items() if edit.labels is not None}
            for owner, edits in trace.edits.items()
        },
        rescales=tuple(
            (owner, Rescale(found, one.power, one.path))
            for owner, one in trace.rescales
            if (found := renumber(one.labels)) is not None
        ),
        total=sum(len(labels) for labels in trace.produced.values()),
        held={**trace.unknown, **stay},
    )


def spaces_of(members: Mapping[int, Sequence[tuple[str, int]]]) -> tuple[Space, ...]:
    """Put groups together that are made by the same layers, with as many channels in each."""
    alike: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for group, made in members.items():
        alike.setdefault(tuple(sorted(made)), []).append(group)
    return tuple(
        Space(
            layers=tuple(dict.fromkeys(name for name, _ in made)),
            groups=np.array(groups, np.int64),
            width=min(count for _, count in made),
        )
        for made, groups in alike.items()
    )


def stays(labels: Labels, kept: np.ndarray) -> np.ndarray:
    """Return which positions stay, (positions,) of bool."""
    return (labels < 0) | kept[labels]
