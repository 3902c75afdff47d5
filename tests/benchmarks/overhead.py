"""What of `spiral compress`, as a whole process, is not training steps.

    python tests/benchmarks/overhead.py configs/fashion-lenet5.yaml --set data.path=FOLDER

The command runs once, in a new folder, with a clock around what it is made of: every call of the
compiled step, and the parts around it. The first call of a step counts as a step with what its
second call takes; the rest of it is tracing and compiling. What no clock sees is "everything else".
The exit code is 1 where more than 15 % of the process is not training steps.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
BAR = 0.15


class Clock:
    """Seconds by part; a part inside another counts for itself alone."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner: list[float] = []

    def around(self, owner: Any, name: str, part: str) -> None:
        """Let the clock run whenever ``owner``'s function ``name`` does."""
        setattr(owner, name, self.timed(getattr(owner, name), part))

    def timed(self, function: Callable, part: str) -> Callable:
        """Return ``function`` with the clock around it."""

        def clocked(*args: Any, **settings: Any) -> Any:
            self._inner.append(0.0)
            started = time.perf_counter()
            try:
                return function(*args, **settings)
            finally:
                passed = time.perf_counter() - started
                self.seconds[part] += passed - self._inner.pop()
                if self._inner:
                    self._inner[-1] += passed

        return clocked


def steps_of(clock: Clock, run: Callable) -> Callable:
    """Return `Program.run` clocked as steps, but for what the first call of each program takes longer."""
    known: dict[int, list[float]] = {}

    def clocked(program: Any, rows: Any, *args: Any, **settings: Any) -> Any:
        started = time.perf_counter()
        result = run(program, rows, *args, **settings)
        passed, calls = time.perf_counter() - started, known.setdefault(id(program), [])
        calls.append(passed / len(rows))
        if len(calls) == 1:
            clock.seconds["tracing and compiling"] += passed
        elif len(calls) == 2:  # now it is known what a step takes
            clock.seconds["tracing and compiling"] -= calls[1]
            clock.seconds["steps"] += passed + calls[1]
        else:
            clock.seconds["steps"] += passed
        if clock._inner:
            clock._inner[-1] += passed
        return result

    return clocked


def child(arguments: list[str], result: Path) -> None:
    """Run the command line with clocks in it."""
    clock = Clock()
    started = time.perf_counter()
    importlib.import_module("tensorflow")

    clock.seconds["importing TensorFlow and Keras"] = time.perf_counter() - started
    from spiral_cli import compress, rounds, student, teacher
    from spiral_cli.cli import main
    from spiral_cli.cut import Cut
    from spiral_cli.training.program import Program
    from spiral_cli.training.resume import Saver

    Program.run = steps_of(clock, Program.run)
    for owner, name, part in (
        (compress, "build_task", "data"),
        (compress, "rehearse", "rehearsal"),
        (compress, "export", "export and its proof"),
        (compress, "finish", "test metrics and report"),
        (Cut, "remake", "masks"),
        (Saver, "save", "checkpoints"),
        (Program, "__init__", "building programs"),
        (student.Workbench, "keep", "storing students"),
        (student.Workbench, "set_targets", "teacher's targets"),
        (teacher.Evaluator, "metrics", "evaluation"),
        (rounds, "measure_size", "evaluation"),
    ):
        clock.around(owner, name, part)
    sys.argv = ["spiral", *arguments]
    code = main()
    result.write_text(json.dumps(clock.seconds))
    sys.exit(code)


def main() -> None:
    """Print a line a part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    settings = [word for one in options.set for word in ("--set", one)]
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "seconds.json"
        command = [sys.executable, __file__, "--child", str(result), "compress", options.recipe]
        started = time.perf_counter()
        done = subprocess.run([*command, "--run", f"{folder}/run", *settings], cwd=ROOT, check=False)
        whole = time.perf_counter() - started
        seconds = json.loads(result.read_text())
    outside = whole - seconds["steps"]
    seconds["everything else"] = whole - sum(seconds.values())
    for part, value in sorted(seconds.items(), key=lambda pair: -pair[1]):
        print(f"{value:8.1f} s  {value / whole:6.1%}  {part}")
    print(f"{whole:8.1f} s in all; {outside / whole:.1%} outside of training steps (bar {BAR:.0%})")
    sys.exit(done.returncode or outside / whole > BAR)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[3:], Path(sys.argv[2]))
    main()
