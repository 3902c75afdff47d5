"""The verbs that look ahead and measure: nothing is compressed. TensorFlow is imported once it is needed."""

from __future__ import annotations

from pathlib import Path

from spiral_cli.cli.output import Output
from spiral_cli.cli.work import run_folder, working
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
