"""What holds of a run holds for every task: n:m, targets on disk, hidden states, a kill, two workers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tones
import toys
import yaml
from drawn import scattered, write_voc

from spiral_cli.training.checkpoint import read_state

pytestmark = pytest.mark.slow
MODELS = """

def reader(input_shape, outputs, vocabulary):
    tokens = keras.Input((None,), dtype="int32")
    real = keras.ops.not_equal(tokens, 0)
    x = layers.Embedding(vocabulary, 32)(tokens)
    x = layers.Dense(32, activation="relu", name="words")(x)
    return keras.Model(tokens, layers.Dense(outputs)(layers.GlobalAveragePooling1D()(x, mask=real)))


def listener(input_shape, outputs):
    inputs = x = keras.Input(input_shape)
    for number, channels in enumerate((8, 16)):
        x = layers.Conv2D(channels, 3, 2, padding="same", activation="relu", name=f"conv{number}")(x)
    return keras.Model(inputs, layers.Dense(outputs)(layers.GlobalAveragePooling2D()(x)))


def detector(input_shape, outputs):
    inputs = x = keras.Input(input_shape)
    for number, channels in enumerate((8, 16, 24)):
        x = layers.Conv2D(channels, 3, 2, padding="same", activation="relu", name=f"conv{number}")(x)
    rare = keras.initializers.Constant(-4.0)
    classes, boxes = layers.Conv2D(outputs - 4, 1, bias_initializer=rare)(x), layers.Conv2D(4, 1)(x)
    return keras.Model(inputs, layers.Reshape((-1, outputs))(layers.Concatenate()([classes, boxes])))
"""
AUDIO = {"sample_rate": 8000, "mels": 12, "window": 0.032, "hop": 0.016, "speeds": [0.9]}
TASKS = {
    "text_classification": {
        "data": {"format": "text_table", "path": ".", "tokens": {"kind": "word"}},
        "teacher": {"builder": "toymodels:reader", "epochs": 6, "batch_size": 32, "learning_rate": 0.01},
        "distill": {"features": [{"teacher": "words", "student": "words"}]},
    },
    "audio_classification": {
        "data": {
            "format": "audio_folder", "path": "tones", "validation": 0.2,
            "audio": {"sample_rate": 8000, "seconds": 0.5, "mels": 16, "window": 0.032, "hop": 0.032},
        },
        "teacher": {"builder": "toymodels:listener", "epochs": 12, "batch_size": 16, "learning_rate": 0.01},
        "distill": {"features": [{"teacher": "conv1", "student": "conv1"}]},
    },
    "translation": {
        "data": {
            "format": "parallel_text", "path": ".", "columns": {"source": "a", "target": "b"},
            "tokens": {"kind": "word"},
        },
        "teacher": {"builder": "toymodels:translator", "epochs": 4, "batch_size": 32, "learning_rate": 0.005},
        "distill": {
            "sequence": True, "top_k": 4,
            "features": [{"teacher": "decoded", "student": "decoded"}, {"teacher": "memory", "student": "memory"}],
        },
        "guard": {"max_drop": 100},
    },
    "speech_recognition": {
        "data": {
            "format": "speech_manifest", "path": ".", "validation": 0.2, "tokens": {"kind": "char"}, "audio": AUDIO,
        },
        "teacher": {"builder": "toymodels:recogniser", "epochs": 4, "batch_size": 16, "learning_rate": 0.01},
        "distill": {"features": [{"teacher": "heard", "student": "heard"}]},
        "guard": {"max_drop": 2},
    },
    "detection": {
        "data": {"format": "voc", "path": "set", "augment": ["flip"], "views": 2},
        "teacher": {"builder": "toymodels:detector", "epochs": 12, "batch_size": 10, "learning_rate": 0.01},
        "distill": {"features": [{"teacher": "conv2", "student": "conv2"}]},
        "guard": {"max_drop": 1},
    },
}  # fmt: skip


def sounds(folder: Path) -> None:
    """Write class folders of tones."""
    tones.write_folder(folder / "tones" / "train", 24)
    tones.write_folder(folder / "tones" / "test", 8, seed=5000)


def shapes(folder: Path) -> None:
    """Write pictures of shapes with their boxes."""
    rng, size = np.random.default_rng(0), (64, 64)
    parts = {
        part: [scattered(rng, size) for _ in range(many)] for part, many in (("train", 60), ("val", 12), ("test", 16))
    }
    write_voc(folder / "set", parts, size)


WRITERS = {
    "text_classification": toys.texts,
    "audio_classification": sounds,
    "translation": toys.pairs,
    "speech_recognition": toys.utterances,
    "detection": shapes,
}


@pytest.fixture(scope="module", params=TASKS)
def place(request, tmp_path_factory) -> Path:
    """Return a folder with a recipe of half the weights in each group of four, which was run to its end."""
    for library in ("sentencepiece", "sacrebleu", "jiwer", "soundfile", "faster_coco_eval"):  # of all extras
        pytest.importorskip(library)
    folder, asked = tmp_path_factory.mktemp(request.param), TASKS[request.param]
    (folder / "toymodels.py").write_text(toys.MODELS + MODELS)
    WRITERS[request.param](folder)
    recipe = {
        "name": "every",
        "task": request.param,
        "prune": {"granularity": {"n": 2, "m": 4}, "schedule": {"kind": "one_shot", "final_sparsity": 0.5}},
        "train": {"epochs": 12, "batch_size": 16},
        "guard": {"max_drop": 1},
        "export": ["keras"],
        **asked,
        "distill": {"memory_gb": 1e-7, **asked["distill"]},
    }
    (folder / "spiral.yaml").write_text(yaml.safe_dump(recipe))
    ended(spiral(folder, "--run", "one"))
    return folder


def spiral(folder: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "spiral_cli", "compress", "spiral.yaml", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(process: subprocess.Popen) -> str:
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    return said


def student(run: Path) -> dict[str, np.ndarray]:
    return read_state(run / "rounds/01/state.spiral")[0]


def report(run: Path) -> dict:
    return json.loads((run / "report.json").read_text())


def first_loss(run: Path) -> float:
    """Return the loss of the teacher's first epoch."""
    records = [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]
    return next(record["curve"][0]["losses"]["loss"] for record in records if record["event"] == "teacher")


def test_half_of_every_group_of_four_is_gone(place):
    found = report(place / "one")
    assert found["status"] == "ok"
    assert 0.35 < found["selected"]["sparsity"] <= 0.5  # layers whose inputs are no multiple of four stay
    assert list((place / "one/targets").rglob("*.npy")) or list((place / "one/targets").iterdir())
    assert found["rounds"][-1]["losses"]["feature_loss"] > 0


def test_a_killed_run_ends_with_the_same_bytes(place):
    process = spiral(place, "--run", "killed")
    checkpoint = place / "killed/rounds/01/attempt-1.spiral"
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and not (place / "killed/report.json").exists()
    ended(spiral(place, "--run", "killed"))
    ours, theirs = student(place / "killed"), student(place / "one")
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


def test_two_workers_come_to_the_loss_of_one(place):
    said = ended(spiral(place, "--run", "two", "--workers", "2"))
    assert "every batch is shared by 2 replicas in 2 processes" in said
    one, two = (report(place / run)["rounds"] for run in ("one", "two"))
    assert [row["accepted"] for row in one] == [row["accepted"] for row in two]
    # Sums of two shares round otherwise than one sum, which training carries ever further apart.
    assert first_loss(place / "two") == pytest.approx(first_loss(place / "one"), rel=1e-3)


def test_channels_leave_and_the_smaller_model_learns_on(place):
    import keras

    narrow = ("--set", "prune.granularity=channel", "--set", "prune.schedule.final_sparsity=0.3")
    ended(spiral(place, "--run", "narrow", "--teacher-from", "one", *narrow))
    whole, smaller = (keras.saving.load_model(place / run / "student.keras") for run in ("one", "narrow"))
    assert smaller.count_params() < 0.85 * whole.count_params()
    assert report(place / "narrow")["selected"]["sparsity"] > 0.2
