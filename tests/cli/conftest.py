"""The command line by its real process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Finished = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Return the environment of a process that finds this source tree, installed or not."""
    root = str(Path(__file__).parents[2])
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TF_CPP_MIN_LOG_LEVEL")}
    return {**kept, "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}


@pytest.fixture(scope="session")
def spiral(environment) -> Callable[..., Finished]:
    """Return a function that runs ``spiral`` with arguments in a folder."""

    def run(folder: Path, *arguments: str) -> Finished:
        command = [sys.executable, "-m", "spiral_cli", *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)

    return run
