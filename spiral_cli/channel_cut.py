"""How one try of a round removes channels: a stage of its own, found again in the ledger by a run that resumes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from spiral_cli.channel_measure import MEASURED
from spiral_cli.channels.choice import Limits, channels_of, chosen, parameters_of, products_of, sizes_of
from spiral_cli.channels.graph import Channels
from spiral_cli.channels.removal import remove
from spiral_cli.channels.scoring import group_scores
from spiral_cli.data.preprocessing import one_of
from spiral_cli.flops import total_flops
from spiral_cli.guard import Attempt
from spiral_cli.pruning.schedules import sparsities
from spiral_cli.recipe.digest import student_digest
from spiral_cli.student import Workbench
from spiral_cli.training.control import Together
from spiral_cli.training.evidence import gather
from spiral_cli.training.loop import Trained
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.recalibrate import Recalibration
from spiral_cli.training.saving import save_model

CORRECTIONS = 6  # how often a choice is made again, until what is measured meets the target
CLOSE = 0.98  # of the target: near enough


def cut_of(bench: Workbench, attempt: Attempt) -> dict[str, Any] | None:
    """Return the ledger's record of this try's removal, or None where there is none or its file is damaged."""
    facts = named(bench, attempt)
    stored = [one for one in bench.ledger.read() if one["event"] == "removal" and facts.items() <= one.items()]
    return stored[-1] if stored and not bench.ledger.damaged(stored[-1]) else None


def make_cut(
    wide: Workbench, attempt: Attempt, key: tuple[int, ...], pressed: Trained | None, together: Together
) -> dict[str, Any]:
    """Store the student without the channels that leave in this try, and return the ledger's record.

    Args:
        wide: the bench with the last accepted student on it, trained on where the recipe asks for it.
        attempt: says what part may be left.
        key: of the try, the seed first.
        pressed: the training that came before, if any.
        together: all that train must come to the same choice.
    """
    file = wide.run.round(attempt.round).narrow(attempt.attempt)
    model, measured = narrowed(wide, attempt.density, key, together)
    measure_statistics(wide, model, key)
    save_model(model, file)
    spent = {"seconds": pressed.seconds, "curve": pressed.curve} if pressed else {"seconds": 0.0, "curve": []}
    return wide.ledger.append("removal", **named(wide, attempt), **spent, left=measured, files=(file,))


def named(bench: Workbench, attempt: Attempt) -> dict[str, Any]:
    """Return what tells a removal from all others."""
    return {"round": attempt.round, "attempt": attempt.attempt, "digest": student_digest(bench.recipe)}


def narrowed(
    wide: Workbench, density: float, key: tuple[int, ...], together: Together
) -> tuple[keras.Model, dict[str, float]]:
    """Return the student on the bench without the channels that leave, and what was measured to choose them.

    Args:
        wide: the bench.
        density: what part may be left by the recipe's measure.
        key: of the try, the seed first.
        together: all that train must come to the same choice.
    """
    kept, measured = fitting(wide, scores_of(wide, key), density, together)
    together.agree("the channels that leave", hashlib.blake2b(np.packbits(kept).tobytes()).hexdigest())
    return remove(wide.model, groups(wide), kept), measured


def groups(bench: Workbench) -> Channels:
    """Return the groups of channels of the student on the bench, whose recipe removes some."""
    assert bench.channels is not None
    return bench.channels


def choice_of(wide: Workbench, attempt: Attempt, key: tuple[int, ...]) -> np.ndarray:
    """Return the groups that would stay if channels left now, by what is counted from groups, (groups,) of bool."""
    return kept_for(wide, scores_of(wide, key), attempt.density)


def scores_of(wide: Workbench, key: tuple[int, ...]) -> np.ndarray:
    """Return how much each group of channels matters, by the recipe's criterion, (groups,)."""
    model, criterion = wide.model, wide.recipe.prune.criterion
    names = {id(one.variable): one.name for one in wide.prunable}
    kernels = {
        place: (names[id(variable)], variable.numpy())
        for place, variable in enumerate(model.variables)
        if id(variable) in names
    }
    scales = {
        id(layer.gamma)
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.scale
    }
    gammas = [variable.numpy() if id(variable) in scales else None for variable in model.variables]
    evidence = gather(wide.collect, wide.recipe.train.batch_size, key)
    return group_scores(criterion, groups(wide), kernels, gammas, evidence)


def fitting(
    wide: Workbench, scores: np.ndarray, target: float, together: Together
) -> tuple[np.ndarray, dict[str, float]]:
    """Return the groups that stay, (groups,) of bool, so that at most ``target`` is left by the recipe's measure.

    What needs no model to be built is counted from the groups. Floating-point operations are near
    enough to the multiply-adds of weights, and time to these, to choose by them first; then the
    student is built and measured, and the choice is corrected. Beside it, what was measured.
    """
    measure = wide.recipe.prune.measure
    if measure not in MEASURED:
        return kept_for(wide, scores, target), {}
    with MEASURED[measure](wide, wide.whole.model) as left:
        kept, found = corrected(
            lambda aim: kept_for(wide, scores, aim),
            lambda kept: together.most(left(remove(wide.model, groups(wide), kept))),
            target,
        )
    return kept, {measure: found}


def corrected(
    choose: Callable[[float], np.ndarray], left: Callable[[np.ndarray], float], target: float
) -> tuple[np.ndarray, float]:
    """Return a choice of which ``left`` is at most ``target`` and near it, and what is left of it.

    Where none is found, it is the one of which the least is left.

    Args:
        choose: gives what stays for a number between 0 and 1; the larger the number, the more.
        left: measures a choice.
        target: what may be left, 0 to 1.
    """
    best, low, high = (np.empty(0, bool), math.inf), 0.0, 1.0
    aim, before = target, (1.0, 1.0)
    for _ in range(CORRECTIONS):
        kept = choose(aim)
        found = left(kept)
        if found <= target or found < best[1]:
            best = kept, found
        if found <= target:
            low = aim
        else:
            high = aim
        if target * CLOSE <= found <= target or high - low < 1e-3:
            break
        power = slope((aim, found), before)
        before, guess = (aim, found), aim * (target * (1 + CLOSE) / 2 / found) ** (1 / power)
        aim = guess if low < guess < high else (low + high) / 2
    return best


def slope(here: tuple[float, float], before: tuple[float, float]) -> float:
    """Return the power by which what is measured follows the number asked for, from two pairs of them."""
    if here[0] == before[0] or here[1] == before[1]:
        return 1.0
    return float(np.clip(math.log(here[1] / before[1]) / math.log(here[0] / before[0]), 0.25, 4.0))


def kept_for(wide: Workbench, scores: np.ndarray, target: float) -> np.ndarray:
    """Return the groups that stay for ``target`` by the measure that is counted from groups, (groups,) of bool."""
    prune, channels, whole = wide.recipe.prune, groups(wide), wide.whole.channels
    assert whole is not None
    count = COUNTED[prune.measure]
    dense = count(whole, np.ones(whole.count, bool))
    return chosen(
        channels,
        scores,
        target,
        left=lambda kept: count(channels, kept) / dense,
        limits=Limits(prune.round_to, prune.min_channels),
        allocation=prune.allocation,
        final=1.0 - sparsities(prune.schedule)[-1],
        sizes=sizes_of(whole),
    )


Count = Callable[[Channels, np.ndarray], float]
COUNTED: Mapping[str, Count] = {
    "channels": channels_of,
    "parameters": parameters_of,
    "flops": products_of,
    "latency": products_of,
}


def measure_statistics(wide: Workbench, model: keras.Model, key: tuple[int, ...]) -> None:
    """Measure batch normalisation anew: what it sees changed with the channels before it."""
    data = wide.program.data
    rows, valid = epoch_rows(len(data.y), wide.recipe.train.batch_size, (*key, 2), 0, len(data.x) // len(data.y))
    Recalibration(model, data)(rows[valid.all(axis=1)])


def left_of(bench: Workbench) -> dict[str, float]:
    """Return what part of the student before any pruning is left of that on the bench, by every count there is."""
    whole, model = bench.whole, bench.model
    assert whole.channels is not None
    shapes = one_of(bench.task.dataset.validation.x, bench.task.preprocessing)
    return {
        "channels": float(groups(bench).weight.sum() / whole.channels.weight.sum()),
        "parameters": model.count_params() / whole.model.count_params(),
        "flops": total_flops(model, shapes) / max(total_flops(whole.model, shapes), 1),
    }
