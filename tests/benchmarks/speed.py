"""Seconds of one epoch of four models: Keras' `fit` and Distiller, tensorflow-model-optimization, spiral.

    python tests/benchmarks/speed.py --peer PYTHON                # everything, half an hour on two cores
    python tests/benchmarks/speed.py --models lenet5 --epochs 9 --contenders fit spiral

PYTHON is the interpreter of an environment with tensorflow-model-optimization and tf_keras. Each
contender runs in a process of its own with its own usual settings. The processes take turns, an
epoch each, so that a busy machine slows all alike. Printed are medians of seconds, and medians of
the ratios of neighbouring epochs beside their bars:

    a   plain `keras.Model.fit` of the student, Keras' defaults, nothing else on
    a*  the fastest `fit` of XLA on or off, 1 or 32 steps a call
    b   `keras.distillation.Distiller`, Keras' defaults
    c   spiral with masks, distillation, pressure, averaging and deterministic operations on
    d   tensorflow-model-optimization: pruning, and distillation from cached logits by hand

What bounds spiral's step (`limits.py`: its time over that of its products alone in TensorFlow's
kernels, two AVX-512 cores; and TensorFlow's profiler):

    lenet300     1.1  the two products over 784 x 300; compiled as a whole it stays below TensorFlow's kernels
    lenet5       0.8  two chains, one a half and core, packed without gaps; a quarter each is the first
                      convolution (one input channel), the second (Winograd's form), and dense layers;
                      a tenth is the update at their end, which one core does
    resnet20     1.2  convolutions, four fifths of it, at 400 of some 450 GFLOP/s; the rest are passes of
                      batch normalisation, ReLU and sums over 97 MB of activations. `fit` has the same
                      convolutions, 0.58 of its step: 0.6 of it would leave 3 ms for all the rest, which takes 18
    transformer  1.0  products, most of it; then passes over (batch, 64, 128): biases and their gradients,
                      softmax, residuals

Tried for lenet5 and not kept: the dense layers on whole batches (1.05 times), the update in two groups,
the first while convolutions go back (the two pools of threads are busy: 1.0), three threads between
operations (1.0), the first convolution as stride 2 with 80 filters, space to depth, or columns (1.3 to
1.7 times its time), as a product with a banded matrix (0.73 for this shape alone, 1.1 to 5 for others).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from contenders import FITS
from workloads import BATCH, EXAMPLES

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEER = "tfmot"
CONTENDERS = (*FITS, "distiller", "spiral", PEER)
# The bars for c/a, c/a*, c/b and c/d.
BARS: dict[str, dict[str, float]] = {
    "lenet300": {"a": 0.33, "a*": 1.0, "b": 0.27, "d": 0.33},
    "lenet5": {"a": 0.5, "a*": 1.0, "b": 0.45, "d": 0.65},
    "resnet20": {"a": 0.6, "a*": 1.0, "b": 0.6, "d": 0.6},
    "transformer": {"a*": 1.0},
}
Seconds = dict[str, list[float]]


def start(contender: str, model: str, examples: int | None, peer: str | None) -> subprocess.Popen[str]:
    """Start a contender's process; it waits for a line."""
    if contender == PEER:
        command = [str(peer), str(HERE / "speed_tfmot.py")]
    else:
        command = [sys.executable, str(HERE / "contenders.py"), contender]
    command += ["--model", model, *(["--examples", str(examples)] if examples else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, env=environment
    )


def ask(process: subprocess.Popen[str]) -> dict:
    """Let a contender run an epoch; return its seconds, or why there are none."""
    try:
        process.stdin.write("go\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # said below
    line = process.stdout.readline()
    return json.loads(line) if line else {"failed": f"its process ended with {process.wait()}"}


def race(processes: dict[str, subprocess.Popen[str]], epochs: int) -> tuple[Seconds, dict[str, str]]:
    """Let the contenders take turns.

    Returns:
        seconds of each epoch, without a first one for warming up; and why a contender gave none.
    """
    seconds: Seconds = {one: [] for one in processes}
    failed: dict[str, str] = {}
    for _ in range(epochs + 1):
        for one in list(seconds):
            answer = ask(processes[one])
            if "seconds" in answer:
                seconds[one].append(answer["seconds"])
            else:
                failed[one] = answer["failed"]
                del seconds[one]
    for process in processes.values():
        process.communicate()  # the end of its input ends it
    return {one: times[1:] for one, times in seconds.items()}, failed


def table(model: str, seconds: Seconds, failed: dict[str, str], steps: int) -> str:
    """Return medians and ratios of one model as a Markdown table and remarks."""
    medians = {one: statistics.median(times) for one, times in seconds.items()}
    fits = [one for one in FITS if one in medians]
    best = min(fits, key=medians.__getitem__, default="fit")
    letters = {"a": "fit", "a*": best, "b": "distiller", "c": "spiral", "d": PEER}
    lines = [f"| {model} | s | ms a step | c / it | bar |", "|---|---|---|---|---|"]
    for letter, one in letters.items():
        if one not in medians:
            continue
        cells = [f"{medians[one]:.2f}", f"{1000 * medians[one] / steps:.2f}", "", ""]
        if letter != "c" and "spiral" in medians:
            ratio = statistics.median(c / other for c, other in zip(seconds["spiral"], seconds[one], strict=True))
            bar = BARS[model].get(letter)
            cells[2:] = f"{ratio:.2f}", "" if bar is None else f"{bar:g} {'met' if ratio <= bar else 'MISSED'}"
        lines.append(f"| {letter} {one} | {' | '.join(cells)} |")
    others = ", ".join(f"{one} {medians[one]:.2f} s" for one in fits)
    lines.append(f"\nfits: {others}" if fits else "")
    lines += [f"{one} did not run: {reason}" for one, reason in failed.items()]
    return "\n".join(lines)


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=list(BARS), choices=list(BARS))
    parser.add_argument("--contenders", nargs="*", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--examples", type=int, help="of an epoch, otherwise some seconds' worth")
    parser.add_argument("--peer", help="Python with tensorflow-model-optimization and tf_keras")
    options = parser.parse_args()
    for model in options.models:
        entered, absent = list(options.contenders), {}
        if PEER in entered and options.peer is None:
            entered.remove(PEER)
            absent[PEER] = "no --peer was given"
        processes = {one: start(one, model, options.examples, options.peer) for one in entered}
        seconds, failed = race(processes, options.epochs)
        steps = -(-(options.examples or EXAMPLES[model]) // BATCH)
        print(table(model, seconds, absent | failed, steps), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
