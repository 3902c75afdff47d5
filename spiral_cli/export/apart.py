"""Another process for converters: where one crashes, as LiteRT's does on some models, the run goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from spiral_cli.children import surroundings
from spiral_cli.errors import ExportError
from spiral_cli.recipe import Recipe
from spiral_cli.sources import module_names

WORKER = "spiral_cli.export.worker"


class Apart:
    """Runs functions on a stored model in one other process, which is started anew where one ended it.

    Args:
        recipe: its plugins and builders know the classes that the model is made of.
        example: model inputs (batch, …) with which every file is tried there.
    """

    def __init__(self, recipe: Recipe, example: Sequence[np.ndarray]) -> None:
        self._modules = module_names(recipe)
        self._plugin_folder, self._example = recipe.plugin_folder, example
        self._temporary = tempfile.TemporaryDirectory(prefix="spiral-export-")
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Apart:
        self.stored("example", self._example)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._temporary.cleanup()

    @property
    def folder(self) -> Path:
        """A folder that is there as long as the process may be."""
        return Path(self._temporary.name)

    def stored(self, name: str, arrays: Sequence[np.ndarray]) -> str:
        """Write arrays for the other process; return the path of the ``.npz`` file."""
        file = self.folder / f"{name}.npz"
        np.savez(file, *arrays)
        return str(file)

    def __call__(self, function: Callable[..., None], model: Path, path: Path, **options: Any) -> None:
        """Let the other process call ``function(serving, path, **options)`` and try the file it wrote.

        Args:
            function: a module's own, so that its name finds it there.
            model: the ``.keras`` file to serve.
            path: what it writes.
            options: plain data.

        Raises:
            ExportError: it raised, or the process ended; with the reason.
        """
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
        request = {
            "function": f"{function.__module__}:{function.__qualname__}",
            "model": str(model),
            "path": str(path),
            "example": str(self.folder / "example.npz"),
            "options": options,
        }
        answer = asked(self._process, json.dumps(request))
        if not answer:
            raise ExportError(f"the converter crashed ({ending(self._process.wait())}){self._last_words()}")
        if (reason := json.loads(answer)["error"]) is not None:
            raise ExportError(reason)

    def _start(self) -> subprocess.Popen[str]:
        """Start the process: on the CPU, out of reach of the terminal's Ctrl-C and of other workers."""
        arguments = [json.dumps(self._modules), str(self._plugin_folder or ".")]
        with (self.folder / "log.txt").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", WORKER, *arguments],
                env=surroundings(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def _last_words(self) -> str:
        """Return what a process said before it ended, where it is an error of C++ or of Python."""
        lines = (self.folder / "log.txt").read_text("utf-8", errors="replace").splitlines()
        told = [line for line in lines if line.startswith("F") or "Error: " in line]
        return f": {told[-1][:300]}" if told else ""


def asked(process: subprocess.Popen[str], request: str) -> str:
    """Return the line with which a process answers a request, or nothing where it has ended."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(f"{request}\n")
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return ""


def ending(code: int) -> str:
    """Return how a process ended: ``SIGSEGV``, or its exit code."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
