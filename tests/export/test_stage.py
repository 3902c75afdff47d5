"""The exports of a whole run: shipped and measured, or left out with the reason; damaged ones are made again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from small_runs import run, write_data, write_recipe

from spiral_cli.cli import work
from spiral_cli.cli.output import Output
from spiral_cli.errors import InterruptedRun, MissingError
from spiral_cli.evaluate import bytes_on_disk
from spiral_cli.events import Notice, silent
from spiral_cli.export.stage import identity
from spiral_cli.export_run import export_run
from spiral_cli.models.load import load_model
from spiral_cli.prepare import finished_report, refuse_unfinished
from spiral_cli.recipe import load_recipe
from spiral_cli.registry import exporters
from spiral_cli.run import Ledger, RunFolder
from spiral_cli.training.control import Control
from spiral_cli.training.saving import deflate

KINDS = ["keras", "litert", "onnx"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Return a folder with a recipe and its finished run; copied before it is changed."""
    folder = tmp_path_factory.mktemp("finished")
    write_data(folder)
    run(write_recipe(folder, export={"to": KINDS}))
    return folder


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


@dataclass
class Later:
    """Exports a copied run's student to more kinds."""

    folder: Path

    def __call__(self, *kinds: str, listen=silent, **settings) -> dict[str, dict]:
        """Return the entries by kind, as the report has them."""
        here = RunFolder(self.folder / "run")
        overrides = [f"export.{key}={value}" for key, value in settings.items()]
        recipe = load_recipe(here.recipe, overrides)
        entries = export_run(recipe, here, kinds, listen=listen, control=Control())
        reported = {one["kind"]: one for one in json.loads(here.report.read_text())["artifacts"]}
        assert [reported[kind] for kind in kinds] == entries
        return reported


@pytest.fixture
def later(folder) -> Later:
    return Later(folder)


@pytest.fixture
def writes(monkeypatch) -> Iterator[Callable]:
    """Return a function that puts another exporter in the place of ``litert``."""
    return lambda exporter: monkeypatch.setitem(exporters._objects, "litert", exporter)


def test_each_file_is_shipped_with_what_was_measured_of_it(finished):
    root, report = finished / "run", json.loads((finished / "run" / "report.json").read_text())
    assert [one["kind"] for one in report["artifacts"]] == KINDS
    for one in report["artifacts"]:
        assert (one["status"], one["reason"]) == ("ok", None)
        assert (one["bytes"], one["gzip_bytes"]) == bytes_on_disk(root / one["path"])
        assert (one["agreement"], one["drop"], one["zeros_kept"]) == (1.0, 0.0, True)
        assert one["max_abs_diff"] < 1e-5
        assert one["metrics"]["test"]["accuracy"] == report["selected"]["metrics"]["test"]["accuracy"]
        assert one["latency_ms"] > 0 and one["teacher_latency_ms"] > 0
        assert one["teacher_bytes"] > 0
    runtimes = [one["runtime"].split()[0] for one in report["artifacts"]]
    assert runtimes == ["keras", "ai-edge-litert", "onnxruntime"]
    assert [one["threads"] for one in report["artifacts"][1:]] == [1, 1]
    assert sorted(path.name for path in (root / "exports").iterdir()) == ["litert.tflite", "onnx.onnx"]
    assert keras.models.load_model(root / "student.keras").count_params() == report["selected"]["parameters"]


def test_a_damaged_export_is_noticed_and_made_again_and_no_other(folder):
    here, recipe = RunFolder(folder / "run"), folder / "spiral.yaml"
    before = json.loads(here.report.read_text())["artifacts"]
    litert, onnx = here.exports / "litert.tflite", here.exports / "onnx.onnx"
    content, written = litert.read_bytes(), onnx.stat().st_mtime_ns
    litert.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert finished_report(load_recipe(recipe), here) is None
    with pytest.raises(MissingError, match=r"litert\.tflite is damaged or missing"):
        refuse_unfinished(here)
    report, _ = run(recipe)
    assert litert.read_bytes() == content
    assert onnx.stat().st_mtime_ns == written
    assert report["artifacts"][2] == before[2]
    assert finished_report(load_recipe(recipe), here) == report
    refuse_unfinished(here)


def test_a_run_that_died_in_its_exports_goes_on_there(folder, writes):
    """A signal leaves no chance to clean up, as this exception that nothing catches."""
    here, recipe = RunFolder(folder / "run"), folder / "spiral.yaml"
    (here.exports / "litert.tflite").unlink()
    written = (here.exports / "onnx.onnx").stat().st_mtime_ns

    def die(chosen, path):
        path.write_bytes(b"half")
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(exporters._objects, "litert", die)
        with pytest.raises(SystemExit):
            run(recipe)
    rounds = [one for one in Ledger(here).read() if one["event"] in ("teacher", "dense", "round")]
    report, _ = run(recipe)
    assert [one["status"] for one in report["artifacts"]] == ["ok"] * 3
    assert (here.exports / "onnx.onnx").stat().st_mtime_ns == written
    assert [one for one in Ledger(here).read() if one["event"] in ("teacher", "dense", "round")] == rounds


def test_a_model_is_the_same_whenever_it_is_loaded(tmp_path):
    dropping = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dropout(0.5)])
    dropping.save(tmp_path / "it.keras")
    first, second = (load_model(tmp_path / "it.keras") for _ in range(2))
    assert first.variables[-1].numpy().tolist() != second.variables[-1].numpy().tolist()  # the seeds are others
    assert identity(first) == identity(second)


def test_exports_the_recipe_no_longer_names_are_removed(folder):
    recipe = write_recipe(folder, export={"to": ["onnx"]})
    (folder / "run/exports/mine.keras").write_text("a person's own, as spiral unpack may leave it there")
    report, here = run(recipe)
    assert [one["kind"] for one in report["artifacts"]] == ["onnx"]
    assert sorted(path.name for path in here.exports.iterdir()) == ["mine.keras", "onnx.onnx"]
    assert here.student.is_file()


def test_more_kinds_later_join_the_report_and_the_files_that_are_watched(later):
    entries = later("litert_int8", "saved_model")
    assert list(entries) == [*KINDS, "litert_int8", "saved_model"]
    assert entries["litert_int8"]["status"] == entries["saved_model"]["status"] == "ok"
    assert entries["litert_int8"]["bytes"] < entries["litert"]["bytes"]
    assert entries["litert_int8"]["teacher_bytes"] == entries["litert"]["teacher_bytes"]
    here = RunFolder(later.folder / "run")
    assert finished_report(load_recipe(later.folder / "spiral.yaml"), here)["artifacts"] == list(entries.values())
    (here.exports / "saved_model" / "saved_model.pb").write_bytes(b"")
    assert finished_report(load_recipe(later.folder / "spiral.yaml"), here) is None


def test_a_later_export_of_other_settings_replaces_the_entry_of_its_kind(later):
    first = later("litert_int8")["litert_int8"]
    assert later("litert_int8")["litert_int8"] == first
    second = later("litert_int8", full_integer="true")
    assert list(second) == [*KINDS, "litert_int8"]
    assert second["litert_int8"]["bytes"] != first["bytes"]


def test_asked_to_stop_it_ends_between_files_and_goes_on_from_there(later):
    here = RunFolder(later.folder / "run")
    control = Control(lambda: "litert_float16" in [one.get("kind") for one in Ledger(here).read()])
    with pytest.raises(InterruptedRun):
        export_run(load_recipe(here.recipe), here, ["litert_float16", "saved_model"], listen=silent, control=control)
    assert sorted(path.name for path in here.exports.iterdir()) == [
        "litert.tflite",
        "litert_float16.tflite",
        "onnx.onnx",
    ]
    assert later("litert_float16")["litert_float16"]["status"] == "ok"


def damaged(change: Callable[[keras.Model], None]) -> Callable:
    """Return an exporter of a ``.keras`` file that is not the student."""

    def exporter(chosen, path):
        model = keras.models.clone_model(chosen.model)
        model.set_weights(chosen.model.get_weights())
        change(model)
        model.save(path.with_suffix(".keras"))
        deflate(path.with_suffix(".keras"))
        shutil.move(path.with_suffix(".keras"), path)

    return exporter


def assert_not_shipped(entry: dict, folder: Path, reason: str) -> None:
    """Check a failed entry, and that nothing of its kind lies in the run."""
    assert (entry["status"], entry["path"], entry["bytes"]) == ("failed", None, None)
    assert reason in entry["reason"]
    assert [path.name for path in (folder / "run" / "exports").iterdir()] == ["onnx.onnx"]


def test_a_file_that_its_runtime_cannot_open_is_not_shipped(later, writes):
    told: list[str] = []
    writes(lambda chosen, path: path.write_bytes(b"no flatbuffer"))
    entry = later("litert", max_drop=0.5, listen=lambda event: isinstance(event, Notice) and told.append(event.text))
    assert_not_shipped(entry["litert"], later.folder, "cannot be opened by litert")
    assert told[-1].startswith("export to litert failed and is not shipped: ")


def test_a_failing_converter_is_a_reason(later, writes):
    def fail(chosen, path):
        raise RuntimeError("no kernel for this\nand pages more")

    writes(fail)
    entry = later("litert", max_drop=0.5)["litert"]
    assert entry["reason"] == "no kernel for this"
    assert_not_shipped(entry, later.folder, "")


@pytest.fixture
def litert_is_keras(monkeypatch) -> None:
    """Let files of ``litert`` be Keras files, which are easily made wrong."""
    from spiral_cli.export import proof
    from spiral_cli.runtimes.keras_runtime import open_keras

    def opened(path, threads):
        copy = path.parent.with_name(f"opened-{path.name}.keras")
        shutil.copyfile(path, copy)
        return open_keras(copy, threads)

    monkeypatch.setattr(proof, "open_model", opened)


@pytest.mark.usefixtures("litert_is_keras")
def test_nan_is_not_shipped(later, writes):
    writes(damaged(lambda model: model.set_weights([weight * np.nan for weight in model.get_weights()])))
    entry = later("litert", max_drop=0.5)["litert"]
    assert_not_shipped(entry, later.folder, "it gives NaN or infinity for 200 of 200 test examples")
    assert entry["metrics"] is None


@pytest.mark.usefixtures("litert_is_keras")
def test_what_loses_more_than_max_drop_is_not_shipped_and_says_how_much(later, writes):
    writes(damaged(lambda model: model.set_weights([weight * 0 for weight in model.get_weights()])))
    entry = later("litert", max_drop=0.1)["litert"]
    assert_not_shipped(entry, later.folder, "more than export.max_drop 0.1")
    report = json.loads((later.folder / "run" / "report.json").read_text())
    student = report["selected"]["metrics"]["test"]["accuracy"]
    assert entry["drop"] == pytest.approx(student - entry["metrics"]["test"]["accuracy"])
    assert entry["drop"] > 0.1 and entry["agreement"] < 0.9


@pytest.mark.usefixtures("litert_is_keras")
def test_exit_codes_tell_files_that_lose_too_much_from_those_that_do_not_work(later, writes, capsys):
    def export() -> int:
        return work.export(later.folder / "run", ["litert", "keras"], ["export.max_drop=0.1"], Output(json=True))

    writes(damaged(lambda model: model.set_weights([weight * 0 for weight in model.get_weights()])))
    assert export() == 3
    written, told = capsys.readouterr()
    assert [one["status"] for one in json.loads(written)["artifacts"]] == ["failed", "ok"]
    assert "error: export to litert failed: test accuracy drops by " in told
    assert re.search(r"export to litert +failed, not shipped: test accuracy drops", told)
    assert re.search(r"export to keras +.*student\.keras \(.* kB, gzip .*; accuracy .*ms, the teacher's .* ms\)", told)
    writes(damaged(lambda model: model.set_weights([weight * np.nan for weight in model.get_weights()])))
    assert export() == 1


@pytest.mark.usefixtures("litert_is_keras")
def test_lost_zeros_are_said(later, writes):
    writes(damaged(lambda model: model.set_weights([weight + 1e-9 for weight in model.get_weights()])))
    entry = later("litert", max_drop=0.5)["litert"]
    assert (entry["status"], entry["zeros_kept"], entry["agreement"]) == ("ok", False, 1.0)


@pytest.mark.parametrize("missing", ["ledger.jsonl", "student.keras"])
def test_an_unfinished_run_is_refused(folder, missing):
    (folder / "run" / missing).unlink()
    with pytest.raises(MissingError, match=r"there is no finished run in .*; run spiral compress there first"):
        refuse_unfinished(RunFolder(folder / "run"))
