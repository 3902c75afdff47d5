"""The verbs that train and measure. TensorFlow is imported only once it is clear that it is needed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spiral_cli.cli.gate import missed, parse_bounds
from spiral_cli.cli.output import Output
from spiral_cli.cli.quiet import import_tensorflow
from spiral_cli.cli.stop import INTERRUPTED, stop
from spiral_cli.console.choose import open_console
from spiral_cli.console.closing import comparison_text, exports_text, report_text, teacher_text
from spiral_cli.console.plain import PlainConsole
from spiral_cli.errors import BudgetError, ExportError, InterruptedRun, MissingError, UsageError
from spiral_cli.events import Event, Listener, RoundDone, StageDone
from spiral_cli.prepare import finished_report, refuse_run, refuse_unfinished
from spiral_cli.recipe import Recipe, load_recipe
from spiral_cli.registry import exporters, tasks
from spiral_cli.run import RunFolder, disk_errors, write_text


@dataclass(frozen=True)
class Asked:
    """The flags of `spiral compress` beside recipe and run."""

    fresh: bool = False
    teacher_from: Path | None = None
    max_minutes: float | None = None
    svg: Path | None = None


@dataclass(frozen=True)
class Target:
    """What `spiral evaluate` is asked to measure: a run folder, a recipe, or a model with its recipe."""

    path: Path
    recipe: Path | None
    run: Path | None

    def resolve(self, overrides: Sequence[str]) -> tuple[Recipe, Path, Path | None]:
        """Return the recipe, the student's file and the teacher's, if there is one.

        Raises:
            UsageError: the arguments do not fit each other.
            MissingError: there is no such run or model.
        """
        if self.path.suffix in (".h5", ".hdf5"):
            raise UsageError(f"{self.path}: spiral reads .keras files; save it again by model.save('model.keras')")
        is_model = self.path.suffix == ".keras"
        if is_model != (self.recipe is not None):
            raise UsageError(
                f"{self.path}: a .keras model needs --recipe, which says on what data it is tested; "
                "run folders and recipes come without it"
            )
        if self.path.is_dir() and self.run is not None:
            raise UsageError(f"received the run folder {self.path} and --run {self.run}; give one of them")
        recipe = load_recipe(self._recipe_file(), overrides)
        run = RunFolder(self.path) if self.path.is_dir() else run_folder(recipe, self.run)
        student = self.path if is_model else run.student
        if not student.is_file():
            raise MissingError(f"there is no model {student}; run spiral compress first, or name a .keras file")
        return recipe, student, run.teacher if run.teacher.is_file() else None

    def _recipe_file(self) -> Path:
        if not self.path.exists() and self.path.suffix not in (".yaml", ".yml", ".keras"):
            raise MissingError(f"there is no {self.path}; name a run folder, a recipe or a .keras model")
        if not self.path.is_dir():
            return self.recipe or self.path
        file = RunFolder(self.path).recipe
        if not file.is_file():
            raise MissingError(f"{self.path} is no run folder: it has no {file.name}; name a run, a recipe or a model")
        return file


def train_teacher(recipe: Recipe, run_dir: Path | None, *, fresh: bool, output: Output) -> int:
    """Train the teacher, say how good it is, and return 0."""
    run = run_folder(recipe, run_dir)
    if recipe.distribution != "multi_worker":
        refuse_run(recipe, run, fresh=fresh, teacher_from=None)
    with console_for(recipe, output) as console, working(output):
        from spiral_cli.compress import train_teacher as train
        from spiral_cli.training.control import Control

        listen = listeners(recipe, run, console)
        record = train(recipe, run, listen=listen, control=Control(stopping), fresh=fresh)
    if record:
        output.say(teacher_text(record))
    output.result(record)
    return 0


def compress(recipe: Recipe, run_dir: Path | None, asked: Asked, output: Output) -> int:
    """Run or resume a recipe, or show the result of a run that is finished; return the exit code."""
    run = run_folder(recipe, run_dir)
    if asked.svg is not None:
        with disk_errors(asked.svg):
            asked.svg.parent.mkdir(parents=True, exist_ok=True)  # better now than after hours
    report = None
    if recipe.distribution != "multi_worker":  # where who leads looks at the folder, once all are there
        refuse_run(recipe, run, fresh=asked.fresh, teacher_from=asked.teacher_from)
        report = None if asked.fresh else finished_report(recipe, run)
    with console_for(recipe, output) as console:
        if report is not None:
            console.say(f"{run.root} is finished; --fresh starts over")
            replay(report, console)
        else:
            report = run_recipe(recipe, run, asked, console, output)
    if not report:  # another worker leads
        output.result(report)
        return 0
    output.say(report_text(report, run.root))
    if asked.svg is not None:
        from spiral_cli.console.svg import report_svg

        write_text(asked.svg, report_svg(report, run.root, f"spiral compress: {recipe.name}"))
    return judge(report, output)


def run_recipe(recipe: Recipe, run: RunFolder, asked: Asked, console: Listener, output: Output) -> dict[str, Any]:
    """Do the work of `spiral compress`; return the report."""
    with working(output):
        from spiral_cli.compress import compress as compress_recipe
        from spiral_cli.training.control import Control, TimeIsUp

        control = Control(stopping, asked.max_minutes)
        listen = listeners(recipe, run, console)
        try:
            return compress_recipe(
                recipe, run, listen=listen, control=control, fresh=asked.fresh, teacher_from=asked.teacher_from
            )
        except TimeIsUp:
            raise InterruptedRun(
                "the time of --max-minutes is up before the first round; run the same command again to resume"
            ) from None


def judge(report: Mapping[str, Any], output: Output) -> int:
    """Write the report as the machine result and return the exit code of how the run ended."""
    output.result(report)
    chosen = report["selected"]
    if chosen is not None and chosen["within_budget"]:
        return 0
    if chosen is None and report["status"] == "time_limit":
        output.complain("the time of --max-minutes is up before a round was finished; the same command resumes")
        return INTERRUPTED
    budget = f"no student stays within max_drop {report['max_drop']:g} of the teacher's {report['monitor']}"
    kept = "; the nearest is kept, see above" if chosen is not None else ""
    output.complain(f"accuracy budget not met: {budget}{kept}")
    return BudgetError.exit_code


def evaluate(
    target: Target,
    overrides: Sequence[str],
    demands: Mapping[str, Sequence[str]],
    max_drop: float | None,
    output: Output,
) -> int:
    """Measure teacher and student on test; return 0, or 3 where a demand is missed."""
    recipe, student, teacher = target.resolve(overrides)
    metrics = tasks.part(recipe.task).facts["metrics"]
    bounds = {
        name: bound for option, asked in demands.items() for name, bound in parse_bounds(option, asked, metrics).items()
    }
    if max_drop is not None and teacher is None:
        raise UsageError("--max-drop needs the teacher of a run, and this one has none; name its folder by --run")
    with working(output):
        from spiral_cli.compare import compare

        comparison = compare(recipe, student, teacher)
    sentences = missed(comparison, bounds, max_drop)
    output.say(comparison_text(comparison))
    output.result({**comparison, "gate": {"met": not sentences, "missed": sentences}})
    if not sentences:
        return 0
    output.complain("\n".join(["accuracy budget not met", *sentences]))
    return BudgetError.exit_code


def export(run_dir: Path, kinds: Sequence[str], overrides: Sequence[str], output: Output) -> int:
    """Export a finished run's student; return 0, 3 where files lose too much, or 1 where one does not work."""
    run = RunFolder(run_dir)
    refuse_unfinished(run)
    recipe, stored = load_recipe(run.recipe, overrides), load_recipe(run.recipe)
    if recipe.model_copy(update={"export": stored.export}) != stored:
        raise UsageError(f"--set {' '.join(overrides)}: of a finished run only keys of export can be set")
    for kind in kinds:
        exporters.part(kind)
    with console_for(recipe, output) as console, working(output):
        from spiral_cli.export_run import export_run
        from spiral_cli.training.control import Control

        control = Control(stopping)
        entries = export_run(recipe, run, list(dict.fromkeys(kinds)), listen=console, control=control)
    output.say(exports_text(entries, recipe.guard.monitor, run.root))
    output.result({"artifacts": entries})
    failed = [entry for entry in entries if entry["status"] != "ok"]
    if not failed:
        return 0
    output.complain("\n".join(f"export to {entry['kind']} failed: {entry['reason']}" for entry in failed))
    measured = all(entry["drop"] is not None for entry in failed)  # they run, but are too bad
    return BudgetError.exit_code if measured else ExportError.exit_code


def run_folder(recipe: Recipe, asked: Path | None) -> RunFolder:
    """Return the run folder a recipe uses."""
    return RunFolder(asked if asked is not None else Path("runs") / recipe.name)


def console_for(recipe: Recipe, output: Output) -> PlainConsole:
    """Return the console of a command; stderr, where ``json`` sends it, is not redrawn but shared."""
    return open_console(recipe, output.human, live=not output.json, verbose=output.verbose, stopping=stopping)


def stopping() -> bool:
    """Say whether a signal asked to stop."""
    return stop.asked


@contextmanager
def working(output: Output) -> Iterator[None]:
    """Begin work: import TensorFlow; within the block a signal is a request, and stdout stays the machine's."""
    gc.enable()
    import_tensorflow(output.verbose)
    with redirect_stdout(output.human if output.json else sys.stdout), stop.awaited():
        yield


def listeners(recipe: Recipe, run: RunFolder, console: Listener) -> Listener:
    """Return what hears a run: the console, and TensorBoard's files where the recipe wants them."""
    if not recipe.tensorboard:
        return console
    from spiral_cli.report.tensorboard import TensorBoard

    board = TensorBoard(run.tensorboard)

    def both(event: Event) -> None:
        console(event)
        board(event)

    return both


def replay(report: Mapping[str, Any], listen: Listener) -> None:
    """Tell a listener of a finished run as it would have been told while it went on."""
    teacher, cost = report["teacher"], report["cost"]
    listen(StageDone("teacher", "teacher", teacher["metrics"]["validation"], cost["teacher_seconds"], reused=True))
    for row in report["rounds"]:
        listen(RoundDone(row, reused=True))
