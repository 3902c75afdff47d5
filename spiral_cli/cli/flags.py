"""Flags and arguments that several verbs share, and how their values are read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer


def not_nan(value: float | None) -> float | None:
    """Refuse the number with which every comparison is false."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("received nan; allowed: a number")
    return value


def place(text: str | Path) -> Path:
    """Return a path, but not of nothing: an unset variable of a shell would be the working directory."""
    if text == "":
        raise typer.BadParameter("received an empty path; name a file or a folder, or leave it out")
    return Path(text)


RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", parser=place, help="the recipe file")]
RunDir = Annotated[
    Path | None, typer.Option("--run", metavar="DIR", parser=place, help="the run folder; runs/<name> by default")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY.KEY=VALUE", help="replace a setting of the recipe; repeatable")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="forget what the run folder holds and start over")]
TeacherFrom = Annotated[
    Path | None, typer.Option(metavar="RUN", parser=place, help="use the teacher of another run folder")
]
MaxMinutes = Annotated[
    float | None,
    typer.Option(min=0.0, metavar="X", help="end after this time with what was accepted"),
]
Workers = Annotated[
    int, typer.Option(min=1, metavar="N", help="try distribution: multi_worker with N processes on this machine")
]
Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="MODULE", help="import it first: the model's own classes; repeatable"),
]
Json = Annotated[bool, typer.Option("--json", help="machine result on stdout, human text on stderr")]
Verbose = Annotated[bool, typer.Option("--verbose", help="say more: every epoch, TensorFlow's logs, tracebacks")]

SPIRAL_YAML = Path("spiral.yaml")
