"""A contender: one file in a process of its own, so that its peak of memory is its own and a crash is only its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from spiral_cli.children import surroundings
from spiral_cli.errors import SpiralError
from spiral_cli.runtimes.session import own_code

WORKER = "spiral_cli.benchmark.worker"


class ContenderError(SpiralError):
    """A file cannot be measured; the reason is its message."""


@dataclass(frozen=True)
class Entry:
    """A file to measure.

    Attributes:
        name: as it is shown.
        path: the file, or a SavedModel's folder.
        source: the Keras model it was made from, for what only that can tell; itself, where it is one.
        beside: the name of the entry its ratios are to; the first by default.
    """

    name: str
    path: Path
    source: Path | None = None
    beside: str | None = None


@dataclass(frozen=True)
class Settings:
    """How contenders are opened.

    Attributes:
        threads: to compute with.
        open_length: stands for lengths that a file leaves open.
        modules: imported first where a file may need classes of their own; searched in ``folder`` too.
    """

    threads: int = 1
    open_length: int = 64
    modules: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path)


class Contender:
    """A file opened in another process, which does one thing at a time when it is asked.

    Args:
        entry: the file.
        settings: how to open it.

    Raises:
        ContenderError: it cannot be opened.
    """

    def __init__(self, entry: Entry, settings: Settings) -> None:
        self.entry = entry
        self._process = subprocess.Popen(
            [sys.executable, "-m", WORKER],
            env=surroundings(TF_CPP_MIN_LOG_LEVEL="3", OMP_NUM_THREADS=str(settings.threads)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # out of reach of the terminal's Ctrl-C, which ends it through this process
        )
        try:
            self.about = self._told(
                {
                    "path": str(entry.path),
                    "threads": settings.threads,
                    "open_length": settings.open_length,
                    # Keras, which they import, would count among what another runtime needs.
                    "modules": list(settings.modules) if own_code(entry.path) else [],
                    "folder": str(settings.folder),
                }
            )
        except ContenderError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def ask(self, what: str, *arguments: Any) -> dict[str, Any]:
        """Let the process do what a method of `worker.Bench` does, and return its answer.

        Raises:
            ContenderError: it fails, or the process ended.
        """
        return self._told([what, *arguments])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _told(self, request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ContenderError(f"its process ended with exit code {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer
