"""A task that spiral does not know, in one file of a person's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from spiral_cli.compress import compress
from spiral_cli.events import silent
from spiral_cli.predict import files_of, predict
from spiral_cli.recipe import load_recipe
from spiral_cli.run import RunFolder
from spiral_cli.training.control import Control

SLOW = [pytest.param(one, marks=pytest.mark.slow) for one in ("unstructured", {"n": 2, "m": 4})]


@pytest.mark.parametrize("granularity", [*SLOW, "channel"])
def test_pixels_are_classified_pruned_and_exported(tmp_path, granularity):
    shutil.copy(Path(__file__).with_name("segmentation.py"), tmp_path / "segmentation.py")
    recipe = {
        "name": "pixels",
        "plugins": ["segmentation"],
        "task": "segmentation",
        "data": {"builder": "segmentation:shapes"},
        "teacher": {"builder": "segmentation:network", "epochs": 25, "batch_size": 16, "learning_rate": 0.01},
        "prune": {"granularity": granularity, "schedule": {"kind": "one_shot", "final_sparsity": 0.5}},
        "train": {"epochs": 8, "batch_size": 16},
        "distill": {"temperature": 2.0, "alpha": 0.5},
        "guard": {"max_drop": 0.1},
        "export": ["keras", "litert"] if granularity == "channel" else ["keras"],
    }
    (tmp_path / "spiral.yaml").write_text(yaml.safe_dump(recipe))
    run = RunFolder(tmp_path / "run")
    loaded = load_recipe(tmp_path / "spiral.yaml")
    report = compress(loaded, run, listen=silent, control=Control(lambda: False))
    assert report["status"] == "ok" and report["monitor"] == "mean_iou"
    assert report["teacher"]["metrics"]["test"]["mean_iou"] > 0.8
    assert report["selected"]["metrics"]["test"]["mean_iou"] > 0.75 and report["selected"]["sparsity"] >= 0.45
    assert all(one["status"] == "ok" for one in report["artifacts"])
    picture = np.full((16, 16, 1), 40, np.uint8)
    picture[3:9, 3:9] = 140
    np.save(tmp_path / "square.npy", picture)
    (answer,) = predict(*files_of(run.root, None), [str(tmp_path / "square.npy")])
    assert answer == {"input": str(tmp_path / "square.npy"), "answer": "square"}
    if granularity == "channel":  # another process, elsewhere: the run names its plugins
        asked = [sys.executable, "-m", "spiral_cli", "predict", str(run.root), str(tmp_path / "square.npy"), "--json"]
        done = subprocess.run(asked, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
        assert (done.returncode, json.loads(done.stdout)) == (0, [answer]), done.stderr
    assert json.loads(run.preprocessing.read_text())["task"] == "segmentation"
