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
from typing import IO

from spiral_cli.cli.output import Output

GRACE_SECONDS = 60.0  # for the others to end by themselves after one did
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_workers(arguments: Sequence[str], count: int, output: Output) -> int:
    """Run ``spiral`` with ``arguments`` in ``count`` processes; return the exit code of the one that leads.

    Its output is this command's. Of the others only errors are shown.
    """
    command = [sys.executable, "-m", "spiral_cli", *arguments]
    with tempfile.TemporaryDirectory(prefix="spiral-workers-") as folder:
        logs = [open(f"{folder}/{index}", "w+", errors="replace") for index in range(count)]  # noqa: SIM115
        workers = [
            start(command, index, one, log) for index, (one, log) in enumerate(zip(hosts(count), logs, strict=True))
        ]
        for number in SIGNALS:
            signal.signal(number, lambda received, _: pass_on(received, workers))
        code = wait(workers)
        for index, (worker, log) in enumerate(zip(workers[1:], logs[1:], strict=True), 1):
            if worker.returncode not in (0, code):
                log.seek(0)
                output.complain(f"worker {index} ended with {worker.returncode}\n{log.read().strip()}")
    return code


def is_worker() -> bool:
    """Say whether this process is one of those that `run_workers` starts."""
    return "TF_CONFIG" in os.environ


def distributed(overrides: Sequence[str], workers: int) -> list[str]:
    """Return the recipe's ``overrides`` for so many workers."""
    return [*overrides, *(["distribution=multi_worker"] if workers > 1 else [])]


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
    """Return the setting that leaves a worker its share of this machine's GPUs: two cannot use the same one."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    there = [one for one in os.listdir("/dev") if one.startswith("nvidia") and one[6:].isdigit()]
    numbers = [str(i) for i in range(len(there))] if visible is None else [one for one in visible.split(",") if one]
    return {"CUDA_VISIBLE_DEVICES": ",".join(numbers[index::count])} if numbers else {}


def start(command: Sequence[str], index: int, environment: Mapping[str, str], log: IO[str]) -> subprocess.Popen:
    """Start one worker; the first one has this process' terminal.

    Each is a group of its own: Ctrl-C reaches this process alone, which passes it on once.
    """
    surroundings = {**os.environ, **environment}
    if index == 0:
        return subprocess.Popen(command, env=surroundings, process_group=0)
    none = subprocess.DEVNULL
    return subprocess.Popen(command, env=surroundings, process_group=0, stdin=none, stdout=none, stderr=log)


def pass_on(received: int, workers: Sequence[subprocess.Popen]) -> None:
    """Let the workers have a signal that this process alone received."""
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(received)


def wait(workers: Sequence[subprocess.Popen]) -> int:
    """Wait for all; once one has ended, the others have `GRACE_SECONDS`. Return the first one's exit code."""
    deadline = None
    while any(worker.poll() is None for worker in workers):
        ended = any(worker.poll() is not None for worker in workers)
        if ended and deadline is None:
            deadline = time.monotonic() + GRACE_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            for worker in workers:
                worker.kill()
        time.sleep(0.1)
    return workers[0].returncode
