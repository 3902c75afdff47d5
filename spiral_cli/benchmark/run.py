"""`spiral benchmark`: open, take turns, weigh."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.benchmark.asked import Asked
from spiral_cli.benchmark.contender import Contender, ContenderError, Entry, Settings
from spiral_cli.benchmark.entries import Counterparts, entries_of_files, entries_of_run, is_run, refuse_targets
from spiral_cli.benchmark.turns import figures, speedups, take_turns
from spiral_cli.data.preprocessing import from_json, model_inputs
from spiral_cli.evaluate import bytes_on_disk
from spiral_cli.recipe import load_recipe
from spiral_cli.run import RunFolder
from spiral_cli.sources import module_names
from spiral_cli.training.control import Control


def benchmark(targets: Sequence[Path], asked: Asked, control: Control) -> dict[str, Any]:
    """Measure a run, or files of models, in their own runtimes.

    Args:
        targets: one run folder, or any number of files.
        asked: how.
        control: says when to stop.

    Returns:
        ``batches``, ``threads``, ``rounds``; and ``contenders``, each with ``name``, ``path``, ``status``,
        ``reason``, ``beside``, ``runtime``, ``threads``, ``input_shapes``, ``bytes``, ``gzip_bytes``, ``parameters``,
        ``nonzero``, ``flops``, ``memory_bytes``, and ``latency`` by batch (``p50_ms``, ``p95_ms``,
        ``throughput``, ``calls``, ``speedup`` over ``beside``).

    Raises:
        MissingError: a file is not there.
        UsageError: a run is named together with other things.
        InterruptedRun: asked to stop.
    """
    batches = sorted({1, asked.batch})
    with ExitStack() as stack:
        entries, settings = opened(targets, asked, stack)
        rows = measure(entries, settings, batches, asked.rounds, control)
    return {"batches": batches, "threads": asked.threads, "rounds": asked.rounds, "contenders": rows}


def opened(targets: Sequence[Path], asked: Asked, stack: ExitStack) -> tuple[list[Entry], Settings]:
    """Return what is measured and how it is opened; files made for it live as long as ``stack``.

    Raises:
        MissingError, UsageError: as `benchmark`.
    """
    refuse_targets(targets)
    settings = Settings(asked.threads, asked.open_length, asked.plugins, Path.cwd())
    if not any(map(is_run, targets)):
        return entries_of_files(targets), settings
    run = RunFolder(targets[0])
    recipe = load_recipe(run.recipe)
    counterparts = stack.enter_context(Counterparts(recipe, run.teacher, example_of(run)))
    modules = (*asked.plugins, *module_names(recipe))
    folder = Path(recipe.plugin_folder or ".")
    return list(entries_of_run(run, counterparts)), replace(settings, modules=modules, folder=folder)


def example_of(run: RunFolder) -> tuple[np.ndarray, ...]:
    """Return two rows of zeros as a run's models see them."""
    if not run.preprocessing.is_file():
        return (np.zeros((2, 1), np.float32),)
    preprocessing = from_json(run.preprocessing.read_text("utf-8")).preprocessing
    return model_inputs(np.zeros((2, *preprocessing.input_shape), preprocessing.dtype), preprocessing)


def measure(
    entries: Sequence[Entry], settings: Settings, batches: Sequence[int], rounds: int, control: Control
) -> list[dict[str, Any]]:
    """Return a row an entry, in order; ratios are to the entry it stands beside, else to the first."""
    beside = {entry.name: entry.beside or entries[0].name for entry in entries}
    rows = {entry.name: blank(entry, beside[entry.name]) for entry in entries}
    with ExitStack() as stack:
        contenders = []
        for entry in entries:
            control.check()
            try:
                contenders.append(stack.enter_context(Contender(entry, settings)))
            except ContenderError as error:
                rows[entry.name] |= {"status": "failed", "reason": str(error)}
        for batch in batches:
            taken = take_turns(contenders, batch, rounds, control)
            ratios = speedups(taken, beside)
            for name, times in taken.times.items():
                rows[name]["latency"][str(batch)] = {**figures(times, batch), "speedup": ratios[name]}
            for name, reason in taken.failed.items():
                rows[name] |= {"status": "failed", "reason": f"at batch {batch}: {reason}"}
            contenders = [one for one in contenders if one.entry.name not in taken.failed]
        for contender in contenders:
            try:
                rows[contender.entry.name] |= looked_into(contender, list(rows.values()))
            except ContenderError as error:
                rows[contender.entry.name] |= {"status": "failed", "reason": f"it runs, but {error}"}
    return list(rows.values())


def blank(entry: Entry, beside: str) -> dict[str, Any]:
    """Return what is known of an entry before its file is opened."""
    raw, packed = bytes_on_disk(entry.path)
    unknown = ("runtime", "threads", "input_shapes", "parameters", "nonzero", "flops", "memory_bytes")
    return {
        "name": entry.name,
        "path": str(entry.path),
        "status": "ok",
        "reason": None,
        "beside": beside,
        "bytes": raw,
        "gzip_bytes": packed,
        **dict.fromkeys(unknown),
        "latency": {},
    }


def looked_into(contender: Contender, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what an opened file needs and holds; the peak of memory comes before anything else is looked at.

    Operations are those of the Keras model that a file was made from, where that is among the ``rows`` before it.
    """
    entry = contender.entry
    found = {**contender.about, **contender.ask("memory"), **contender.ask("weights"), **contender.ask("flops")}
    if found["flops"] is None and entry.source is not None:
        found["flops"] = next((row["flops"] for row in rows if row["path"] == str(entry.source)), None)
    return found
