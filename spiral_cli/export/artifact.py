"""What an exporter is handed: a model, where it lies, and a process for converters that may crash.

An exporter writes one file, or one folder::

    @exporters.register("litert", file="exports/litert.tflite", beside="litert")
    def litert(chosen: Chosen, path: Path) -> None:
        \"\"\"LiteRT with float32 weights.\"\"\"
        chosen.convert(write_litert, path)

``file`` says where it goes in the run folder, ``beside`` which exporter makes the teacher's
float32 counterpart that it is timed beside. What it wrote is proved by `spiral_cli.export.proof`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spiral_cli.data.preprocessing import model_inputs
from spiral_cli.evaluate import Evaluator
from spiral_cli.events import Listener
from spiral_cli.export.apart import Apart
from spiral_cli.recipe.schema import Export
from spiral_cli.run import RunFolder
from spiral_cli.training.control import Control


@dataclass(frozen=True)
class Chosen:
    """A model to export: the chosen student, or the teacher it is timed beside.

    Attributes:
        file: its ``.keras`` file.
        evaluator: holds the model, its task and how its output is read.
        teacher: the run's teacher.
        run: the run folder.
        apart: the other process.
        listen: is told what goes on.
        control: says when to stop.
    """

    file: Path
    evaluator: Evaluator
    teacher: Evaluator
    run: RunFolder
    apart: Apart
    listen: Listener
    control: Control

    @property
    def model(self) -> keras.Model:
        """The Keras model."""
        return self.evaluator.model

    @property
    def settings(self) -> Export:
        """The recipe's ``export``."""
        return self.evaluator.task.recipe.export

    def counterpart(self) -> Chosen:
        """Return the teacher, to be exported the same way."""
        return replace(self, file=self.run.teacher, evaluator=self.teacher)

    def convert(self, function: Callable[..., None], path: Path, **options: Any) -> None:
        """Call ``function(serving, path, **options)`` in the other process; raises as `Apart`."""
        self.apart(function, self.file, path, **options)

    def samples(self) -> str:
        """Return the path of ``export.samples`` seeded training examples as the model sees them."""
        task, count = self.evaluator.task, self.settings.samples
        train = task.dataset.train.x
        rows = np.random.default_rng((task.recipe.seed, 5)).permutation(len(train))[:count]
        return self.apart.stored("samples", model_inputs(train[np.sort(rows)], task.preprocessing))
