"""`spiral sensitivity`: the teacher trained or found, each layer measured, an allocation suggested."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from spiral_cli.compress import begin
from spiral_cli.events import Listener, Notice
from spiral_cli.pruning.schedules import sparsities as schedule_of
from spiral_cli.recipe import Recipe
from spiral_cli.run import RunFolder, write_text
from spiral_cli.sensitivity.channel_curves import channel_curves
from spiral_cli.sensitivity.curves import Curve, curves
from spiral_cli.sensitivity.suggest import estimated, overall, suggest
from spiral_cli.student import Workbench, set_up
from spiral_cli.teacher import train_or_load_teacher
from spiral_cli.together import joined
from spiral_cli.training.control import Control

SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
WHOLE_LAYER = 1.0  # always measured: where every curve ends


def sensitivity(
    recipe: Recipe, run: RunFolder, sparsities: Sequence[float], *, listen: Listener, control: Control
) -> dict[str, Any]:
    """Measure what each layer of the dense student tolerates and suggest how to spread the final sparsity.

    The run's teacher is used, or trained as `train_teacher` does. A student that is no copy of it is
    distilled dense first, as its run would; nothing else is trained.

    Args:
        recipe: its criterion and granularity rank the weights, its guard's metric is measured on validation.
        run: the run folder; `sensitivity.csv` is written there.
        sparsities: at which each layer is measured; the whole layer at zero is added.
        listen, control: as of `compress.compress`.

    Returns:
        ``monitor``, ``unit`` (``weights`` or ``channels``), ``sparsities`` asked for, ``metric`` of the dense
        student, ``final_sparsity`` and ``layers``: each with ``name``, ``weights`` (how many, of the unit),
        ``points`` (``sparsity``, ``metric``, ``drop``), its ``suggested`` sparsity and the ``estimated_drop``
        there. Empty in a worker that follows another.

    Raises:
        SpiralError: as `train_or_load_teacher` and `set_up`.
    """
    with joined(recipe, run, listen, control) as place:
        task = begin(recipe, place)
        with place.team.scope():
            teacher = train_or_load_teacher(recipe, task, place.run, listen=place.listen, control=place.control)
            bench = set_up(recipe, task, teacher, place.run, listen=place.listen, control=place.control)
            put_dense(bench)
            if bench.collect is not None:
                bench.set_targets([], place.control.together)
            found = measured(bench, sorted({*sparsities, WHOLE_LAYER}), place.listen, place.control)
        place.end()
        if not place.team.leads:
            return {}
    result = described(recipe, found, sparsities)
    write_text(run.sensitivity_csv, as_csv(result))
    return result


def put_dense(bench: Workbench) -> None:
    """Put the bench's student at its dense state, which lies in the run."""
    variables, _ = bench.kept(0)
    for variable, value in zip(bench.model.variables, variables, strict=True):
        variable.assign(value)


def measured(bench: Workbench, sparsities: Sequence[float], listen: Listener, control: Control) -> list[Curve]:
    """Return the curve of every layer, telling of each as it is done."""
    found = []
    if bench.channels is None:
        every, count = curves(bench, sparsities, control), len(bench.prunable)
    else:
        every, count = channel_curves(bench, sparsities, control), len(bench.channels.spaces)
    for curve in every:
        found.append(curve)
        listen(Notice(f"{curve.name}: measured, {len(found)} of {count}"))
    return found


def described(recipe: Recipe, found: Sequence[Curve], sparsities: Sequence[float]) -> dict[str, Any]:
    """Return what `sensitivity` returns."""
    allocation = suggest(found, schedule_of(recipe.prune.schedule)[-1])
    return {
        "recipe": recipe.name,
        "monitor": recipe.guard.monitor,
        "unit": "channels" if recipe.prune.granularity == "channel" else "weights",
        "sparsities": sorted({*sparsities, WHOLE_LAYER}),
        "metric": found[0].points[0].metric,
        "final_sparsity": overall(allocation, found),
        "layers": [
            {
                **asdict(curve),
                "suggested": allocation[curve.name],
                "estimated_drop": estimated(curve, allocation[curve.name]),
            }
            for curve in found
        ],
    }


def as_csv(result: Mapping[str, Any]) -> str:
    """Return every measured point as a line: layer, weights, sparsity, the metric under its name, drop."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["layer", "weights", "sparsity", result["monitor"], "drop"])
    for layer in result["layers"]:
        for point in layer["points"]:
            table.writerow([layer["name"], layer["weights"], point["sparsity"], point["metric"], point["drop"]])
    return text.getvalue()
