"""The recipes that come with the project: each is run as its smoke line says, where its data are."""

from __future__ import annotations

import json
import math
import os
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from spiral_cli.compress import compress
from spiral_cli.events import silent
from spiral_cli.recipe import load_recipe
from spiral_cli.run import RunFolder
from spiral_cli.training.control import Control

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SPIRAL_DATA") or ROOT.parent / "shared/data")
RECIPES = {
    "text/trec": "trec",
    "text/sst2": "sst2",
    "speech/fsdd": "fsdd",
    "speech/an4": "an4",
    "translation/multi30k": "multi30k",
    "detection/bccd": "bccd",
    "detection/bccd-channels": "bccd",
}


def smoke(recipe: Path) -> list[str]:
    """Return the settings of the smoke run that stands above a recipe."""
    head = [line.lstrip("# ") for line in recipe.read_text().splitlines() if line.startswith("#")]
    words = shlex.split(" ".join(head).partition("Smoke run")[2].replace("'", '"'))
    return [after for before, after in pairwise(words) if before == "--set"]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_names_a_smoke_run_that_is_valid(name):
    settings = smoke(ROOT / "configs" / f"{name}.yaml")
    assert len(settings) >= 3 and load_recipe(ROOT / "configs" / f"{name}.yaml", settings).data.subset


@pytest.mark.slow
@pytest.mark.parametrize(("name", "folder"), RECIPES.items())
def test_smoke_runs(name, folder, tmp_path):
    if not (DATA / folder).is_dir():
        pytest.skip(f"{DATA} holds no {folder}; SPIRAL_DATA says where it is")
    path = ROOT / "configs" / f"{name}.yaml"
    loose = ["guard.max_drop=100", f"data.path={DATA / folder}"]
    recipe = load_recipe(path, [*smoke(path), *loose])
    run = RunFolder(tmp_path / "run")
    report = compress(recipe, run, listen=silent, control=Control(lambda: False))
    assert report["status"] == "ok" and report["selected"]["sparsity"] > 0.7
    for part in ("validation", "test"):
        measured = report["selected"]["metrics"][part]
        assert math.isfinite(measured[recipe.guard.monitor])
        if recipe.task == "detection":
            assert measured["ap50"] > 0.2
        if recipe.task.endswith("classification"):  # one class for everything would be right of one class alone
            assert measured["balanced_accuracy"] > 1 / len(json.loads(run.preprocessing.read_text())["classes"])
