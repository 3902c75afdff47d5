"""`spiral predict`: what a file says of raw inputs, by what lies beside it in `preprocessing.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from spiral_cli.data.pipeline import Inputs, batches
from spiral_cli.data.preprocessing import Beside, few, from_json, model_inputs
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.run import RunFolder
from spiral_cli.runtimes.session import open_model
from spiral_cli.tasks import drawing

BATCH = 64
THREADS = 2


def predict(model: Path, preprocessing: Path, inputs: Sequence[str]) -> list[dict[str, Any]]:
    """Return what a model says of each input: ``input``, and what its task tells, ``answer`` first.

    Args:
        model: a file of any runtime, or a SavedModel's folder.
        preprocessing: the ``preprocessing.json`` of the run it comes from.
        inputs: sentences, or paths of images or recordings, as the task takes.

    Raises:
        MissingError: a file is missing or cannot be used.
    """
    beside = from_json(preprocessing.read_text("utf-8"))
    if beside.head is None:
        raise MissingError(f"{preprocessing} is of an older run, which does not say how outputs are read; run it again")
    rows = beside.task.rows_from(beside.preprocessing, inputs)
    session = open_model(model, THREADS)

    def answered(inputs: Sequence[np.ndarray]) -> np.ndarray:
        try:
            return session.run(inputs)[0]
        except Exception as error:  # of any runtime
            shapes = ", ".join(str(one.shape) for one in inputs)
            raise MissingError(
                f"{model} cannot take inputs of {shapes}, which {preprocessing} makes "
                f"({str(error).strip().splitlines()[0]}); give the preprocessing.json of the run that it is from"
            ) from error

    def forward(x: Inputs, cut: np.ndarray | None = None) -> np.ndarray:
        outputs = [answered(inputs)[:count] for inputs, count in blocks(np.asarray(x), beside, cut)]
        return beside.head.logits(tf.constant(np.concatenate(outputs))).numpy()

    told = beside.task.tell(beside.preprocessing, beside.head.say(forward, rows))
    return [{"input": name, **one} for name, one in zip(inputs, told, strict=True)]


def draw(told: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Draw the boxes of each answer onto its picture and write that into ``folder``; return the files.

    Raises:
        UsageError: no answer has boxes, two pictures have one name, one would be written over, or it is no folder.
    """
    if not any("boxes" in one for one in told):
        raise UsageError("--draw is for models that find boxes; this one's answers have none")
    files = [folder / drawing.writable(Path(one["input"]).name) for one in told]
    if len(set(files)) < len(files):
        raise UsageError("--draw: two of the pictures have the same name; ask for them one after the other")
    if own := [file for file, one in zip(files, told, strict=True) if file.resolve() == Path(one["input"]).resolve()]:
        raise UsageError(f"--draw: {own[0]} is the picture itself, which would be written over; give another folder")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--draw: {folder} is a file; give a folder, which is made where there is none")
    folder.mkdir(parents=True, exist_ok=True)
    for one, file in zip(told, files, strict=True):
        drawing.draw(one["input"], one["boxes"], file)
    return files


def blocks(stored: np.ndarray, beside: Beside, cut: np.ndarray | None) -> Any:
    """Yield model inputs of up to `BATCH` rows and how many of them count."""
    size = min(BATCH, few(beside.preprocessing.input_shape, BATCH), len(stored))
    return ((model_inputs(block, beside.preprocessing, cut), count) for block, count in batches(stored, size))


def files_of(target: Path, preprocessing: Path | None) -> tuple[Path, Path]:
    """Return the model's file and its ``preprocessing.json``: in a run folder, beside the file, or one folder up.

    Raises:
        MissingError: one of them is not there.
    """
    run = RunFolder(target)
    model = run.student if run.recipe.is_file() else target
    if not model.exists():
        raise MissingError(f"there is no model {model}; name a finished run, or an exported file")
    inside = [run.preprocessing] if target.is_dir() else []
    places = [preprocessing] if preprocessing else [*inside, *near(model, run.preprocessing.name)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise MissingError(
            f"there is no {' or '.join(map(str, dict.fromkeys(places)))}; give --preprocessing FILE: the "
            f"{run.preprocessing.name} that spiral compress wrote beside the student"
        )
    return model, found


def near(model: Path, name: str) -> list[Path]:
    """Return where a file's preprocessing may lie: in its folder, or in that above, as a run's exports have it."""
    return [model.parent / name, model.parent.parent / name]
