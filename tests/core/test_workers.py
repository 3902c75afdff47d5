"""Two real processes on this machine train one spiral, and one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_runs import X_TEST, Y_TEST, X, Y

from spiral_cli.cli.workers import gpus_of, hosts
from spiral_cli.pruning.packing import unpack
from spiral_cli.training.checkpoint import read_state
from spiral_cli.training.team import find_workers

RECIPE = """
data: {format: npz, path: data.npz, validation: 0.2}
teacher: {model: lenet300, epochs: 2, learning_rate: 0.002, batch_size: 32}
prune: {schedule: {kind: geometric, final_sparsity: 0.8, rounds: 2}}
train: {epochs: 4, batch_size: 16}
guard: {max_drop: 0.3}
"""


def spiral(folder: Path, *arguments: str) -> subprocess.Popen:
    return start(folder, "-m", "spiral_cli", "compress", "spiral.yaml", *arguments)


def python(folder: Path, script: str, **more: str) -> subprocess.Popen:
    return start(folder, "-c", script, **more)


def start(folder: Path, *arguments: str, **more: str) -> subprocess.Popen:
    pipe, environment = subprocess.PIPE, {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **more}
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, stdout=pipe, stderr=pipe, text=True, env=environment
    )


def ended(process: subprocess.Popen, code: int = 0) -> tuple[str, str]:
    try:
        out, error = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == code, out + error
    return out, error


def until(file: Path) -> None:
    for _ in range(600):
        if file.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{file} was not written within a minute")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("workers")
    np.savez(folder / "data.npz", x_train=X, y_train=Y, x_test=X_TEST, y_test=Y_TEST)
    (folder / "spiral.yaml").write_text(RECIPE)
    ended(spiral(folder, "--run", "one"))
    out, _ = ended(spiral(folder, "--run", "two", "--workers", "2"))
    assert "every batch is shared by 2 replicas in 2 processes" in out
    return folder


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def masks(folder: Path, number: int) -> dict[str, np.ndarray]:
    arrays, _ = read_state(folder / f"rounds/{number:02}/state.spiral")
    return unpack({name: bits for name, bits in arrays.items() if name.startswith("mask/")})


MIRRORED = """
import sys
from pathlib import Path
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from spiral_cli.compress import compress
from spiral_cli.recipe import load_recipe
from spiral_cli.run import RunFolder
from spiral_cli.training.control import Control
recipe = load_recipe(Path("spiral.yaml"), ["distribution=mirrored", "device=cpu"])
compress(recipe, RunFolder(Path("mirrored")), listen=print, control=Control())
"""


@pytest.mark.parametrize("way", ["two processes", "two devices"])
def test_two_come_to_the_losses_masks_and_decisions_of_one(place, way):
    if way == "two devices":
        out, _ = ended(python(place, MIRRORED))
        assert "every batch is shared by 2 replicas" in out
    folder = place / ("two" if way == "two processes" else "mirrored")
    one, two = report(place / "one"), report(folder)
    assert [row["accepted"] for row in one["rounds"]] == [row["accepted"] for row in two["rounds"]]
    for ours, theirs in zip(two["rounds"], one["rounds"], strict=True):
        for name, loss in theirs["losses"].items():
            assert ours["losses"][name] == pytest.approx(loss, rel=1e-3)
    # Sums of two shares round otherwise than one sum: a weight on the very edge may fall on either side.
    for number in (1, 2):
        both = zip(masks(place / "one", number).values(), masks(folder, number).values(), strict=True)
        differ, count = np.sum([[np.sum(a != b), a.size] for a, b in both], axis=0)
        assert differ <= 1e-4 * count


def test_a_killed_worker_ends_the_run_and_the_same_command_goes_on_to_the_same_bytes(place):
    longer = (
        *("--run", "killed", "--workers", "2", "--teacher-from", "two"),
        *("--set", "train.epochs=40", "--set", "prune.schedule.rounds=1"),
    )
    process = spiral(place, *longer)
    checkpoint = place / "killed/rounds/01/attempt-1.spiral"
    until(checkpoint)
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
    os.kill(int(workers.split()[1]), signal.SIGKILL)
    _, error = ended(process, code=5)
    assert "another of the 2 workers ended" in error and "to resume" in error
    assert "worker 1 ended with SIGKILL" in error
    ended(spiral(place, *longer))
    ended(spiral(place, *longer[:1], "whole", *longer[2:]))
    ours, _ = read_state(place / "killed/rounds/01/state.spiral")
    theirs, _ = read_state(place / "whole/rounds/01/state.spiral")
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


def test_all_workers_stop_where_one_was_asked_to(place):
    process = spiral(place, "--run", "stopped", "--workers", "2", "--teacher-from", "two", "--set", "train.epochs=4000")
    until(place / "stopped/rounds/01/attempt-1.spiral")
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
    os.kill(int(workers.split()[1]), signal.SIGTERM)
    _, error = ended(process, code=130)
    assert "run the same command again to resume" in error and "--workers 2" in error


def test_a_second_signal_ends_workers_that_hear_nothing(place):
    process = spiral(place, "--run", "deaf", "--workers", "2", "--teacher-from", "two", "--set", "train.epochs=4000")
    until(place / "deaf/rounds/01/attempt-1.spiral")
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
    os.kill(int(workers.split()[1]), signal.SIGSTOP)  # the other one waits for it, in TensorFlow
    for _ in range(2):
        time.sleep(1)
        process.send_signal(signal.SIGINT)
    ended(process, code=130)


def test_workers_with_other_recipes_end_before_they_train(place):
    several = ("--set", "distribution=multi_worker")
    workers = [
        start(place, "-m", "spiral_cli", "compress", "spiral.yaml", "--run", "unlike", *several, *more, **one)
        for one, more in zip(hosts(2), (["--set", "train.epochs=4"], ["--set", "train.epochs=5"]), strict=True)
    ]
    for worker in workers:
        _, error = ended(worker, code=1)
        assert "the workers do not agree on the recipe (worker 1 differs from worker 0)" in error


def test_workers_are_not_started_by_a_worker(place):
    _, error = ended(start(place, "-m", "spiral_cli", "compress", "--workers", "2", TF_CONFIG="{}"), code=2)
    assert "TF_CONFIG is set: this is one of several workers already" in error


AGREE = """
import sys
from spiral_cli.training.team import form_team
team = form_team("multi_worker", "cpu", 0)
content = bytes(range(256)) * 9001 + b"!"
assert team.shared(content if team.leads else b"other") == content
assert team.shared(b"") == b""
assert team.most(float(team.index)) == team.size - 1 == 1
team.agree("what is said", "the same")
try:
    team.agree("what is said", f"worker {team.index}")
except Exception as error:
    print(type(error).__name__, error)
team.most(0.0)
"""


def test_what_workers_tell_each_other(tmp_path):
    for worker in [python(tmp_path, AGREE, **one) for one in hosts(2)]:
        out, _ = ended(worker)
        assert "SpiralError the workers do not agree on what is said (worker 1 differs from worker 0)" in out


def test_workers_share_the_gpus_of_a_machine():
    def shares(visible: str) -> list[str]:
        return [gpus_of(i, 2, {"CUDA_VISIBLE_DEVICES": visible})["CUDA_VISIBLE_DEVICES"] for i in range(2)]

    assert shares("0,1,2,3") == ["0,1", "2,3"]
    assert shares("4,5,7") == ["4", "5"]  # as many for each: TensorFlow takes no others
    assert shares("0") == ["-1", "-1"]


def test_slurm_names_the_workers_of_a_step(monkeypatch):
    step = {"STEP_NODELIST": "node[1-2]", "STEP_NUM_TASKS": "4", "STEP_TASKS_PER_NODE": "2(x2)", "PROCID": "3"}
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    resolver = find_workers(os.environ)
    spec = resolver.cluster_spec().as_dict()
    assert spec == {"worker": ["node1:8888", "node1:8889", "node2:8888", "node2:8889"]}
    assert (resolver.task_type, resolver.task_id) == ("worker", 3)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({}, "TF_CONFIG is not set and this is no Slurm step"),
        ({"TF_CONFIG": "{"}, "the workers cannot be read from the environment"),
        (
            {"TF_CONFIG": '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}'},
            "this process is 'ps' of ps",
        ),
    ],
)
def test_a_description_of_the_workers_that_is_missing_or_wrong_is_said(setting, said, tmp_path):
    (tmp_path / "spiral.yaml").write_text(RECIPE + "distribution: multi_worker\n")
    process = spiral(tmp_path) if not setting else start(tmp_path, "-m", "spiral_cli", "compress", **setting)
    _, error = ended(process, code=2)
    assert said in error
