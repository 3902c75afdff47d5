"""The verbs that look ahead and measure: nothing is compressed. TensorFlow is imported once it is needed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from spiral_cli.benchmark.asked import Asked
from spiral_cli.cli.output import Output
from spiral_cli.cli.work import run_folder, working
from spiral_cli.errors import SpiralError
from spiral_cli.recipe import Recipe


def plan(recipe: Recipe, run_dir: Path | None, *, trial: bool, output: Output) -> int:
    """Say what a run of ``recipe`` will leave, need and take; return 0."""
    with working(output):
        from spiral_cli.planning.plan import plan as plan_recipe

        planned = plan_recipe(recipe, run_folder(recipe, run_dir), trial=trial)
    from spiral_cli.console.plan import plan_text

    output.say(plan_text(planned))
    output.result(planned)
    return 0


def benchmark(targets: Sequence[Path], asked: Asked, output: Output) -> int:
    """Measure files in their own runtimes; return 0, or 1 where one of them does not run."""
    with working(output):
        from spiral_cli.benchmark.run import benchmark as measure

        result = measure(targets, asked)
    from spiral_cli.console.benchmark import benchmark_text

    output.say(benchmark_text(result, terminal_width(output)))
    output.result(result)
    failed = [row["name"] for row in result["contenders"] if row["status"] != "ok"]
    if failed:
        output.complain(f"{', '.join(failed)} could not be measured; the reasons stand above")
    return SpiralError.exit_code if failed else 0


def terminal_width(output: Output) -> int:
    """Return how wide a table may be."""
    from spiral_cli.console.grid import NARROW

    return shutil.get_terminal_size((NARROW, 24)).columns if output.human.isatty() else 120
