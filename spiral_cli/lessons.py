"""What a student learns from in a round: whose logits, and whether they lie in memory or on disk."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.distillation.targets import ensemble_logits
from spiral_cli.distillation.topk import largest
from spiral_cli.evaluate import Evaluator
from spiral_cli.guard import Row, monitor_mode
from spiral_cli.recipe import Recipe
from spiral_cli.recipe.schema import Distill
from spiral_cli.tasks.head import Head
from spiral_cli.tasks.task import Task
from spiral_cli.training.mapped import mapped

MANY_CLASSES = 256  # with `top_k: auto`, from here on the largest logits are stored alone
LARGEST = 64
BLOCK = 8192  # rows that are worked on at once


def teacher_rounds(policy: str, rows: Sequence[Row], teacher: Mapping[str, float], recipe: Recipe) -> list[int]:
    """Return whose logits the next round learns from: 0 is the original teacher, else round numbers.

    Args:
        policy: ``original``; ``previous``, the last accepted student; ``best``, whoever has the best
            monitored validation metric; ``ensemble``, the mean of the original and all accepted.
        rows: all tries so far.
        teacher: the original's validation metrics.
        recipe: names the monitor and its mode.
    """
    accepted = [row for row in rows if row["accepted"]]
    if policy == "original" or not accepted:
        return [0]
    if policy == "previous":
        return [accepted[-1]["round"]]
    if policy == "ensemble":
        return [0, *(row["round"] for row in accepted)]
    monitor = recipe.guard.monitor
    sign = 1 if monitor_mode(monitor, recipe.guard.mode) == "max" else -1
    best = max(accepted, key=lambda row: sign * row["metrics"]["validation"][monitor])
    better = sign * best["metrics"]["validation"][monitor] > sign * teacher[monitor]
    return [best["round"] if better else 0]


@dataclass(frozen=True)
class Footprint:
    """What the outputs of a run's teachers take at most.

    Attributes:
        memory_bytes: of those in memory, all at once.
        disk_bytes: of those on disk.
        kept: outputs kept of each row on disk, None for all.
    """

    memory_bytes: int
    disk_bytes: int
    kept: int | None

    @property
    def on_disk(self) -> bool:
        """Whether a step is fed its targets from disk."""
        return self.disk_bytes > 0


def footprint(distill: Distill, rounds: int, rows: int, shape: tuple[int, ...], exclusive: bool) -> Footprint:
    """Return what `Lessons` will store in a run of so many ``rounds`` if all are accepted.

    Args:
        distill: the recipe's.
        rounds: of the schedule.
        rows: of the training inputs, every view counted.
        shape: of a model's output for one row.
        exclusive: classes exclude each other.
    """
    if distill.targets == "online":
        return Footprint(0, 0, None)
    teachers = 1 if distill.teacher == "original" else rounds  # all but the last student may teach
    at_once = teachers if distill.teacher == "ensemble" else 1
    numbers = rows * math.prod(shape)
    if fit_in_memory(distill, at_once, numbers):
        return Footprint(4 * teachers * numbers, 0, None)
    *places, outputs = shape
    kept = kept_outputs(distill, outputs, exclusive)
    a_place = 2 * outputs if kept is None else kept * (2 + (2 if outputs <= 1 << 16 else 4)) + 2
    means = at_once > 1  # beside every member, which is stored whole
    return Footprint(0, teachers * rows * math.prod(places) * (a_place + (2 * outputs if means else 0)), kept)


def fit_in_memory(distill: Distill, teachers: int, numbers: int) -> bool:
    """Say whether so many float32 numbers of each of so many teachers stay in memory."""
    return 4 * teachers * numbers <= distill.memory_gb * 1e9


def kept_outputs(distill: Distill, outputs: int, exclusive: bool) -> int | None:
    """Return how many of a row's logits are kept on disk, or None for all."""
    if not exclusive or distill.loss != "kl" or distill.top_k == "all":
        return None
    if distill.top_k == "auto":
        return LARGEST if outputs >= MANY_CLASSES else None
    return distill.top_k if distill.top_k < outputs else None


Take = Callable[[int], Evaluator]


@dataclass(frozen=True)
class Lessons:
    """Training logits of teachers, computed once for every row of the training inputs.

    In memory they are float32, all of them. Where they would take more than
    ``distill.memory_gb`` they go to disk as float16, of many classes the largest only.

    Attributes:
        folder: where they go; each set has a folder there, named by all it depends on.
        known: those in memory, by round; 0 is the original teacher.
    """

    task: Task
    distill: Distill
    folder: Path
    known: dict[int, np.ndarray] = field(default_factory=dict)

    def targets(self, numbers: Sequence[int], take: Take) -> Mapping[str, np.ndarray]:
        """Return the targets of a round: the mean of its teachers at the recipe's temperature.

        Args:
            numbers: whose they are; 0 is the original teacher, else rounds.
            take: gives one of them, until the next is taken: accepted students share one model.
        """
        of_each = len(self.task.train_inputs) * math.prod(self.task.output_shape)
        if not fit_in_memory(self.distill, len(numbers), of_each):
            return self._on_disk(numbers, take)
        for number in numbers:
            if number not in self.known:
                self.known[number] = take(number).logits(self.task.train_inputs)
        return {"logits": self._mean([self.known[number] for number in numbers], take(numbers[0]).head)}

    def _mean(self, members: Sequence[np.ndarray], head: Head) -> np.ndarray:
        return ensemble_logits(members, self.distill.temperature, head.exclusive)

    def _on_disk(self, numbers: Sequence[int], take: Take) -> Mapping[str, np.ndarray]:
        x, keys, members = self.task.train_inputs, [], []
        for number in numbers:
            teacher = take(number)
            keys.append(model_digest(teacher))
            if len(numbers) == 1:
                return self._file(keys, teacher.blocks(x), self._kept(teacher.head))
            members.append(self._file(keys[-1:], teacher.blocks(x), None)["logits"])
        head = teacher.head
        slices = (slice(start, start + BLOCK) for start in range(0, len(x), BLOCK))
        means = (self._mean([member[rows].astype(np.float32) for member in members], head) for rows in slices)
        return self._file(keys, means, self._kept(head))

    def _kept(self, head: Head) -> int | None:
        """Return how many of a row's logits are kept, or None for all."""
        return kept_outputs(self.distill, self.task.output_shape[-1], head.exclusive)

    def _file(self, models: Sequence[str], blocks: Iterator[np.ndarray], kept: int | None) -> Mapping[str, np.ndarray]:
        """Return the arrays of ``blocks`` (…, outputs) mapped from their folder."""
        facts: dict[str, Any] = {"models": list(models), "data": self._data, "kept": kept}
        if kept is not None or len(models) > 1:
            facts["temperature"] = self.distill.temperature
        name = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()
        stored = (self._stored(block, kept) for block in blocks)
        return mapped(self.folder / name, len(self.task.train_inputs), stored)

    def _stored(self, logits: np.ndarray, kept: int | None) -> Mapping[str, np.ndarray]:
        if kept is None:
            return {"logits": logits.astype(np.float16)}
        return largest(logits, kept, self.distill.temperature)

    @cached_property
    def _data(self) -> list[Any]:
        """Return what tells the training inputs from others: the images, and how views of them are made."""
        data, preprocessing = self.task.recipe.data, self.task.preprocessing
        many = self.task.views > 1
        views = [data.augment, data.audio.speeds, self.task.views, self.task.recipe.seed] if many else []
        return [self.task.dataset.fingerprint(), asdict(preprocessing), views]


def model_digest(teacher: Evaluator) -> str:
    """Return the BLAKE2b digest (hex) of a model's architecture and variables."""
    digest = hashlib.blake2b(teacher.model.to_json().encode(), digest_size=16)
    for variable in teacher.model.variables:
        digest.update(np.ascontiguousarray(variable.numpy()).data)
    return digest.hexdigest()
