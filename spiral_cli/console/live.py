"""A run in a terminal: a table that grows a row a try, with bars and time left beneath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from spiral_cli.console.course import Course
from spiral_cli.console.plain import PlainConsole
from spiral_cli.console.table import rounds_table
from spiral_cli.console.texts import Row, duration, epoch_line, number
from spiral_cli.events import EpochDone, RoundDone, StageStarted
from spiral_cli.recipe.schema import Guard

LINES_AROUND = 12  # header, bars and text around the rows of the table


class LiveConsole(PlainConsole):
    """Redraws the foot of the terminal; what is said meanwhile scrolls by above it.

    Args:
        guard, course, stream, verbose: as of `PlainConsole`.
        stopping: true once the person asked to stop.
    """

    def __init__(
        self, guard: Guard, course: Course, stream: TextIO, verbose: bool, stopping: Callable[[], bool]
    ) -> None:
        super().__init__(guard, course, stream, verbose)
        self.console = Console(file=stream, highlight=False)
        self.stopping = stopping
        self.rows: list[Row] = []
        self.latest = ""
        self.live = Live(
            console=self.console,
            get_renderable=self.screen,
            refresh_per_second=5,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        """Leave the table as it is at the end."""
        self.live.stop()
        if self.rows:
            self.console.print(self.table(len(self.rows)))

    def say(self, text: str) -> None:
        """Print a line above the live part."""
        self.console.print(text, markup=False, soft_wrap=True)

    def stage_started(self, event: StageStarted) -> None:
        """Let the bars show it."""
        self.latest = ""

    def epoch_done(self, event: EpochDone) -> None:
        """Show the epoch beneath the bars; what scrolls by is as in plain text with ``verbose``."""
        self.latest = epoch_line(event)
        if event.stage == "round" or self.verbose:
            super().epoch_done(event)

    def round_done(self, event: RoundDone) -> None:
        """Grow the table."""
        self.rows.append(event.row)
        self.latest = ""

    def table(self, count: int) -> Table:
        """Return the table of the last ``count`` tries."""
        return rounds_table(self.rows[-count:], self.guard.monitor, self.console.width)

    def screen(self) -> RenderableType:
        """Return the live part as it is now."""
        parts: list[RenderableType] = []
        if self.rows:
            parts.append(self.table(max(1, self.console.height - LINES_AROUND)))
        parts.append(self.bars())
        if self.latest:
            parts.append(Text(self.latest, style="dim"))
        if self.stopping():
            parts.append(Text("stopping at the next step; Ctrl-C again quits at once", style="yellow"))
        return Group(*parts)

    def bars(self) -> Table:
        """Return the progress of this stage and of the whole spiral."""
        course = self.course
        grid = Table.grid(padding=(0, 2), expand=True)
        for ratio in (None, None, 1, None):
            grid.add_column(no_wrap=True, ratio=ratio)
        if course.kind:
            loss = f"  loss {number(course.loss)}" if course.loss is not None else ""
            where = f"epoch {min(int(course.done) + 1, course.total)}/{course.total}{loss}"
            grid.add_row(course.title, where, bar(course.done / course.total), left(course.stage_left))
        else:
            grid.add_row("preparing", "", ProgressBar(total=None, pulse=True), "")
        kept = f"round {course.accepted}/{course.rounds} kept"
        grid.add_row("spiral", kept, bar(course.whole), left(course.whole_left))
        return grid


def bar(fraction: float) -> ProgressBar:
    """Return a bar that is full at 1."""
    return ProgressBar(total=1.0, completed=min(1.0, fraction))


def left(seconds: float | None) -> str:
    """Return ``2 min 05 s left``, or nothing while it is unknown."""
    return "" if seconds is None else f"{duration(seconds)} left"
