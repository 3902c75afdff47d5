"""What `spiral sensitivity` says. Text out, nothing printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

from spiral_cli.console.grid import grid
from spiral_cli.console.texts import count, number


def sensitivity_text(result: Mapping[str, Any], width: int) -> str:
    """Return the drop of every layer at every sparsity, and what is suggested.

    Args:
        result: of `spiral_cli.sensitivity.run`.
        width: of the terminal.
    """
    monitor = result["monitor"].replace("_", " ")
    title = f"drop of validation {monitor} from {number(result['metric'])}, one layer pruned at a time"
    unit = result["unit"]
    table = grid([layer_texts(layer, result["sparsities"][:-1], unit) for layer in result["layers"]], title, width)
    told = (
        f"suggested: {number(result['final_sparsity'])} of all {unit}, where the layers' own drops sum to the "
        "least; nothing here is trained, and training in rounds wins most of it back"
    )
    return "\n".join([table, fill(told, width)])


def layer_texts(layer: Mapping[str, Any], asked: Sequence[float], unit: str) -> dict[str, str]:
    """Return one layer's texts by column: its size in ``unit``, its drop at each sparsity ``asked`` for."""
    drops = {f"{one:g}": short(point["drop"]) for one, point in zip(asked, layer["points"][1:], strict=False)}
    ends = {"layer": layer["name"], unit: count(layer["weights"])}
    return {**ends, **drops, "suggested": f"{layer['suggested']:.4f}"}


def short(value: float | None) -> str:
    """Return a drop in three decimals; a model that gave NaN has none."""
    return "nan" if value is None else f"{value + 0.0:.3f}"
