"""A run on several hosts: one process leads and writes, the others do the same work beside it.

All of them take the same steps from the same state and so come to the same masks and decisions. The
leader's run folder is sent to the others, who keep a copy of their own for as long as they run: no file
system need be shared but for the data.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from spiral_cli.errors import InterruptedRun
from spiral_cli.events import Listener, Notice, silent
from spiral_cli.recipe import Recipe
from spiral_cli.recipe.digest import student_digest
from spiral_cli.run import RunFolder, write_bytes
from spiral_cli.sources import model_sums
from spiral_cli.training.control import Control, TimeIsUp
from spiral_cli.training.team import Team, form_team
from spiral_cli.versions import versions


@dataclass(frozen=True)
class Place:
    """What one process works with.

    Attributes:
        run: the run folder, or a follower's copy of it.
        listen: hears what the leader does.
        control: stops all where one is asked to.
    """

    team: Team
    run: RunFolder
    listen: Listener
    control: Control

    def follow(self) -> None:
        """Send what the leader's run folder holds to the others; all call it once it is opened."""
        team, run = self.team, self.run
        if team.size == 1:
            return
        names = [run.relative(path) for path in files(run)] if team.leads else []
        for name in json.loads(team.shared(json.dumps(names).encode())):
            content = team.shared((run.root / name).read_bytes() if team.leads else b"")
            if not team.leads:
                write_bytes(run.root / name, content)

    def agree(self, recipe: Recipe, data: Callable[[], str]) -> None:
        """Return if all work from the same recipe, data and models by the same versions.

        Args:
            recipe: of this process.
            data: gives the digest of its data.

        Raises:
            SpiralError: one does not.
        """
        if self.team.size > 1:
            for what, facts in (
                ("the recipe", student_digest(recipe)),
                ("the data", data()),
                ("the files of models", model_sums(recipe)),
                ("the versions", versions()),
            ):
                self.team.agree(what, json.dumps(facts, sort_keys=True))

    def end(self) -> None:
        """Wait until all are here: who leaves earlier would be missed."""
        self.control.together.most(0.0)


def files(run: RunFolder) -> list[Path]:
    """Return the files that a run is resumed from."""
    left_out = (run.targets, run.tensorboard, run.page)
    owned = [path for path in run.owned() if path not in left_out]
    below = [path for folder in owned if folder.is_dir() for path in sorted(folder.rglob("*")) if path.is_file()]
    return [*(path for path in owned if path.is_file()), *below]


@contextmanager
def joined(recipe: Recipe, run: RunFolder, listen: Listener, control: Control) -> Iterator[Place]:
    """Hold the run folder and train inside the block on all devices that the recipe names.

    Raises:
        UsageError: a device, or the description of the workers, is not there.
        RunMismatchError: another process holds the folder.
        LostWorkerError: another worker ended.
    """
    if recipe.distribution == "multi_worker":
        listen(Notice("waiting for the other workers"))
    team = form_team(recipe.distribution, recipe.device, recipe.seed)
    together = replace(control, together=team)
    if team.leads:
        with run.claimed(), team.missing_none():
            if team.replicas > 1:
                listen(Notice(described(team)))
            yield from leaving_together(Place(team, run, listen, together))
        return
    listen(Notice(f"worker {team.index} of {team.size} follows worker 0, which writes {run.root}"))
    with tempfile.TemporaryDirectory(prefix="spiral-worker-") as folder:
        copy = RunFolder(Path(folder))
        with copy.claimed(), team.missing_none():
            yield from leaving_together(Place(team, copy, silent, together))


def leaving_together(place: Place) -> Iterator[Place]:
    """Yield the place; where all of them stop, none leaves before the others know."""
    try:
        yield place
    except (InterruptedRun, TimeIsUp):
        place.end()
        raise


def described(team: Team) -> str:
    """Return how many devices and processes share every batch."""
    where = f" in {team.size} processes" if team.size > 1 else ""
    return f"every batch is shared by {team.replicas} replicas{where}"
