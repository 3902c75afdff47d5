"""A run that is killed for real, again and again, ends with the same bytes as one that was not."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from spiral_cli.training.checkpoint import previous

RECIPE = """
name: resume
data: {format: digits}
teacher: {model: lenet300, epochs: 12, learning_rate: 0.002}
prune: {criterion: taylor, schedule: {kind: geometric, final_sparsity: 0.9, rounds: 3}}
distill: {teacher: ensemble, features: [{teacher: dense_2, student: dense_2}]}
train: {epochs: 12, batch_size: 32}
guard: {max_drop: 0.05}
"""


def start(recipe: Path, run: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "spiral_cli", "compress", str(recipe), "--run", str(run), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(recipe: Path, run: Path) -> str:
    process = start(recipe, run)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def weights(run: Path) -> list[np.ndarray]:
    import keras

    return [variable.numpy() for variable in keras.models.load_model(run / "student.keras").weights]


def figures(run: Path) -> list[dict]:
    rows = json.loads((run / "report.json").read_text())["rounds"]
    return [{key: row[key] for key in ("round", "attempt", "nonzero", "metrics", "drop", "accepted")} for row in rows]


def curves(run: Path) -> list[list[dict]]:
    """Return the losses of every epoch of the teacher and of every round."""
    records = [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]
    found = [record["curve"] for record in records if record["event"] in ("teacher", "round")]
    assert all(len(curve) == 12 for curve in found)
    return found


def assert_same(one: Path, other: Path) -> None:
    for ours, theirs in zip(weights(one), weights(other), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert figures(one) == figures(other)
    assert curves(one) == curves(other)


def progress(run: Path) -> list[tuple[str, int]]:
    """Return what lies in the run folder, with the time each file was written; the run writes meanwhile."""
    found = []
    for path in run.rglob("*"):
        if path.suffix in (".spiral", ".jsonl"):
            with suppress(FileNotFoundError):  # renamed since it was listed
                found.append((str(path), path.stat().st_mtime_ns))
    return sorted(found)


def kill_at_random(recipe: Path, run: Path, dice: random.Random) -> bool:
    """Start the run, let it make some progress, kill it; return whether it was killed before its end."""
    before = progress(run)
    process = start(recipe, run)
    while process.poll() is None and progress(run) == before:
        time.sleep(0.005)
    time.sleep(dice.uniform(0.0, 1.5))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "resume.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def whole(recipe) -> Path:
    """A run that nothing disturbed."""
    run = recipe.parent / "whole"
    finish(recipe, run)
    return run


def killed_run(recipe: Path, run: Path, kills: int, seed: int) -> int:
    """Kill a run up to ``kills`` times, starting over in a new folder when it got through; return the kills."""
    dice, done = random.Random(seed), 0
    for _ in range(kills):
        if (run / "report.json").exists():
            break
        done += kill_at_random(recipe, run, dice)
    return done


def test_five_kills_at_random_points_change_no_bit(recipe, whole, tmp_path):
    assert killed_run(recipe, tmp_path / "run", kills=5, seed=int(time.time())) >= 1
    finish(recipe, tmp_path / "run")
    assert_same(tmp_path / "run", whole)


@pytest.mark.slow
def test_a_hundred_kills_change_no_bit(recipe, whole, tmp_path):
    killed = 0
    for seed in range(100):
        if killed >= 100:
            break
        run = tmp_path / f"run-{seed}"
        killed += killed_run(recipe, run, kills=100 - killed, seed=seed)
        finish(recipe, run)
        assert_same(run, whole)
    assert killed >= 100


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(recipe, whole, tmp_path):
    run = tmp_path / "run"
    process = start(recipe, run)
    checkpoint = run / "rounds" / "02" / "attempt-1.spiral"
    while process.poll() is None and not previous(checkpoint).exists():
        time.sleep(0.001)
    process.kill()
    process.communicate()
    latest = checkpoint if checkpoint.exists() else previous(checkpoint)
    content = bytearray(latest.read_bytes())
    content[len(content) // 2] ^= 1
    latest.write_bytes(content)
    assert f"{latest.name} is damaged" in finish(recipe, run).replace("\n", "")
    assert_same(run, whole)


def test_a_damaged_round_is_made_again(recipe, whole, tmp_path):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(whole, run)
    ledger = (run / "ledger.jsonl").read_text().splitlines()
    (run / "ledger.jsonl").write_text("\n".join(line for line in ledger if '"finished"' not in line) + "\n")
    (run / "rounds" / "02" / "state.spiral").write_bytes(b"no state")
    said = finish(recipe, run)
    assert "damaged" in said
    assert_same(run, whole)


def test_a_stop_that_was_asked_for_is_taken_at_the_next_chunk_and_resumes(recipe, whole, tmp_path):
    run = tmp_path / "run"
    process = start(recipe, run)
    while process.poll() is None and not (run / "rounds" / "01").exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "spiral compress" in said
    finish(recipe, run)
    assert_same(run, whole)
