"""Seconds and memory of making masks for a large model, beside what NumPy needs to rank as many numbers.

    python tests/benchmarks/ranking.py                        # 10⁸ weights: one layer, and the 60 of a transformer
    python tests/benchmarks/ranking.py --weights 10000000 --density 0.5 --repeats 9

Timed is the whole way of a recipe, from float32 weights by layer to bool masks, unstructured, with
and without earlier masks (``within``, of 30 % density at random places; outside weights are zero).
Magnitude ranked globally may take 4 times as long as `np.partition` over all magnitudes in one
array, LAMP twice as long as `np.sort` and `np.cumsum` over it. Ours and NumPy's take turns in one
process, so that a busy machine slows both; printed are medians, of the ratios too. Both compute on
one core, so seconds of the processor tell what an idle machine would show. Memory is the peak above
the weights (and earlier masks), of a process of its own: at most 3 times the weights.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spiral_cli.pruning.evidence import Evidence
from spiral_cli.pruning.recipe_masks import recipe_masks
from spiral_cli.recipe.prune import Prune

RULES = {  # name: criterion, allocation, bar of the time ratio
    "magnitude": ("magnitude", "global", 4.0),
    "lamp allocation": ("magnitude", "lamp", 2.0),
    "lamp criterion": ("lamp", "global", 2.0),
}
SHAPES = ("giant", "transformer")
BLOCKS = 10  # of a transformer; six kernels each
EARLIER = 0.3  # density of earlier masks
MEMORY_BAR = 3.0


def make_weights(shape: str, size: int) -> dict[str, np.ndarray]:
    """Return about ``size`` normal float32 weights: one square kernel, or a transformer's kernels."""
    rng = np.random.default_rng(0)
    if shape == "giant":
        side = round(size**0.5)
        return {"dense/kernel": rng.standard_normal((side, side), np.float32)}
    width = max(8, round((size / BLOCKS / 12) ** 0.5))
    kernels = {**dict.fromkeys(("query", "key", "value", "output"), (width, width))}
    kernels |= {"up": (width, 4 * width), "down": (4 * width, width)}
    weights = {}
    for block in range(BLOCKS):
        for name, sides in kernels.items():
            array = weights[f"block{block}/{name}/kernel"] = rng.standard_normal(sides, np.float32)
            array *= np.float32((1 + 0.1 * block) / sides[0] ** 0.5)
    return weights


def make_earlier(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return random earlier masks, and set the weights outside to zero as a cut does."""
    rng = np.random.default_rng(1)
    masks = {}
    for name, array in weights.items():
        masks[name] = np.empty(array.shape, bool)
        for row, mask in zip(array, masks[name], strict=True):  # by rows: this must not make the peak
            mask[:] = rng.random(row.size, np.float32) < EARLIER
            row *= mask
    return masks


def numpys_way(rule: str, weights: dict[str, np.ndarray], density: float) -> Callable[[], object]:
    """Return what a rule is compared with."""
    pool = np.concatenate([array.ravel() for array in weights.values()])
    np.abs(pool, out=pool)
    if rule == "magnitude":
        return lambda: np.partition(pool, round((1 - density) * pool.size))
    return lambda: np.cumsum(np.sort(pool))


def our_way(rule: str, weights: dict[str, np.ndarray], density: float, within) -> dict[str, np.ndarray]:
    """Return masks by a rule."""
    criterion, allocation, _ = RULES[rule]
    prune = Prune(criterion=criterion, allocation=allocation)
    return recipe_masks(prune, weights, density, evidence=Evidence(), within=within)


def seconds(work: Callable[[], object]) -> np.ndarray:
    """Return how long a call takes, by the clock and of the processor."""
    started = np.array([time.perf_counter(), time.process_time()])
    work()
    return np.array([time.perf_counter(), time.process_time()]) - started


def measure_time(rule: str, shape: str, earlier: bool, options: argparse.Namespace) -> None:
    """Print medians of our seconds, NumPy's and their ratio."""
    weights = make_weights(shape, options.weights)
    theirs = numpys_way(rule, weights, options.density)
    within = make_earlier(weights) if earlier else None
    ways = (lambda: our_way(rule, weights, options.density, within), theirs)
    pairs = np.array([[seconds(way) for way in ways] for _ in range(options.repeats + 1)])  # (repeats, ways, clocks)
    (ours, our_cpu), (numpys, numpys_cpu) = np.median(pairs[1:], axis=0)  # the first warms up
    ratio, cpu_ratio = np.median(pairs[1:, 0] / pairs[1:, 1], axis=0)
    print(f"{ours:.2f} s, NumPy {numpys:.2f} s, ratio {ratio:.2f} (bar {RULES[rule][2]:g});", end=" ")
    print(f"of the processor {our_cpu:.2f} s, NumPy {numpys_cpu:.2f} s, ratio {cpu_ratio:.2f}", flush=True)


def peak() -> int:
    """Return the most memory this process has had so far, in bytes (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def measure_memory(rule: str, shape: str, earlier: bool, options: argparse.Namespace) -> None:
    """Print the peak above weights and earlier masks, in sizes of the weights."""
    small = make_weights(shape, 10_000)
    our_way(rule, small, options.density, None)  # what is imported and set up once does not count
    weights = make_weights(shape, options.weights)
    within = make_earlier(weights) if earlier else None
    before = peak()
    our_way(rule, weights, options.density, within)
    above = (peak() - before) / sum(array.nbytes for array in weights.values())
    print(f"{above:.2f} times the weights' memory above them (bar {MEMORY_BAR:g})", flush=True)


def main() -> None:
    """Print a line for every rule, shape, and with and without earlier masks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=int, default=10**8)
    parser.add_argument("--density", type=float, default=0.1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rules", nargs="*", choices=RULES, default=list(RULES))
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        what, rule, shape, earlier = options.worker
        {"time": measure_time, "memory": measure_memory}[what](rule, shape, earlier == "within", options)
        return
    numbers = [f"--{name}={getattr(options, name)}" for name in ("weights", "density", "repeats")]
    for rule in options.rules:
        for shape in options.shapes:
            for earlier in ("fresh", "within"):
                print(f"{rule}, {shape}, {earlier}:", flush=True)
                for what in ("time", "memory"):
                    print("  ", end="", flush=True)
                    command = [sys.executable, __file__, *numbers, "--worker", what, rule, shape, earlier]
                    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
