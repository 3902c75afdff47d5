"""The student with few values that the weights of a layer share, found by k-means and moved by distillation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

from spiral_cli.evaluate import Evaluator
from spiral_cli.events import StageDone
from spiral_cli.export.artifact import Chosen
from spiral_cli.lessons import Lessons
from spiral_cli.models.load import load_model
from spiral_cli.packed.sharing import halved, shared
from spiral_cli.pruning.prunable import Prunable
from spiral_cli.training.build import make_stage, student_program, training_data
from spiral_cli.training.loop import Stage, train_stage
from spiral_cli.training.plan import average_gains, stage_seed
from spiral_cli.training.shared_values import SharedProgram
from spiral_cli.training.targets import feature_targets
from spiral_cli.training.writer import Writer

WORTH = 4  # weights for each value, or they are stored one by one
GENTLE = 0.25  # of the rounds' learning rate: the values are nearly where they belong


def shared_student(chosen: Chosen) -> keras.Model:
    """Return a copy of the chosen student whose trainable arrays hold at most 2^bits different numbers beside zero.

    Arrays of few weights keep their own. Then all of it learns from the teacher again, equal weights together
    (Han et al. 2016), and what is left of bits is cut: everything is rounded to float16 where that suffices.
    """
    settings = chosen.settings.packed
    most = 2**settings.bits
    model = load_model(chosen.file)
    tied = [one for one in model.trainable_variables if np.count_nonzero(one.numpy()) >= WORTH * most]
    for variable in tied:
        variable.assign(shared(variable.numpy(), most))
    if settings.epochs:
        tune(chosen, model, tied)
    for variable in model.variables:
        variable.assign(halved(variable.numpy()))
    return model


def tune(chosen: Chosen, model: keras.Model, tied: Sequence[keras.Variable]) -> None:
    """Train ``model`` by distillation, zeros staying zeros and what is equal in a ``tied`` variable equal.

    Raises:
        DivergedError, InterruptedRun: as `train_stage`.
    """
    task, head = chosen.evaluator.task, chosen.evaluator.head
    recipe = task.recipe
    held = [Prunable(str(i), one, "", ()) for i, one in enumerate(model.trainable_variables)]
    kind = partial(SharedProgram, tied=tied, most=2**chosen.settings.packed.bits + 1)
    data, teacher = training_data(task, head), chosen.teacher
    program = student_program(recipe, task, data, model, head, teacher.model, teacher.head, held, kind=kind)
    assert isinstance(program, SharedProgram)
    stage = tuning_stage(chosen)
    masks = {one.name: one.variable.numpy() != 0 for one in held}
    program.reset([variable.numpy() for variable in model.variables], stage_seed(stage.key))
    program.hold(masks)
    program.tie()
    program.set_targets(targets(chosen, program))
    with Writer() as writer:
        trained = train_stage(
            program,
            stage,
            chosen.apart.folder / "tuning.spiral",
            writer,
            masks=masks,
            listen=chosen.listen,
            control=chosen.control,
        )
    program.settle()
    metrics = Evaluator(task, model, head).metrics(task.dataset.validation)
    chosen.listen(StageDone(stage.kind, stage.title, metrics, trained.seconds))


def tuning_stage(chosen: Chosen) -> Stage:
    """Return the training of the shared values: as a round's, but gentler, and without pressure or cuts."""
    recipe, epochs = chosen.evaluator.task.recipe, chosen.settings.packed.epochs
    stage = make_stage(
        chosen.evaluator.task,
        recipe.train,
        epochs,
        kind="tuning",
        title="shared values",
        key=(recipe.seed, 6),
    )
    gains = average_gains(len(stage.rates), recipe.train.average)
    return replace(stage, rates=stage.rates * np.float32(GENTLE), gains=gains)


def targets(chosen: Chosen, program: SharedProgram) -> dict[str, np.ndarray]:
    """Return what the original teacher says of the training inputs, unless the program asks it in every step."""
    task, teacher = chosen.evaluator.task, chosen.teacher
    distill = task.recipe.distill
    features = feature_targets(teacher.model, program.objective.hints, task, program.online is not None)
    if distill.targets == "online":
        return features
    folder = Path(distill.cache) if distill.cache else chosen.run.targets
    return {**Lessons(task, distill, folder).targets([0], lambda _: teacher), **features}
