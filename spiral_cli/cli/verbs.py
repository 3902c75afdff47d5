"""The verbs and their flags. What they do is in `spiral_cli.cli.work` and `spiral_cli.cli.looking`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from spiral_cli.cli.flags import (
    SPIRAL_YAML,
    Fresh,
    Json,
    MaxMinutes,
    Overrides,
    Plugins,
    RecipeFile,
    RunDir,
    TeacherFrom,
    Verbose,
    Workers,
    not_nan,
    place,
)
from spiral_cli.cli.output import Output

app = typer.Typer(
    name="spiral",
    help="Make a trained Keras model small: prune, distil, measure, keep or roll back. One YAML recipe.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def distributed(overrides: list[str] | None, workers: int) -> list[str]:
    """Return the recipe's overrides for so many workers."""
    return [*(overrides or ()), *(["distribution=multi_worker"] if workers > 1 else [])]


def in_workers(workers: int, output: Output) -> int | None:
    """Run this command in so many processes and return its exit code; None in one of them."""
    from spiral_cli.cli.workers import is_worker, run_workers

    return None if is_worker() else run_workers(sys.argv[1:], workers, output)


def show_version(asked: bool) -> None:
    """Print the version and leave."""
    if asked:
        from spiral_cli import __version__

        print(f"spiral {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def spiral(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    # No docstring: Typer would show it in place of the help above.
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


@app.command("train-teacher")
def train_teacher(
    recipe: RecipeFile = SPIRAL_YAML,
    run: RunDir = None,
    overrides: Overrides = None,
    fresh: Fresh = False,
    workers: Workers = 1,
    json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Train and store the teacher of a recipe."""
    from spiral_cli.recipe import load_recipe

    loaded = load_recipe(recipe, distributed(overrides, workers))  # a wrong recipe costs no further import
    if workers > 1 and (code := in_workers(workers, Output(json, verbose))) is not None:
        return code
    from spiral_cli.cli import work

    return work.train_teacher(loaded, run, fresh=fresh, output=Output(json, verbose))


@app.command()
def compress(
    recipe: RecipeFile = SPIRAL_YAML,
    run: RunDir = None,
    overrides: Overrides = None,
    fresh: Fresh = False,
    teacher_from: TeacherFrom = None,
    max_minutes: MaxMinutes = None,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=place, help="also draw the final table as a picture")
    ] = None,
    workers: Workers = 1,
    json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Run a recipe from teacher to chosen student.

    The same command resumes an interrupted run, and shows the result of a finished one.
    """
    from spiral_cli.recipe import load_recipe

    loaded = load_recipe(recipe, distributed(overrides, workers))
    if workers > 1 and (code := in_workers(workers, Output(json, verbose))) is not None:
        return code
    from spiral_cli.cli import work

    asked = work.Asked(fresh=fresh, teacher_from=teacher_from, max_minutes=max_minutes, svg=svg)
    return work.compress(loaded, run, asked, Output(json, verbose))


@app.command()
def evaluate(
    target: Annotated[
        Path, typer.Argument(metavar="RUN|RECIPE|MODEL.keras", parser=place, help="a run folder, a recipe, or a model")
    ] = SPIRAL_YAML,
    recipe: Annotated[Path | None, typer.Option(metavar="RECIPE", parser=place, help="says how to test MODEL")] = None,
    run: RunDir = None,
    overrides: Overrides = None,
    least: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="METRIC=NUMBER", help="exit 3 if a test metric is lower; repeatable"),
    ] = None,
    most: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="METRIC=NUMBER", help="exit 3 if an error rate or loss is higher; repeatable"),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(metavar="X", callback=not_nan, help="exit 3 if the student is worse than its teacher by more"),
    ] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Measure teacher and student on the test part.

    --min, --max and --max-drop make it a gate for CI: exit code 3 says that the student misses one.
    """
    from spiral_cli.cli import work

    where = work.Target(target, recipe, run)
    bounds = {"--min": least or (), "--max": most or ()}
    return work.evaluate(where, overrides or (), bounds, max_drop, Output(json, verbose))


@app.command()
def benchmark(
    targets: Annotated[
        list[Path], typer.Argument(metavar="RUN|FILE…", parser=place, help="a run folder, or files of models")
    ],
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="examples of the larger batch")] = 32,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="each runtime computes with")] = 1,
    rounds: Annotated[int, typer.Option(min=3, metavar="N", help="turns that every file has")] = 20,
    length: Annotated[
        int, typer.Option(min=1, metavar="N", help="stands for lengths that a model leaves open, as that of a text")
    ] = 64,
    plugins: Plugins = None,
    json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Measure latency, throughput, memory and size of files in their own runtimes.

    Of a run: teacher, student and every exported file, beside the teacher's own in the same runtime. All of
    them take turns, each in a process of its own, so that their ratios can be believed.
    """
    from spiral_cli.benchmark.asked import Asked
    from spiral_cli.cli import measuring

    named = tuple(plugins or ())
    asked = Asked(batch=batch, threads=threads, rounds=rounds, open_length=length, plugins=named)
    return measuring.benchmark(targets, asked, Output(json, verbose))


@app.command()
def plan(
    recipe: RecipeFile = SPIRAL_YAML,
    run: RunDir = None,
    overrides: Overrides = None,
    trial: Annotated[
        bool, typer.Option("--trial/--no-trial", help="take a few steps to estimate times, or leave times out")
    ] = True,
    json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Show what each round will have left, before any training.

    Weights, FLOPs, bytes, memory for the teacher's outputs and the time all of it takes here. Nothing is
    written to the run folder; a teacher that lies there is used.
    """
    from spiral_cli.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    from spiral_cli.cli import measuring

    return measuring.plan(loaded, run, trial=trial, output=Output(json, verbose))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", parser=place, help="a run folder")],
    json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Write the page report.html of a run again.

    Of a run that has not ended, or that an older spiral made, it shows what there is.
    """
    from spiral_cli.cli import pages

    return pages.report(run, Output(json, verbose))


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", parser=place, help="run folders")],
    html: Annotated[Path | None, typer.Option(metavar="FILE", parser=place, help="also write a page of them")] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Show runs side by side, and over seeds.

    Runs that differ by the seed alone are also given as mean and standard deviation.
    """
    from spiral_cli.cli import pages

    return pages.compare(runs, html, Output(json, verbose))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", parser=place, help="the folder of a finished run")],
    to: Annotated[
        list[str], typer.Option("--to", metavar="KIND", help="what to write: spiral ls exporters; repeatable")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="export.KEY=VALUE", help="replace a setting of the recipe's export; repeatable"),
    ] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Export the student of a finished run.

    Each file is run on the test part. One that loses more than export.max_drop is not shipped: exit code 3; or 1
    where one cannot be made or does not run.
    """
    from spiral_cli.cli import work

    return work.export(run, to, overrides or (), Output(json, verbose))


@app.command()
def predict(
    target: Annotated[Path, typer.Argument(metavar="RUN|FILE", parser=place, help="a finished run, or a model's file")],
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT…", help="an image, a recording or a sentence each; - reads lines")
    ],
    preprocessing: Annotated[
        Path | None, typer.Option(metavar="FILE", parser=place, help="the preprocessing.json of the run FILE is from")
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(metavar="DIR", parser=place, help="write the pictures with the boxes drawn there")
    ] = None,
    plugins: Plugins = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Say what a model answers for raw inputs: a class, a transcript, a translation, boxes."""
    from spiral_cli.cli import predicting

    predicting.predict(target, inputs, preprocessing, draw, plugins or (), Output(json, verbose))


@app.command()
def unpack(
    file: Annotated[Path, typer.Argument(metavar="FILE", parser=place, help="a packed file, packed.spiral of a run")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="MODEL", parser=place, help="the .keras file; FILE's name by default"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace MODEL where it is there")] = False,
    plugins: Plugins = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Make a .keras file of a packed one, with exactly the weights it holds.

    It loads without spiral. A file that is there already is not replaced unless --force says so.
    """
    from spiral_cli.cli import unpacking

    unpacking.unpack(file, output or file.with_suffix(".keras"), force, plugins or (), Output(json, verbose))


@app.command()
def sensitivity(
    recipe: RecipeFile = SPIRAL_YAML,
    run: RunDir = None,
    overrides: Overrides = None,
    at: Annotated[
        list[float] | None,
        typer.Option(min=0.01, max=1.0, metavar="X", help="measure each layer at this sparsity; repeatable"),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=place, help="write a recipe with the suggested sparsities by layer"),
    ] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Measure what each layer loses when it alone is pruned.

    Nothing is trained but the teacher, where the run has none. What the layers tolerate suggests how to spread
    the schedule's final sparsity over them.
    """
    from spiral_cli.recipe import load_recipe

    loaded = load_recipe(recipe, overrides or ())
    from spiral_cli.cli import measuring

    return measuring.sensitivity(loaded, run, at, write, Output(json, verbose))


@app.command()
def validate(
    recipe: RecipeFile = SPIRAL_YAML, overrides: Overrides = None, json: Json = False, verbose: Verbose = False
) -> int:
    """Check a recipe; report all its problems."""
    from spiral_cli.cli import looking

    return looking.validate(recipe, overrides or (), Output(json, verbose))


@app.command()
def ls(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="only this kind, for example criteria")] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """List the names a recipe can use.

    Criteria, schedules, allocations, losses, datasets, models, tasks, …, each with its one-line docstring.
    """
    from spiral_cli.cli import looking

    looking.ls(kind, Output(json, verbose))


@app.command()
def schema(json: Json = False, verbose: Verbose = False) -> None:
    """Print the JSON Schema of a recipe."""
    from spiral_cli.cli import looking

    looking.schema()


@app.command()
def new(
    path: Annotated[Path, typer.Argument(metavar="PATH", parser=place, help="the file to write")] = SPIRAL_YAML,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Write a commented starter recipe.

    An existing file is never overwritten.
    """
    from spiral_cli.cli import looking

    looking.new(path, Output(json, verbose))
