"""The student as a plain ``.keras`` file."""

from __future__ import annotations

from spiral_cli.evaluate import Evaluator
from spiral_cli.export.artifact import Chosen, Exported
from spiral_cli.models.load import load_model
from spiral_cli.registry import exporters
from spiral_cli.training.predict import Predictor, logits_of


@exporters.register("keras")
def keras_file(chosen: Chosen) -> Exported:
    """A ``.keras`` file that loads with Keras alone; the zeros make it small after gzip."""
    path = chosen.run.student
    model = load_model(path)
    task, head = chosen.evaluator.task, chosen.evaluator.head
    single = Predictor(logits_of(model, head), task.preprocessing, most=1)
    many = Evaluator(task, model, head)
    return Exported(path, lambda x: single(x)[0] if len(x) == 1 else many.logits(x))
