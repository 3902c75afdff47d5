"""Where a run stands and how long the rest takes, from the events alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from spiral_cli.console.texts import counted, duration
from spiral_cli.events import EpochDone, Event, Progress, RoundDone, StageDone, StageStarted
from spiral_cli.recipe import Recipe
from spiral_cli.recipe.prune import Schedule


@dataclass
class Course:
    """Fed with events by `hear`. Work is counted in epochs; a rolled-back try counts for nothing.

    Attributes:
        teacher_epochs, dense_epochs: work before the first round.
        rounds, round_epochs: the schedule.
        accepted: the last round that was kept.
        kind, title, done, total, loss: the stage that is under way.
        pace: seconds an epoch by kind of stage, without the first steps' compiling.
    """

    teacher_epochs: int
    dense_epochs: int
    rounds: int
    round_epochs: int
    accepted: int = 0
    kind: str = ""
    title: str = ""
    done: float = 0.0
    total: int = 0
    loss: float | None = None
    pace: dict[str, float] = field(default_factory=dict)
    _chunks: list[tuple[float, float]] = field(default_factory=list)  # epochs and seconds at each news of a stage
    _epochs: list[float] = field(default_factory=list)  # seconds at the end of each epoch of a stage

    @classmethod
    def of(cls, recipe: Recipe) -> Course:
        """Return the course of ``recipe`` before anything happened."""
        student, schedule = recipe.student, recipe.prune.schedule
        return cls(
            teacher_epochs=recipe.teacher.epochs,
            dense_epochs=0 if student.model == "same" else student.epochs or recipe.train.epochs,
            rounds=schedule.rounds if isinstance(schedule, Schedule) else len(schedule),
            round_epochs=recipe.train.epochs,
        )

    def hear(self, event: Event) -> None:
        """Take note of ``event``."""
        match event:
            case StageStarted():
                self.kind, self.title, self.total = event.stage, event.title, event.epochs
                self.done, self.loss = float(event.first_epoch), None
                self._chunks, self._epochs = [], []
            case Progress():
                self.done, self.loss = event.done, event.loss
                self._chunks.append((event.done, event.seconds))
                if len(self._epochs) < 2 and len(self._chunks) > 1:
                    self.pace[event.stage] = median_pace(self._chunks)
            case EpochDone():
                self.done = float(event.epoch)
                self._epochs.append(event.seconds)
                self.pace[event.stage] = self._epoch_pace(event)
            case StageDone():
                self.kind = ""
            case RoundDone():
                self.kind, self.done = "", 0.0
                if event.row["accepted"]:
                    self.accepted = event.row["round"]

    def _epoch_pace(self, event: EpochDone) -> float:
        """Return seconds an epoch: of whole epochs, but for the first, which waited for the compiler."""
        if len(self._epochs) > 1:
            return median(after - before for before, after in pairwise(self._epochs))
        if len(self._chunks) > 1:
            return median_pace(self._chunks) + event.seconds - self._chunks[-1][1]
        return event.seconds / event.epoch

    @property
    def whole(self) -> float:
        """Fraction of the whole run that is done."""
        before = self.teacher_epochs + self.dense_epochs
        work = before + self.rounds * self.round_epochs
        ahead = {"teacher": 0, "dense": self.teacher_epochs}.get(self.kind, before + self.accepted * self.round_epochs)
        return min(1.0, (ahead + (self.done if self.kind else 0.0)) / work)

    @property
    def stage_left(self) -> float | None:
        """Seconds left of this stage, or None while unknown."""
        pace = self.pace.get(self.kind)
        return None if pace is None else pace * max(0.0, self.total - self.done)

    @property
    def whole_left(self) -> float | None:
        """Seconds left of the whole run if no round is rolled back, or None while unknown."""
        pace = self.pace.get("round")
        if pace is None:
            return None
        done = self.accepted * self.round_epochs + (self.done if self.kind == "round" else 0.0)
        return pace * max(0.0, self.rounds * self.round_epochs - done)

    def estimate(self) -> str | None:
        """Return how long the rest of this stage takes, or in a round all rounds; None while unknown."""
        pace, rounds = self.pace.get(self.kind), self.rounds - self.accepted
        if pace is None:
            return None
        if self.kind != "round":
            rest = self.total - int(self.done)
            return f"estimate: {duration(pace * rest)} for {counted(rest, 'more epoch')} of the {self.title}"
        each = f"{counted(rounds, 'round')} of {counted(self.round_epochs, 'epoch')}"
        return f"estimate: {duration(pace * rounds * self.round_epochs)} for {each}, if none is rolled back"


def median_pace(news: Sequence[tuple[float, float]]) -> float:
    """Return the median seconds an epoch between ``(epochs, seconds)`` in order: few wait for a compiler."""
    return median((t1 - t0) / max(e1 - e0, 1e-9) for (e0, t0), (e1, t1) in pairwise(news))
