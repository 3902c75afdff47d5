"""One turn of the screw on channels: press, remove, distil the smaller student, measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from spiral_cli.channel_cut import CLOSE, choice_of, cut_of, left_of, make_cut
from spiral_cli.events import Listener, Notice
from spiral_cli.guard import Attempt, Row
from spiral_cli.models.fresh import begin_anew
from spiral_cli.models.load import load_model
from spiral_cli.recipe.prune import Prune
from spiral_cli.student import Workbench
from spiral_cli.training.build import make_stage
from spiral_cli.training.checkpoint import remove_states
from spiral_cli.training.control import Control
from spiral_cli.training.group_pressure import GroupPressure
from spiral_cli.training.loop import Stage, Trained, train_stage
from spiral_cli.training.plan import average_gains, stage_seed
from spiral_cli.training.writer import Writer
from spiral_cli.verdict import decision, judge, store


def channel_turn(bench: Workbench, attempt: Attempt, rows: Sequence[Row], listen: Listener, control: Control) -> Row:
    """Make one try of one round from the last accepted student; what leaves it makes the rest of the try faster.

    With a pressure, the first part of the round pushes the groups that are to leave towards zero.
    Then they are removed, and the rest of the round trains what is a plain, smaller model.
    """
    folder = bench.run.round(attempt.round)
    before, after = stages(bench, attempt)
    cut = cut_of(bench, attempt)
    if cut is None:
        last = next((row["round"] for row in reversed(rows) if row["accepted"]), 0)
        wide = bench.on(load_model(bench.run.round(last).student))
        wide.set_targets(rows, control.together)
        pressed = None if before is None else press(wide, attempt, before, listen, control)
        cut = make_cut(wide, attempt, after.key, pressed, control.together)
    narrow = bench.on(load_model(folder.narrow(attempt.attempt)))
    narrow.set_targets(rows, control.together)
    left = {**left_of(narrow), **cut["left"]}
    if sentence := out_of_reach(bench.recipe.prune, attempt, left):
        listen(Notice(sentence, "warning"))
    if bench.recipe.prune.weights == "fresh":
        begin_anew(narrow.model, stage_seed(after.key))
    trained = train(narrow, after, folder.checkpoint(attempt.attempt), listen, control)
    spent = {"epochs": bench.recipe.train.epochs, "seconds": cut["seconds"] + trained.seconds}
    row = judge(narrow, attempt, after, trained, left=left, **spent)
    control.together.agree(f"{after.title}: whether it is accepted", decision(row, {}))
    files = store(narrow, row, rows, {})
    bench.ledger.append("round", row=row, curve=[*cut["curve"], *trained.curve], files=files)
    for state in (folder.checkpoint(attempt.attempt), folder.wide_checkpoint(attempt.attempt)):
        remove_states(state)
    folder.narrow(attempt.attempt).unlink(missing_ok=True)
    return row


def out_of_reach(prune: Prune, attempt: Attempt, left: Mapping[str, float]) -> str | None:
    """Return a sentence where clearly more is left than a try aims at, or None."""
    found = left[prune.measure]
    if found <= attempt.density / CLOSE:
        return None
    return (
        f"round {attempt.round} aims at {attempt.density:.4g} of the {prune.measure} and leaves {found:.4g}: "
        "prune.round_to, prune.min_channels, layers whose channels stay (not_pruned in the report) or, of latency, "
        "what a call takes whatever it computes allow no less"
    )


def stages(bench: Workbench, attempt: Attempt) -> tuple[Stage | None, Stage]:
    """Return the training before channels leave, where there is a pressure, and after: one learning rate for both."""
    recipe, prune = bench.recipe, bench.recipe.prune
    epochs, key = recipe.train.epochs, (recipe.seed, 2, attempt.round, attempt.attempt)
    title = f"round {attempt.round}, try {attempt.attempt}"
    whole = make_stage(bench.task, recipe.train, epochs, kind="round", title=title, key=key)
    pressed = min(round(prune.cut * epochs), epochs - 1) if prune.pressure is not None else 0
    per_epoch = len(whole.rates) // epochs
    steps = len(whole.rates) - pressed * per_epoch
    tail = min(recipe.train.average * epochs / (epochs - pressed), 1.0)
    after = replace(
        whole,
        epochs=epochs - pressed,
        rates=whole.rates[-steps:],
        strengths=whole.strengths[-steps:],
        gains=average_gains(steps, tail),
    )
    if pressed == 0 or prune.pressure is None:
        return None, after
    growing = np.linspace(0.0, prune.pressure.strength, pressed * per_epoch, dtype=np.float32)
    before = replace(
        whole,
        title=f"{title}, before channels leave",
        key=(*key, 3),
        epochs=pressed,
        rates=whole.rates[:-steps],
        strengths=growing,
        gains=whole.gains[:-steps],
    )
    return before, after


def press(wide: Workbench, attempt: Attempt, stage: Stage, listen: Listener, control: Control) -> Trained:
    """Train while the groups that would leave now are pushed towards zero, ever harder (Wang et al. 2021)."""
    pressure = wide.program.pressure
    if isinstance(pressure, GroupPressure):
        pressure.leaving.assign(~choice_of(wide, attempt, stage.key))
    checkpoint = wide.run.round(attempt.round).wide_checkpoint(attempt.attempt)
    return train(wide, stage, checkpoint, listen, control)


def train(bench: Workbench, stage: Stage, checkpoint: Path, listen: Listener, control: Control) -> Trained:
    """Train the student on the bench from where it is, or from the checkpoint where there is one."""
    bench.program.reset([variable.numpy() for variable in bench.model.variables], stage_seed(stage.key))
    with Writer() as writer:
        return train_stage(bench.program, stage, checkpoint, writer, listen=listen, control=control)
