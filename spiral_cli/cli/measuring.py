"""The verbs that look ahead and measure: nothing is compressed. TensorFlow is imported once it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spiral_cli.benchmark.asked import Asked
from spiral_cli.benchmark.entries import refuse_targets
from spiral_cli.cli.output import Output
from spiral_cli.cli.work import console_for, run_folder, stopping, working
from spiral_cli.errors import SpiralError
from spiral_cli.prepare import refuse_run
from spiral_cli.recipe import Recipe
from spiral_cli.run import write_text
from spiral_cli.sensitivity.asked import refuse_existing
from spiral_cli.sensitivity.written import write_suggestion


def plan(recipe: Recipe, run_dir: Path | None, *, trial: bool, output: Output) -> int:
    """Say what a run of ``recipe`` will leave, need and take; return 0."""
    with working(output):
        from spiral_cli.planning.plan import plan as plan_recipe
        from spiral_cli.training.control import Control

        planned = plan_recipe(recipe, run_folder(recipe, run_dir), control=Control(stopping), trial=trial)
    from spiral_cli.console.plan import plan_text

    output.say(plan_text(planned))
    output.result(planned)
    return 0


def benchmark(targets: Sequence[Path], asked: Asked, output: Output) -> int:
    """Measure files in their own runtimes; return 0, or 1 where one of them does not run."""
    refuse_targets(targets)
    with working(output):
        from spiral_cli.benchmark.run import benchmark as measure
        from spiral_cli.training.control import Control

        result = measure(targets, asked, Control(stopping))
    from spiral_cli.console.benchmark import benchmark_text

    output.say(benchmark_text(result, output.width))
    output.result(result)
    failed = [row["name"] for row in result["contenders"] if row["status"] != "ok"]
    if failed:
        output.complain(f"{', '.join(failed)} could not be measured; the reasons stand above")
    return SpiralError.exit_code if failed else 0


def sensitivity(
    recipe: Recipe, run_dir: Path | None, at: Sequence[float] | None, write: Path | None, output: Output
) -> int:
    """Measure what each layer tolerates, say it, and write what was asked for; return 0."""
    run = run_folder(recipe, run_dir)
    if write is not None:
        refuse_existing(write)
    if recipe.distribution != "multi_worker":
        refuse_run(recipe, run, fresh=False, teacher_from=None)
    with console_for(recipe, output) as console, working(output):
        from spiral_cli.sensitivity.run import SPARSITIES
        from spiral_cli.sensitivity.run import sensitivity as measure
        from spiral_cli.training.control import Control

        result = measure(recipe, run, at or SPARSITIES, listen=console, control=Control(stopping))
    if result:
        from spiral_cli.console.sensitivity import sensitivity_text
        from spiral_cli.report.tolerance import tolerance_page

        write_text(run.sensitivity_page, tolerance_page(result))
        output.say(sensitivity_text(result, output.width))
        output.say(f"every point: {run.sensitivity_csv}, and as a page: {run.sensitivity_page}")
        if write is not None:
            write_suggestion(recipe, result, run, write)
            output.say(f"wrote {write}; run it with: spiral compress {write} --teacher-from {run.root}")
    output.result(result)
    return 0
