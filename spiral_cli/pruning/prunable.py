"""Which variables of a Keras model may be pruned, decided variable by variable, with reasons."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spiral_cli.pruning.patterns import matches, refuse_unmatched

NORMALISATION = re.compile(r"Norm(alization)?$")
POSITION = re.compile(r"position|pos_emb", re.IGNORECASE)


@dataclass(frozen=True)
class Prunable:
    """A variable that may be pruned.

    Attributes:
        name: unique and stable: the path of the variable in its model.
        variable: the Keras variable.
        layer: name of the layer that owns it.
        input_axes: axes of the variable that its inputs run along; the others are outputs.
    """

    name: str
    variable: Any
    layer: str
    input_axes: tuple[int, ...]


@dataclass(frozen=True)
class Skipped:
    """A trainable variable that is not pruned, and why."""

    name: str
    layer: str
    reason: str


def find_prunable(
    model: Any, targets: Sequence[str] = ("*",), ignore: Sequence[str] = ()
) -> tuple[list[Prunable], list[Skipped]]:
    """Return what may be pruned in ``model`` and what not.

    Prunable is every trainable float variable of rank 2 or more in any layer, nested and custom
    ones too, except normalisation and positions. A variable shared by layers counts once.

    Args:
        model: a built Keras model.
        targets: patterns of layers or variables to prune.
        ignore: patterns of layers or variables to leave dense.

    Raises:
        UsageError: a pattern matches nothing.
    """
    found = list(_owned(model))
    names = [(layer.name, name) for name, layer, _ in found]
    refuse_unmatched([pattern for pattern in targets if pattern != "*"], names, "prune.targets")
    refuse_unmatched(ignore, names, "prune.ignore")
    prunable, skipped = [], []
    for name, layer, variable in found:
        reason = _reason(name, layer, variable, targets, ignore)
        if reason is None:
            prunable.append(Prunable(name, variable, layer.name, input_axes(layer, variable)))
        else:
            skipped.append(Skipped(name, layer.name, reason))
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
        return tuple(axis for axis, label in enumerate(labels) if label not in output)
    if re.search(r"Conv\dDTranspose$", type(layer).__name__) and rank > 2:
        return tuple(axis for axis in range(rank) if axis != rank - 2)
    return tuple(range(rank - 1))


def _owned(model: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (unique name, owning layer, variable) of every trainable variable, each once."""
    seen: set[int] = set()
    taken: set[str] = set()
    for layer in model._flatten_layers():
        for variable in layer._trainable_variables:
            if id(variable) in seen:
                continue
            seen.add(id(variable))
            name, number = variable.path, 1
            while name in taken:
                number += 1
                name = f"{variable.path}#{number}"
            taken.add(name)
            yield name, layer, variable


def _reason(name: str, layer: Any, variable: Any, targets: Sequence[str], ignore: Sequence[str]) -> str | None:
    """Return why a variable is not pruned, or None where it is."""
    kinds = [kind.__name__ for kind in type(layer).__mro__]
    if any(NORMALISATION.search(kind) for kind in kinds):
        return "normalisation: its scales and shifts are few and each matters"
    if not variable.trainable:
        return "frozen: the layer is not trained"
    if len(variable.shape) < 2:
        return f"rank {len(variable.shape)}: biases and scales are few and each matters"
    if "float" not in str(variable.dtype):
        return f"{variable.dtype}: not a floating-point weight"
    if any(POSITION.search(kind) for kind in kinds) or POSITION.search(variable.name):
        return "positions: an embedding of places, not of content"
    names = (layer.name, name)
    pattern = next((pattern for pattern in ignore if matches(pattern, names)), None)
    if pattern is not None:
        return f"ignored by '{pattern}'"
    if not any(matches(pattern, names) for pattern in targets):
        return "not among prune.targets"
    return None
