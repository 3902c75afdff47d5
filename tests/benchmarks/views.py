"""Augmentation with a fixed number of views whose teacher is asked once, against the teacher in every step.

    python tests/benchmarks/views.py --work /tmp/views                  # a quarter of an hour on two cores
    python tests/benchmarks/views.py --work /tmp/views --seeds 0 --arms "8 views" online

lenet5 on 10,000 images of Fashion-MNIST, mirrored and shifted, to 3 % of its weights in three rounds.
All arms of a seed have the same teacher. `online` draws a new view of every image in every epoch.
Printed are test accuracy, mean ± standard deviation over the seeds, and seconds of the whole
command, which with fixed views holds the making of all of them and the teacher's pass over them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ARMS: dict[str, list[str]] = {
    "no augmentation": ["data.augment=[]"],
    **{f"{count} view{'s' * (count > 1)}": [f"data.views={count}"] for count in (1, 2, 8, 32)},
    "online": ["data.views=1000000", "distill.targets=online"],
}
RECIPE = """
name: views
data: {format: fashion_mnist, subset: 10000, augment: [flip, {crop: 2}]}
teacher: {path: teacher.keras}
prune: {schedule: {kind: geometric, final_sparsity: 0.97, rounds: 3}}
train: {epochs: 8, learning_rate: 0.002}
guard: {max_drop: 1.0}
"""
TEACHER = ["teacher.path=null", "teacher.model=lenet5", "teacher.epochs=20", "data.views=32"]


def spiral(*arguments: str, cwd: Path) -> float:
    """Run a command; return its seconds."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "spiral_cli", *arguments]
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def settings(*pairs: str) -> list[str]:
    """Return ``--set`` for each of ``pairs``."""
    return [word for pair in pairs for word in ("--set", pair)]


def measure(work: Path, arm: str, seed: int) -> tuple[float, float, float]:
    """Return test accuracy of the student and of its teacher, and seconds."""
    teacher = work / f"teacher-{seed}"
    if not (teacher / "teacher.keras").exists():
        spiral("train-teacher", "recipe.yaml", "--run", teacher.name, *settings(f"seed={seed}", *TEACHER), cwd=work)
    run = work / f"{arm.replace(' ', '-')}-{seed}"
    given = (f"seed={seed}", f"teacher.path={teacher.name}/teacher.keras", *ARMS[arm])
    seconds = spiral("compress", "recipe.yaml", "--fresh", "--run", run.name, *settings(*given), cwd=work)
    report = json.loads((run / "report.json").read_text())
    both = report["selected"], report["teacher"]
    return (*(one["metrics"]["test"]["accuracy"] for one in both), seconds)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    (options.work / "recipe.yaml").write_text(RECIPE)
    print("| arm | test accuracy | below the teacher | s |\n|---|---|---|---|")
    for arm in options.arms:
        found = [measure(options.work, arm, seed) for seed in options.seeds]
        ours, teachers, seconds = zip(*found, strict=True)
        spread = statistics.stdev(ours) if len(ours) > 1 else 0.0
        lost = statistics.mean(t - s for s, t in zip(ours, teachers, strict=True))
        mean = statistics.mean(ours)
        print(f"| {arm} | {mean:.4f} ± {spread:.4f} | {lost:+.4f} | {statistics.median(seconds):.0f} |", flush=True)


if __name__ == "__main__":
    main()
