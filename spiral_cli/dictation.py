"""Sequence-level distillation: the student learns what the teacher says instead of the labels.

Of a sentence there are many translations; one teacher's are more alike than those of many people, and
easier to learn (Kim and Rush 2016). The same holds of transcripts (Takashima et al. 2018).
"""

from __future__ import annotations

import json

from spiral_cli.evaluate import Evaluator
from spiral_cli.events import Listener, Notice
from spiral_cli.lessons import model_digest
from spiral_cli.run import RunFolder, write_json
from spiral_cli.tasks.task import Task

NAME = "dictation.json"


def dictated(task: Task, teacher: Evaluator, run: RunFolder, listen: Listener) -> Task:
    """Return the task with a train part that says what the teacher says, asked once and kept in the run.

    Args:
        task: with labels of its own.
        teacher: the original one.
        run: keeps the answers.
        listen: is told of what takes long.
    """
    facts = {
        "teacher": model_digest(teacher),
        "data": task.dataset.fingerprint(),
        "beams": task.recipe.distill.beams,
    }
    file = run.targets / NAME
    kept = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    if {key: kept.get(key) for key in facts} != facts:
        listen(Notice(f"asking the teacher what it says of {len(task.dataset.train.y):,} training examples"))
        speak = task.speaker(teacher.model, teacher.head, task.recipe.distill.beams)
        said = teacher.said(task.dataset.train) if speak is None else speak(task.dataset.train.x)
        kept = {**facts, "texts": list(said.texts)}
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, kept)
    return task.taught(kept["texts"])
