"""The quick verbs stay quick: what they import, and what they cost beside their libraries' imports."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest

HEAVY = ("tensorflow", "keras", "numpy", "sklearn", "scipy")
RECIPE = "data: {format: digits}\nteacher: {model: mlp, epochs: 2}\n"
LIBRARIES = "import typer, yaml, rich.console, rich.table; from pydantic import BaseModel"
CONSOLE_SCRIPT = "import sys; from spiral_cli.cli import main; sys.exit(main())"
IMPORTED = """
import sys
from spiral_cli.cli import main
sys.argv = ["spiral", *sys.argv[1:]]
code = main()
print(code, [name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
QUICK = {
    "help": (["--help"], 0),
    "help of a verb": (["compress", "--help"], 0),
    "version": (["--version"], 0),
    "ls": (["ls"], 0),
    "ls as json": (["ls", "--json"], 0),
    "validate": (["validate", "good.yaml"], 0),
    "schema": (["schema"], 0),
    "new": (["new", "made.yaml"], 0),
    "a wrong recipe": (["compress", "bad.yaml"], 2),
    "a wrong flag": (["compress", "--nope"], 2),
    "no recipe": (["train-teacher"], 2),
    "evaluate without a run": (["evaluate", "good.yaml"], 4),
    "compare with itself": (["compare", ".", "."], 2),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "good.yaml").write_text(RECIPE)
    (tmp_path / "bad.yaml").write_text(RECIPE + "prun: {}\n")
    return tmp_path


@pytest.mark.parametrize("name", QUICK)
def test_quick_verbs_import_nothing_heavy(name, folder, environment):
    arguments, code = QUICK[name]
    command = [sys.executable, "-c", IMPORTED.format(heavy=HEAVY), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == f"{code} []", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["help", "ls", "validate", "a wrong recipe"])
def test_quick_verbs_cost_at_most_1_3_times_their_libraries(name, folder, environment):
    commands = {"spiral": ["-c", CONSOLE_SCRIPT, *QUICK[name][0]], "libraries": ["-c", LIBRARIES]}
    seconds: dict[str, list[float]] = {"spiral": [], "libraries": []}
    for _ in range(16):
        for who, arguments in commands.items():
            started = time.perf_counter()
            done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True)
            seconds[who].append(time.perf_counter() - started)
            assert done.returncode == (QUICK[name][1] if who == "spiral" else 0)
    ours, theirs = (statistics.median(seconds[who][1:]) for who in ("spiral", "libraries"))
    assert ours <= 1.3 * theirs, f"{ours:.3f} s against {theirs:.3f} s"
