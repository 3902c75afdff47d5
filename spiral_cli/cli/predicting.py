"""The verb that asks a model about raw inputs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from spiral_cli.cli.output import Output
from spiral_cli.cli.work import working
from spiral_cli.console.predictions import predictions_text
from spiral_cli.errors import UsageError
from spiral_cli.recipe import load_recipe
from spiral_cli.registry import load_plugins
from spiral_cli.run import RunFolder

LINES = "-"


def predict(
    target: Path,
    inputs: Sequence[str],
    preprocessing: Path | None,
    pictures: Path | None,
    plugins: Sequence[str],
    output: Output,
) -> None:
    """Say what the model of a run, or a file, answers for each of ``inputs``, and draw the boxes where asked.

    Without ``plugins`` those of the run's recipe are loaded, where there is one.

    Raises:
        MissingError: a file is missing or cannot be used.
        UsageError: there is nothing to answer.
    """
    asked = [line.rstrip("\r\n") for line in sys.stdin if line.strip()] if list(inputs) == [LINES] else list(inputs)
    if not asked:
        raise UsageError("received no input on stdin; give one a line")
    with working(output):
        from spiral_cli.predict import draw, files_of
        from spiral_cli.predict import predict as ask

        model, beside = files_of(target, preprocessing)
        load_plugins(plugins, Path.cwd())
        if not plugins and (recipe := RunFolder(beside.parent).recipe).is_file():
            load_recipe(recipe)  # its plugins come with it
        told = ask(model, beside, asked)
        drawn = draw(told, pictures) if pictures is not None else []
    output.say(predictions_text(told))
    if drawn:
        output.say(f"drew {', '.join(map(str, drawn))}")
    output.result(told)
