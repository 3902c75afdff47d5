"""A run as plain lines: for logs, pipes and CI. No control codes, no line is ever redrawn."""

from __future__ import annotations

from typing import Any, Self, TextIO

from spiral_cli.console.course import Course
from spiral_cli.console.texts import counted, epoch_line, number, round_line, teacher_line
from spiral_cli.events import EpochDone, Event, Notice, Progress, RoundDone, StageDone, StageStarted
from spiral_cli.recipe.schema import Guard


class PlainConsole:
    """A listener that writes a line per event worth one.

    Args:
        guard: names the metric and the budget.
        course: keeps account of progress.
        stream: where lines go.
        verbose: also a line per epoch of every round.
    """

    def __init__(self, guard: Guard, course: Course, stream: TextIO, verbose: bool) -> None:
        self.guard, self.course, self.stream, self.verbose = guard, course, stream, verbose
        self._estimated: dict[str, float] = {}  # seconds an epoch, by kind of stage
        self._mended: set[str] = set()  # kinds of stage whose first estimate was far off

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        """Nothing to put back."""

    def say(self, text: str) -> None:
        """Write a line now."""
        print(text, file=self.stream, flush=True)

    def __call__(self, event: Event) -> None:
        """Hear one event."""
        self.course.hear(event)
        match event:
            case StageStarted():
                self.stage_started(event)
            case Progress():
                self.progress(event)
            case EpochDone():
                self.epoch_done(event)
            case StageDone():
                self.stage_done(event)
            case RoundDone():
                self.round_done(event)
            case Notice():
                self.say(f"warning: {event.text}" if event.level == "warning" else event.text)

    def stage_started(self, event: StageStarted) -> None:
        """Name the stage, and where it goes on."""
        onward = f", going on after epoch {event.first_epoch}" if event.first_epoch else ""
        self.say(f"{event.title}: {counted(event.epochs, 'epoch')}{onward}")

    def progress(self, event: Progress) -> None:
        """Stay silent between epochs."""

    def epoch_done(self, event: EpochDone) -> None:
        """Write an epoch where it is news, and the estimate once a kind of stage, and once more if that was far off.

        A first epoch is not like the others where each new length of rows is prepared for.
        """
        if self.verbose or event.stage != "round":
            self.say(epoch_line(event))
        estimate, pace = self.course.estimate(), self.course.pace.get(event.stage, 0.0)
        if estimate and (event.stage == "round" or event.epoch < event.epochs):
            told = self._estimated.get(event.stage)
            if told is None:
                self._estimated[event.stage] = pace
                self.say(estimate)
            elif event.stage not in self._mended and abs(pace - told) > max(1.0, told / 3):
                self._mended.add(event.stage)
                self.say(estimate)

    def stage_done(self, event: StageDone) -> None:
        """Write the title of what follows: the teacher's metric and the budget."""
        if event.stage == "teacher":
            self.say(teacher_line(event, self.guard.monitor, self.guard.max_drop))
        else:
            monitor = self.guard.monitor
            self.say(f"{event.title}: {monitor} {number(event.metrics.get(monitor))} on validation")

    def round_done(self, event: RoundDone) -> None:
        """Write a try."""
        self.say(round_line(event.row, self.guard.monitor) + (" (stored before)" if event.reused else ""))
