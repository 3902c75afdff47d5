"""Accuracy of lenet300 on Fashion-MNIST at extreme sparsity: spiral against tensorflow-model-optimization.

    python tests/benchmarks/quality.py --work /tmp/quality --peer PYTHON     # everything, hours
    python tests/benchmarks/quality.py --work /tmp/quality --arms spiral --seeds 0 --densities 0.01

PYTHON is the interpreter of an environment with tensorflow-model-optimization and tf_keras. All
arms get the same 54,000 training images, the same dense teacher (one a seed, trained by plain
Keras), batch size 128 and 60 student epochs in all. Settings were chosen on the 6,000 validation
images; the table shows the test accuracy, mean ± standard deviation over the seeds. Runs are kept
in WORK/results.jsonl and not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

EPOCHS = 60
# Runs of this small network are fastest one a core, side by side.
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
ROUNDS = 5
PEER = "tfmot + KD"
DENSITIES = (0.1, 0.05, 0.02, 0.01)
# What an arm changes in the one recipe; {epochs} and {rounds} are filled in below.
ARMS: dict[str, list[str]] = {
    "spiral": [],
    "one round": ["prune.schedule.rounds=1", f"train.epochs={EPOCHS}"],
    "no distillation": ["distill.alpha=0"],
    "KL and features": [
        "distill.features=[{teacher: hidden_1, student: hidden_1}, {teacher: hidden_2, student: hidden_2}]"
    ],
    "random": ["prune.criterion=random", "prune.allocation=uniform"],
}
RECIPE = f"""
name: quality
data: {{format: npz, path: fashion.npz}}
teacher: {{path: teacher.keras}}
prune: {{schedule: {{final_sparsity: 0.99, rounds: {ROUNDS}}}}}
train: {{epochs: {EPOCHS // ROUNDS}, batch_size: 128}}
guard: {{max_drop: 1.0}}
"""


def prepare(work: Path, seed: int) -> Path:
    """Write the split once and a teacher for ``seed``; return the teacher's path without its suffix."""
    work.mkdir(parents=True, exist_ok=True)
    teacher = work / f"teacher-{seed}"
    if teacher.with_suffix(".npz").exists():
        return teacher
    import keras
    import numpy as np

    from spiral_cli.data.load import load_dataset
    from spiral_cli.recipe.data import Data

    data = load_dataset(Data(format="fashion_mnist", validation=0.1), seed=0)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    arrays = {f"{axis}_{name}": getattr(part, axis) for name, part in parts.items() for axis in ("x", "y")}
    (work / "quality.yaml").write_text(RECIPE)
    np.savez(work / "fashion.npz", **{name: a[..., 0] if a.ndim == 4 else a for name, a in arrays.items()})
    x = (data.train.x / 255.0).astype("float32")
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(300, "relu", name="hidden_1"),
            layers.Dense(100, "relu", name="hidden_2"),
            layers.Dense(10, name="logits"),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(1e-3, 20 * -(-len(x) // 128))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, jit_compile=True)
    model.fit(x, data.train.y, batch_size=128, epochs=20, verbose=0)
    model.save(teacher.with_suffix(".keras"))
    weights = {f"weight_{i}": weight for i, weight in enumerate(model.get_weights())}
    np.savez(teacher.with_suffix(".npz"), **weights, logits=model.predict(x, verbose=0, batch_size=1000))
    return teacher


def run_spiral(work: Path, arm: str, density: float, seed: int, more: list[str]) -> dict:
    """Run one arm of spiral as a person would and return its figures."""
    teacher = prepare(work, seed)
    recipe = work / "quality.yaml"
    settings = [f"teacher.path={teacher}.keras", f"seed={seed}", f"prune.schedule.final_sparsity={1 - density:.6g}"]
    overrides = [part for one in [*settings, *ARMS.get(arm, []), *more] for part in ("--set", one)]
    run = work / "runs" / f"{arm}-{density}-{seed}".replace(" ", "-")
    command = [
        sys.executable,
        "-m",
        "spiral_cli",
        "compress",
        str(recipe),
        "--run",
        str(run),
        "--fresh",
        "--json",
        *overrides,
    ]
    started = time.time()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ONE_THREAD)
    if done.returncode:
        raise RuntimeError(done.stderr)
    report = json.loads(done.stdout)
    last = report["rounds"][-1]
    return {
        "validation": last["metrics"]["validation"]["accuracy"],
        "test": report["selected"]["metrics"]["test"]["accuracy"],
        "teacher": report["teacher"]["metrics"]["test"]["accuracy"],
        "found_density": report["selected"]["density"],
        "rounds": [row["metrics"]["validation"]["accuracy"] for row in report["rounds"]],
        "seconds": time.time() - started,
    }


def run_peer(work: Path, python: str, density: float, seed: int) -> dict:
    """Run tensorflow-model-optimization in its own environment."""
    teacher = prepare(work, seed)
    script = Path(__file__).with_name("quality_tfmot.py")
    arguments = ["--data", str(work / "fashion.npz"), "--teacher", f"{teacher}.npz", "--density", str(density)]
    command = [python, str(script), *arguments, "--seed", str(seed), "--epochs", str(EPOCHS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ONE_THREAD)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def table(results: list[dict], densities: list[float]) -> str:
    """Return the results as a Markdown table."""
    lines = ["| test accuracy, % | " + " | ".join(f"{100 * d:g} % density" for d in densities) + " |"]
    lines.append("|---" * (1 + len(densities)) + "|")
    for arm in dict.fromkeys(one["arm"] for one in results):
        cells = []
        for density in densities:
            found = [100 * one["test"] for one in results if (one["arm"], one["density"]) == (arm, density)]
            spread = statistics.stdev(found) if len(found) > 1 else 0.0
            cells.append(f"{statistics.mean(found):.2f} ± {spread:.2f} ({len(found)})" if found else "")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    teachers = {one["seed"]: one["teacher"] for one in results if "teacher" in one}
    if teachers:
        lines.append(
            f"\nDense teacher: {100 * statistics.mean(teachers.values()):.2f} (mean of {len(teachers)} seeds)."
        )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peer", help="Python with tensorflow-model-optimization and tf_keras")
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--densities", nargs="*", type=float, default=list(DENSITIES))
    parser.add_argument("--set", nargs="*", default=[], help="further overrides, for trying settings under --name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs side by side")
    parser.add_argument("--name", help="what to call such a trial")
    options = parser.parse_args()
    file = options.work / "results.jsonl"
    options.work.mkdir(parents=True, exist_ok=True)
    results = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    known = {(one["arm"], one["density"], one["seed"]) for one in results}
    arms = [*options.arms, *([PEER] if options.peer else [])]
    wanted = [(arm, density, seed) for arm in arms for seed in options.seeds for density in options.densities]
    for seed in options.seeds:
        prepare(options.work, seed)
    writing = Lock()

    def work(arm: str, density: float, seed: int) -> None:
        key = {"arm": options.name or arm, "density": density, "seed": seed}
        if tuple(key.values()) in known:
            return
        if arm == PEER:
            found = run_peer(options.work, options.peer, density, seed)
        else:
            found = run_spiral(options.work, arm, density, seed, options.set)
        with writing, file.open("a") as log:
            results.append(key | found)
            log.write(json.dumps(results[-1]) + "\n")
            print(results[-1], file=sys.stderr, flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        for one in [pool.submit(work, *three) for three in wanted]:
            one.result()
    print(table(results, options.densities))


if __name__ == "__main__":
    main()
