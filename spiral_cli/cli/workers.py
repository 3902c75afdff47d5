"""`--workers N`: the command N times on this machine, as so many hosts would run it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO

from spiral_cli.cli.output import Output
from spiral_cli.cli.stop import INTERRUPTED
from spiral_cli.errors import LostWorkerError, UsageError

GRACE_SECONDS = 60.0  # for the others to end by themselves after one did
SIGNALS = (signal.SIGINT, signal.SIGTERM)
MARK = "SPIRAL_WORKER"  # in the environment of a process that was started here


def run_workers(arguments: Sequence[str], count: int, output: Output) -> int:
    """Run ``spiral`` with ``arguments`` in ``count`` processes; return the exit code of the one that leads.

    Its output is this command's. Of the others only errors are shown.
    """
    command = [sys.executable, "-m", "spiral_cli", *arguments]
    workers: list[subprocess.Popen] = []
    heard: list[int] = []

    def hear(number: int, _: object) -> None:
        # A worker that waits for the others hears nothing: the second signal does not ask any more.
        pass_on(signal.SIGKILL if heard else number, workers)
        heard.append(number)

    for number in SIGNALS:
        signal.signal(number, hear)
    with ExitStack() as files:
        logs = [files.enter_context(tempfile.TemporaryFile("w+", errors="replace")) for _ in range(count)]
        try:
            for index, (one, log) in enumerate(zip(hosts(count), logs, strict=True)):
                workers.append(start(command, index, one, log))
            wait(workers)
        finally:
            pass_on(signal.SIGKILL, workers)
        codes = [worker.returncode for worker in workers]
        for index, (code, log) in enumerate(zip(codes, logs, strict=True)):
            log.seek(0)
            if index and not heard and code not in (0, codes[0], LostWorkerError.exit_code):
                output.complain(f"worker {index} ended with {described(code)}\n{log.read().strip()}")
    if len(heard) > 1:
        return INTERRUPTED
    if codes[0] < 0:
        output.complain(f"worker 0 ended with {described(codes[0])}")
    return codes[0] if codes[0] >= 0 else 128 - codes[0]


def described(code: int) -> str:
    """Return an exit code, or the name of the signal that ended a process."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


def is_worker() -> bool:
    """Say whether this process is one of those that `run_workers` starts.

    Raises:
        UsageError: it is one of other workers.
    """
    if MARK not in os.environ and "TF_CONFIG" in os.environ:
        raise UsageError(
            "--workers starts processes on this machine, but TF_CONFIG is set: this is one of several workers already; "
            "leave --workers out, or unset TF_CONFIG"
        )
    return MARK in os.environ


def hosts(count: int) -> list[dict[str, str]]:
    """Return what each of ``count`` workers must find in its environment."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    cluster = {"worker": [f"localhost:{one.getsockname()[1]}" for one in sockets]}
    for one in sockets:
        one.close()
    tasks = [{"type": "worker", "index": index} for index in range(count)]
    return [
        {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task}), **gpus_of(index, count, os.environ)}
        for index, task in enumerate(tasks)
    ]


def gpus_of(index: int, count: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the setting that leaves each worker as many of this machine's GPUs: two cannot use the same one.

    Where there are fewer GPUs than workers none has any.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    there = [one for one in os.listdir("/dev") if one.startswith("nvidia") and one[6:].isdigit()]
    numbers = [str(i) for i in range(len(there))] if visible is None else [one for one in visible.split(",") if one]
    each = len(numbers) // count
    mine = numbers[index * each : (index + 1) * each]
    return {"CUDA_VISIBLE_DEVICES": ",".join(mine) or "-1"} if numbers else {}


def start(command: Sequence[str], index: int, environment: Mapping[str, str], log: IO[str]) -> subprocess.Popen:
    """Start one worker; the first one has this process' terminal.

    Each is a group of its own: Ctrl-C reaches this process alone, which passes it on once.
    """
    surroundings = {**os.environ, **environment, MARK: str(index)}
    if index == 0:
        return subprocess.Popen(command, env=surroundings, process_group=0)
    none = subprocess.DEVNULL
    return subprocess.Popen(command, env=surroundings, process_group=0, stdin=none, stdout=none, stderr=log)


def pass_on(received: int, workers: Sequence[subprocess.Popen]) -> None:
    """Let the workers have a signal that this process alone received."""
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(received)
            if received == signal.SIGKILL:
                worker.wait()


def wait(workers: Sequence[subprocess.Popen]) -> None:
    """Wait for all; once one has ended, the others have `GRACE_SECONDS`."""
    deadline = None
    while any(worker.poll() is None for worker in workers):
        if deadline is None and any(worker.poll() is not None for worker in workers):
            deadline = time.monotonic() + GRACE_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            return
        time.sleep(0.1)
