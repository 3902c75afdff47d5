"""Which variables of a Keras model may be pruned, decided variable by variable, with reasons."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spiral_cli.pruning.patterns import matches, refuse_unmatched, spellings

NORMALISATION = re.compile(r"norm(ali[sz]ation)?(_?v\d)?$")
SLOPES = "pre_lu"
POSITION = re.compile(r"(?<![a-z])pos(ition(al|s)?)?_?(emb|enc|bias|table)")


@dataclass(frozen=True)
class Prunable:
    """A variable that may be pruned.

    Attributes:
        name: path of the variable in its model: unique, and the same whenever the file is loaded.
        variable: the Keras variable.
        layer: path of the layer that owns it, the name without its last part.
        input_axes: axes of the variable that its inputs run along; the others are outputs.
    """

    name: str
    variable: Any
    layer: str
    input_axes: tuple[int, ...]


@dataclass(frozen=True)
class Skipped:
    """A weight that is not pruned, and why. Statistics that no optimizer updates are not listed."""

    name: str
    layer: str
    reason: str


def find_prunable(
    model: Any, targets: Sequence[str] = ("*",), ignore: Sequence[str] = ()
) -> tuple[list[Prunable], list[Skipped]]:
    """Return what may be pruned in ``model`` and what not.

    Prunable is every trainable float variable of rank 2 or more in any layer, nested and custom
    ones too, except normalisation, slopes of PReLU and positions. A variable shared by layers counts once.

    Args:
        model: a built Keras model.
        targets: patterns of layers or variables to prune (see `patterns`).
        ignore: patterns of layers or variables to leave dense.

    Raises:
        UsageError: a pattern matches nothing, or a target nothing that can be pruned.
    """
    weights = _unique(_weights(model, "", set()))
    able = {name: _unable(name, owner, variable) is None for name, owner, variable in weights}
    refuse_unmatched(targets, [name for name in able if able[name]] or list(able), "prune.targets")
    refuse_unmatched(ignore, list(able), "prune.ignore")
    prunable, skipped = [], []
    for name, owner, variable in weights:
        layer = name.rpartition("/")[0]
        reason = _unable(name, owner, variable) or _unwanted(name, targets, ignore)
        if reason is None:
            prunable.append(Prunable(name, variable, layer, input_axes(owner, variable)))
        else:
            skipped.append(Skipped(name, layer, reason))
    return prunable, skipped


def input_axes(layer: Any, variable: Any) -> tuple[int, ...]:
    """Return the axes along which the inputs of ``variable`` run.

    All but the last in general (height, width and input of a convolution); of a transposed
    convolution, whose kernel is (height, width, output, input), all but the last but one; of an
    `EinsumDense` (attention projections) those its equation does not pass on to the output.
    """
    rank = len(variable.shape)
    equation = getattr(layer, "equation", None)
    if isinstance(equation, str) and variable is getattr(layer, "kernel", None):
        operands, _, output = equation.partition("->")
        labels = operands.split(",")[1]
        if summed := tuple(axis for axis, label in enumerate(labels) if label not in output):
            return summed
    if any(re.search(r"Conv\dDTranspose$", kind.__name__) for kind in type(layer).__mro__) and rank > 2:
        return tuple(axis for axis in range(rank) if axis != rank - 2)
    return tuple(range(rank - 1))


Weight = tuple[str, Any, Any]  # path, owning layer, variable


def _weights(owner: Any, path: str, seen: set[int]) -> Iterator[Weight]:
    """Yield every weight once, the innermost layer being its owner, in the order of the model."""
    seen.add(id(owner))
    labels = _labels(owner)
    for layer in owner._layers:
        if id(layer) not in seen:
            yield from _weights(layer, f"{path}{labels.get(id(layer), layer.name)}/", seen)
    for variable in owner._trainable_variables:
        if id(variable) not in seen:
            seen.add(id(variable))
            yield f"{path}{labels.get(id(variable), variable.name)}", owner, variable


def _labels(owner: Any) -> dict[int, str]:
    """Return the attribute names of what ``owner`` holds, by identity.

    Keras names what has no name by counting all layers of the process, so those names change from
    load to load; attributes do not. In functional and sequential models names are part of the file.
    """
    if {"Functional", "Sequential"} & {kind.__name__ for kind in type(owner).__mro__}:
        return {}
    labels: dict[int, str] = {}
    for attribute, value in vars(owner).items():
        labels.setdefault(id(value), attribute.lstrip("_"))
    for attribute, value in vars(owner).items():
        if attribute.startswith("_") or not isinstance(value, list | tuple | dict):
            continue
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            labels.setdefault(id(item), f"{attribute}/{key}")
    return labels


def _unique(weights: Iterator[Weight]) -> list[Weight]:
    """Number the paths that occur again."""
    found: dict[str, Weight] = {}
    for path, owner, variable in weights:
        name, number = path, 1
        while name in found:
            number += 1
            name = f"{path}-{number}"
        found[name] = (name, owner, variable)
    return list(found.values())


def _unable(name: str, owner: Any, variable: Any) -> str | None:
    """Return why a variable cannot be pruned, or None where it can."""
    kinds = [_snake(kind.__name__) for kind in type(owner).__mro__]
    if any(NORMALISATION.search(kind) for kind in kinds):
        return "normalisation: its scales and shifts are few and each matters"
    if SLOPES in kinds:
        return "slopes of an activation: they are few, and zero is one of them"
    if not variable.trainable:
        return "frozen: the layer is not trained"
    rank = len(variable.shape)
    if rank < 2:
        return f"rank {rank}: biases and scales are not pruned"
    if variable.name == "bias":  # a GRU's has two rows
        return f"bias: biases are not pruned, of rank {rank} neither"
    if "float" not in str(variable.dtype):
        return f"{variable.dtype}: not a floating-point weight"
    if math.prod(variable.shape) == 0:
        return "empty: it has no weights"
    if any(POSITION.search(text) for text in (*kinds, *name.lower().split("/")[-2:], variable.name.lower())):
        return "positions: an embedding of places, not of content"
    return None


def _unwanted(name: str, targets: Sequence[str], ignore: Sequence[str]) -> str | None:
    """Return why the recipe leaves a variable dense, or None where it does not."""
    names = spellings(name)
    pattern = next((pattern for pattern in ignore if matches(pattern, names)), None)
    if pattern is not None:
        return f"ignored by '{pattern}'"
    if not any(matches(pattern, names) for pattern in targets):
        return "not among prune.targets"
    return None


def _snake(name: str) -> str:
    """Return a class name as words: ``PositionEmbedding`` becomes ``position_embedding``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
