"""Files measured in their own runtimes, by real processes that take turns."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.benchmark.asked import Asked
from spiral_cli.benchmark.contender import Contender, ContenderError, Entry, Settings
from spiral_cli.benchmark.entries import entries_of_files, entries_of_run, refuse_targets
from spiral_cli.benchmark.run import benchmark
from spiral_cli.benchmark.turns import Taken, figures, speedup, speedups, take_turns
from spiral_cli.console.benchmark import benchmark_text
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.run import RunFolder

layers = keras.layers


def tiny() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.Input((6, 6, 1)), layers.Conv2D(3, 3, use_bias=False), layers.Flatten()])
    kernel = model.layers[0].kernel
    kernel.assign(np.where(np.arange(27).reshape(3, 3, 1, 3) % 3 == 0, kernel.numpy(), 0.0))
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    model = tiny()
    model.save(folder / "tiny.keras")
    (folder / "tiny.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    (folder / "broken.tflite").write_bytes(b"not a flatbuffer")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def turns() -> list[str]:
    return []


@pytest.fixture(scope="module")
def measured(files, turns) -> dict:
    """Measure once for several tests; note who was asked to compute."""
    ask = Contender.ask

    def noted(self, what, *arguments):
        if what == "burst":
            turns.append(self.entry.name)
        return ask(self, what, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Contender, "ask", noted)
        return benchmark(list(files.values()), Asked(batch=4, rounds=4))


def named(result: dict, name: str) -> dict:
    return next(row for row in result["contenders"] if row["name"] == name)


def test_each_file_is_run_by_its_own_runtime(measured):
    assert named(measured, "tiny.keras")["runtime"].startswith("keras ")
    assert named(measured, "tiny.tflite")["runtime"].startswith("ai-edge-litert ")
    assert named(measured, "tiny.tflite")["threads"] == 1
    for name in ("tiny.keras", "tiny.tflite"):
        row = named(measured, name)
        assert (row["status"], row["input_shapes"]) == ("ok", [[6, 6, 1]])
        for batch in (1, 4):
            found = row["latency"][str(batch)]
            assert 0 < found["p50_ms"] <= found["p95_ms"]
            assert found["throughput"] == pytest.approx(1000 * batch / found["p50_ms"])
            assert found["calls"] >= 4 and found["speedup"] > 0
        assert 10**6 < row["memory_bytes"] < 3 * 10**9
    # Keras needs TensorFlow in memory, LiteRT a few megabytes: each process has a peak of its own.
    assert named(measured, "tiny.tflite")["memory_bytes"] < named(measured, "tiny.keras")["memory_bytes"] / 3


def test_sizes_are_those_of_the_files_and_weights_those_in_them(measured, files):
    for name in ("tiny.keras", "tiny.tflite"):
        content, row = files[name].read_bytes(), named(measured, name)
        assert (row["bytes"], row["gzip_bytes"]) == (len(content), len(gzip.compress(content, 9, mtime=0)))
        assert (row["parameters"], row["nonzero"]) == (27 + (3 if name == "tiny.tflite" else 0), 9)  # a bias of zeros
    assert named(measured, "tiny.keras")["flops"] == 2 * 27 * 16
    assert named(measured, "tiny.tflite")["flops"] is None  # nothing says what it was made from


def test_no_contender_is_measured_twice_in_a_row(measured, turns):
    assert len(turns) == 2 * 2 * 4
    assert all(before != after for before, after in pairwise(turns))


def test_a_file_that_cannot_be_opened_is_told_of_and_the_others_are_measured(measured):
    broken = named(measured, "broken.tflite")
    assert broken["status"] == "failed" and broken["latency"] == {}
    assert "broken.tflite cannot be opened by litert" in broken["reason"]
    text = benchmark_text(measured, 80)
    assert "broken.tflite: not measured" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_process_that_ends_is_a_failure_of_its_file_alone(files):
    entries = [Entry(name, files["tiny.tflite"]) for name in ("one", "other")]
    with Contender(entries[0], Settings()) as one, Contender(entries[1], Settings()) as other:
        other._process.kill()
        other._process.wait()
        taken = take_turns([one, other], 1, 3)
        with pytest.raises(ContenderError, match="its process ended"):
            other.ask("memory")
    assert list(taken.times) == ["one"] and "its process ended" in taken.failed["other"]
    assert speedups(taken, {"one": "other"}) == {"one": None}


def test_a_length_that_is_open_is_filled(tmp_path):
    model = keras.Sequential([layers.Input((None, 4)), layers.Dense(3, use_bias=False)])
    model.save(tmp_path / "open.keras")
    [row] = benchmark([tmp_path / "open.keras"], Asked(batch=1, rounds=3, open_length=9))["contenders"]
    assert row["input_shapes"] == [[9, 4]] and row["flops"] == 2 * 12 * 9
    assert list(row["latency"]) == ["1"] and row["latency"]["1"]["speedup"] == 1.0


times = st.lists(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=5), min_size=1, max_size=5)


@given(times, st.integers(1, 64), st.floats(0.1, 10.0))
def test_ratios_are_those_of_each_round(seconds, batch, factor):
    found = figures(seconds, batch)
    assert found["p50_ms"] <= found["p95_ms"] * (1 + 1e-9)
    assert found["calls"] == sum(map(len, seconds))
    slower = [[factor * one for one in round_] for round_ in seconds]
    assert speedup(slower, seconds) == pytest.approx(1 / factor)
    assert speedup(seconds, seconds) == 1.0


def test_a_machine_that_slows_down_does_not_change_a_ratio():
    fast, slow = [[1.0], [1.0], [50.0]], [[2.0], [2.0], [100.0]]
    assert speedup(fast, slow) == 2.0
    taken = Taken({"first": slow, "second": fast})
    assert speedups(taken, {"first": "first", "second": "first"}) == {"first": 1.0, "second": 2.0}


def test_files_are_told_apart_and_named_once(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.keras").write_bytes(b"")
    paths = [tmp_path / "a" / "m.keras", tmp_path / "b" / "m.keras"]
    assert [entry.name for entry in entries_of_files(paths)] == [str(path) for path in paths]
    assert [entry.name for entry in entries_of_files(paths[:1])] == ["m.keras"]
    with pytest.raises(UsageError, match="twice"):
        refuse_targets([paths[0], tmp_path / "a" / ".." / "a" / "m.keras"])
    with pytest.raises(MissingError, match="there is no"):
        refuse_targets([tmp_path / "nowhere.keras"])
    (tmp_path / "b" / "recipe.yaml").write_text("")
    with pytest.raises(UsageError, match="by itself"):
        refuse_targets([paths[0], tmp_path / "b"])


def test_of_a_run_every_export_stands_beside_the_teacher_in_the_same_runtime(tmp_path):
    run = RunFolder(tmp_path)
    for path in (run.teacher, run.student, run.exports / "litert.tflite", run.exports / "litert_int8.tflite"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    made = []

    def counterpart(kind: str) -> Path:
        made.append(kind)
        return tmp_path / f"teacher.{kind}"

    entries = {entry.name: entry for entry in entries_of_run(run, counterpart)}
    assert made == ["litert"]
    assert list(entries) == ["teacher", "student", "teacher as litert", "litert", "litert_int8"]
    assert {entries[kind].beside for kind in ("litert", "litert_int8")} == {"teacher as litert"}
    assert entries["student"].beside == "teacher"
    assert entries["litert_int8"].source == run.student
    alone = {entry.name: entry.beside for entry in entries_of_run(run, lambda kind: None)}
    assert alone["litert"] is None  # then it stands beside the first
    run.student.unlink()
    with pytest.raises(MissingError, match=r"has no student\.keras"):
        list(entries_of_run(run, counterpart))


def test_the_verb_says_what_failed_and_ends_with_1(files, capsys):
    from spiral_cli.cli.measuring import benchmark as verb
    from spiral_cli.cli.output import Output

    assert verb([files["broken.tflite"]], Asked(rounds=3), Output(json=True)) == 1
    said = capsys.readouterr()
    assert named(json.loads(said.out), "broken.tflite")["status"] == "failed"
    assert "error: broken.tflite could not be measured" in said.err
