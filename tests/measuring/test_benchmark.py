"""Files measured in their own runtimes, by real processes that take turns."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from small_runs import run, write_data, write_recipe

from spiral_cli.benchmark.asked import Asked
from spiral_cli.benchmark.contender import Contender, ContenderError, Entry, Settings
from spiral_cli.benchmark.entries import entries_of_files, entries_of_run, refuse_targets
from spiral_cli.benchmark.run import benchmark
from spiral_cli.benchmark.turns import Taken, figures, speedup, speedups, take_turns
from spiral_cli.console.benchmark import benchmark_text
from spiral_cli.errors import InterruptedRun, MissingError, UsageError
from spiral_cli.packed.model_file import write_packed
from spiral_cli.run import RunFolder
from spiral_cli.runtimes.session import Input, open_model
from spiral_cli.training.control import Control

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
        return benchmark(list(files.values()), Asked(batch=4, rounds=4), Control())


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


def test_what_plugins_import_counts_where_it_is_needed_alone(files, measured, tmp_path):
    (tmp_path / "with_keras.py").write_text("import keras, tensorflow\n")
    settings = Settings(modules=("with_keras",), folder=tmp_path)
    for name in ("tiny.keras", "tiny.tflite"):
        with Contender(Entry(name, files[name]), settings) as contender:
            contender.ask("warm_up", 4)
            found = contender.ask("memory")["memory_bytes"]
        assert found == pytest.approx(named(measured, name)["memory_bytes"], rel=0.3)


def test_a_packed_file_has_the_operations_of_its_model(files, tmp_path):
    write_packed(tmp_path / "tiny.spiral", keras.models.load_model(files["tiny.keras"]))
    [row] = benchmark([tmp_path / "tiny.spiral"], Asked(batch=1, rounds=1), Control())["contenders"]
    assert row["status"] == "ok" and row["flops"] == 2 * 27 * 16


def test_classes_of_the_files_own_are_found_in_the_modules_that_are_named(tmp_path, monkeypatch):
    (tmp_path / "halved_sums.py").write_text(
        "import keras\n\n\n@keras.saving.register_keras_serializable('halved')\nclass Halved(keras.layers.Dense):\n"
        "    def call(self, inputs):\n        return super().call(inputs) / 2\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import halved_sums

    keras.Sequential([layers.Input((4,)), halved_sums.Halved(3)]).save("own.keras")
    asked = Asked(batch=1, rounds=3)
    [refused] = benchmark([Path("own.keras")], asked, Control())["contenders"]
    assert "'Halved', which is not known" in refused["reason"] and "--plugin" in refused["reason"]
    [row] = benchmark([Path("own.keras")], replace(asked, plugins=("halved_sums",)), Control())["contenders"]
    assert row["status"] == "ok" and row["parameters"] == 15


def test_a_process_that_ends_is_a_failure_of_its_file_alone(files):
    entries = [Entry(name, files["tiny.tflite"]) for name in ("one", "other")]
    with Contender(entries[0], Settings()) as one, Contender(entries[1], Settings()) as other:
        other._process.kill()
        other._process.wait()
        taken = take_turns([one, other], 1, 3, Control())
        with pytest.raises(ContenderError, match="its process ended"):
            other.ask("memory")
    assert list(taken.times) == ["one"] and "its process ended" in taken.failed["other"]
    assert speedups(taken, {"one": "other"}) == {"one": None}


def test_a_stop_that_was_asked_for_is_taken_between_turns(files):
    asked = iter([False] * 3)  # before the file is opened, at its warm-up and its first turn
    with pytest.raises(InterruptedRun):
        benchmark([files["tiny.tflite"]], Asked(batch=1, rounds=1000), Control(lambda: next(asked, True)))


@keras.saving.register_keras_serializable("benchmarked")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(3)

    def call(self, x):
        return self.inner(x)


@pytest.mark.parametrize("name", ["it.keras", "it.spiral"])
def test_a_subclassed_model_is_fed_what_it_was_built_for(name, tmp_path):
    model = Subclassed()
    model(np.ones((2, 5, 4), np.float32))
    model.save(tmp_path / "it.keras")
    write_packed(tmp_path / "it.spiral", model)
    session = open_model(tmp_path / name, 1)
    assert session.inputs == (Input((5, 4), "float32"),)
    assert session.flops is not None and session.flops([(5, 4)]) == 2 * 12 * 5 + 15
    [found] = session.run([np.ones((2, 5, 4), np.float32)])
    np.testing.assert_array_equal(found, model(np.ones((2, 5, 4), np.float32)))


def test_a_length_that_is_open_is_filled(tmp_path):
    model = keras.Sequential([layers.Input((None, 4)), layers.Dense(3, use_bias=False)])
    model.save(tmp_path / "open.keras")
    [row] = benchmark([tmp_path / "open.keras"], Asked(batch=1, rounds=3, open_length=9), Control())["contenders"]
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
    folder = RunFolder(tmp_path)
    exports = (folder.exports / "litert.tflite", folder.exports / "litert_int8.tflite")
    for path in (folder.teacher, folder.student, *exports):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    made = []

    def counterpart(kind: str) -> Path:
        made.append(kind)
        return tmp_path / f"teacher.{kind}"

    entries = {entry.name: entry for entry in entries_of_run(folder, counterpart)}
    assert made == ["litert"]
    assert list(entries) == ["teacher", "student", "teacher as litert", "litert", "litert_int8"]
    assert {entries[kind].beside for kind in ("litert", "litert_int8")} == {"teacher as litert"}
    assert entries["student"].beside == "teacher"
    assert entries["litert_int8"].source == folder.student
    alone = {entry.name: entry.beside for entry in entries_of_run(folder, lambda kind: None)}
    assert alone["litert"] is None  # then it stands beside the first
    folder.student.unlink()
    with pytest.raises(MissingError, match=r"has no student\.keras"):
        list(entries_of_run(folder, counterpart))


def test_the_verb_says_what_failed_and_ends_with_1(files, capsys):
    from spiral_cli.cli.measuring import benchmark as verb
    from spiral_cli.cli.output import Output

    assert verb([files["broken.tflite"]], Asked(rounds=3), Output(json=True)) == 1
    said = capsys.readouterr()
    assert named(json.loads(said.out), "broken.tflite")["status"] == "failed"
    assert "error: broken.tflite could not be measured" in said.err


@pytest.mark.slow
def test_a_run_is_measured_with_its_exports_beside_the_teacher_s(tmp_path):
    write_data(tmp_path)
    recipe = write_recipe(tmp_path, export=["keras", "litert", "litert_int8", "onnx", "packed"], train={"epochs": 2})
    _, folder = run(recipe)
    rows = {row["name"]: row for row in benchmark([folder.root], Asked(batch=4, rounds=3), Control())["contenders"]}
    assert list(rows) == [
        *("teacher", "student", "teacher as litert", "litert", "litert_int8", "teacher as onnx", "onnx", "packed")
    ]
    assert {row["status"] for row in rows.values()} == {"ok"}
    for kind in ("litert", "litert_int8", "onnx"):
        assert rows[kind]["beside"] == f"teacher as {kind.partition('_')[0]}"
        assert rows[kind]["flops"] == rows["student"]["flops"]
    assert rows["packed"]["beside"] == "teacher" and rows["packed"]["flops"] == rows["student"]["flops"]
    assert rows["teacher as litert"]["parameters"] == rows["litert"]["parameters"] > rows["litert"]["nonzero"]
    assert not list(folder.root.glob("**/teacher*.tflite"))  # made for the measurement alone


WRONG = {
    "nothing there": (["benchmark", "nowhere.keras"], 4, "there is no nowhere.keras"),
    "a file twice": (["benchmark", "spiral.yaml", "./spiral.yaml"], 2, "named twice"),
    "a wrong recipe": (["plan", "bad.yaml"], 2, "bad.yaml:1:"),
    "a wrong granularity": (["sensitivity", "--set", "prune.granularity=chanel"], 2, "prune.granularity"),
    "something to write over": (["sensitivity", "--write", "spiral.yaml"], 2, "is not overwritten"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_measured_is_refused_before_tensorflow_is_there(name, tmp_path):
    arguments, code, words = WRONG[name]
    (tmp_path / "spiral.yaml").write_text("data: {format: digits}\nteacher: {model: mlp, epochs: 2}\n")
    (tmp_path / "bad.yaml").write_text("data: {format: digitz}\nteacher: {model: mlp}\n")
    script = (
        "import sys; from spiral_cli.cli import main; sys.argv = ['spiral', *sys.argv[1:]]; code = main(); "
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules]); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == code and words in done.stderr, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.yaml", "spiral.yaml"]
