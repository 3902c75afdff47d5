"""Peak resident memory of whole runs while the images they stream grow tenfold.

    python tests/benchmarks/memory.py                      # 0.4 and 4 GB of decoded images
    python tests/benchmarks/memory.py --gb 0.04 0.4        # quicker

Sizes are those of the decoded images, 160x160x3 bytes each, which is what `data.memory_gb` counts; the
files take about a tenth. Each run is one `spiral compress` in a process of its own: a teacher of one
epoch and one round of one epoch of a tiny model. Printed are seconds and the peaks the kernel gives
(ru_maxrss), streamed from a folder and from TFRecord shards, and held in memory where the images are
few; beside them that of importing TensorFlow and spiral alone. The exit code is 1 where a streamed
peak grows by more than the bar.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIDE = 160
BYTES = SIDE * SIDE * 3
BAR = 0.1  # of the peak with the least images
SHARD = 1000  # images
MODEL = """
import keras

def build(shape, outputs):
    layers = keras.layers
    return keras.Sequential([
        layers.Input(shape), layers.AveragePooling2D(16), layers.GlobalAveragePooling2D(),
        layers.Dense(16, activation="relu"), layers.Dense(outputs),
    ])
"""
IMPORTS = "import tensorflow, keras, spiral_cli.compress"


def generate(folder: Path, counts: list[int]) -> None:
    """Write for each count a folder of that many images a set, and the same as shards; files are shared by links.

    An image is a blurred pattern, brightest in the colour that is its class.
    """
    import io

    import numpy as np
    import tensorflow as tf
    from PIL import Image

    rng = np.random.default_rng(0)
    shards: dict[int, tf.io.TFRecordWriter] = {}
    for number in range(max(counts)):
        label = number % 3
        small = rng.integers(0, 160, (10, 10, 3)).astype(np.uint8)
        small[..., label] += 95
        file = io.BytesIO()
        Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "jpeg")
        features = {
            "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[file.getvalue()])),
            "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        }
        record = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
        first = None
        for count in (count for count in counts if number < count):
            place = folder / f"folder-{count}" / "abc"[label] / f"{number}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            if first is None:
                first = place
                place.write_bytes(file.getvalue())
            else:
                place.hardlink_to(first)
            if number % SHARD == 0:
                name = folder / f"shards-{count}" / f"train-{number // SHARD:05}-of-{-(-count // SHARD):05}"
                name.parent.mkdir(exist_ok=True)
                shards[count] = tf.io.TFRecordWriter(str(name))
            shards[count].write(record)
            if number % SHARD == SHARD - 1 or number == count - 1:
                shards[count].close()


def recipe(folder: Path, kind: str, count: int, memory_gb: float) -> Path:
    """Write the recipe of one run."""
    path = folder / f"{kind}-{count}-{memory_gb}.json"
    data = {
        "format": {"folder": "image_folder", "shards": "tfrecord"}[kind],
        "path": f"{kind}-{count}",
        "memory_gb": memory_gb,
    }
    content = {
        "data": data,
        "teacher": {"builder": "memory_model:build", "epochs": 1, "batch_size": 32, "learning_rate": 0.03},
        "prune": {"schedule": {"kind": "one_shot", "final_sparsity": 0.3}},
        "train": {"epochs": 1, "batch_size": 32},
        "guard": {"max_drop": 1.0},
    }
    path.write_text(json.dumps(content))  # which is YAML, too
    return path


def measured(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Run a command; return its peak resident memory in MB, its seconds and what it printed."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, cwd=folder, stdout=told, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        text = told.read().decode(errors="replace")
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{text}")
    return usage.ru_maxrss / 1e3 * 1.024, time.perf_counter() - started, text


def main() -> int:
    """Generate, run, print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", nargs=2, type=float, default=[0.4, 4.0], help="decoded images, 10^9 bytes")
    parser.add_argument("--folder", type=Path, help="where the sets are generated, and removed from")
    parser.add_argument("--generate", nargs="+", help=argparse.SUPPRESS)  # PATH COUNT COUNT, in a process of its own
    options = parser.parse_args()
    if options.generate:
        generate(Path(options.generate[0]), [int(count) for count in options.generate[1:]])
        return 0
    few, many = (round(gb * 1e9 / BYTES) for gb in options.gb)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        (folder / "memory_model.py").write_text(MODEL)
        measured([sys.executable, __file__, "--generate", name, str(few), str(many)], folder)
        peak, seconds, _ = measured([sys.executable, "-c", IMPORTS], folder)
        print(f"imports alone: {peak:.0f} MB, {seconds:.0f} s", flush=True)
        grown = []
        for kind in ("folder", "shards"):
            peaks = {}
            for count, memory_gb, how in ((few, 100, "held"), (few, 0.01, "streamed"), (many, 0.01, "streamed")):
                path = recipe(folder, kind, count, memory_gb)
                command = [sys.executable, "-m", "spiral_cli", "compress", str(path), "--run", f"{path.stem}-run"]
                peak, seconds, told = measured(command, folder)
                if ("stay on disk" in told) != (how == "streamed"):
                    sys.exit(f"{path} was not {how}:\n{told}")
                size = f"{count} images, {count * BYTES / 1e9:.2f} GB decoded"
                print(f"{kind}, {size}, {how}: {peak:.0f} MB, {seconds:.0f} s", flush=True)
                peaks[count] = peak  # the streamed one comes last
            grown.append(peaks[many] / peaks[few] - 1)
            print(f"{kind}: {grown[-1]:+.1%} with {many / few:.0f} times the images (bar {BAR:.0%})", flush=True)
    return int(max(grown) > BAR)


if __name__ == "__main__":
    sys.exit(main())
