"""Whole runs of texts, translations and utterances: a teacher that learns, a student, files that work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import toys
import yaml

from spiral_cli.compress import compress
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.events import silent
from spiral_cli.predict import files_of, predict
from spiral_cli.recipe import load_recipe
from spiral_cli.run import RunFolder
from spiral_cli.training.control import Control

DECODED = {"teacher": "decoded", "student": "decoded", "weight": 0.1}
PRUNE = {"schedule": {"kind": "one_shot", "final_sparsity": 0.6}}


def run(folder: Path, **sections: Any) -> dict[str, Any]:
    """Run a recipe beside its data to the end and return the report."""
    (folder / "toymodels.py").write_text(toys.MODELS)
    path = folder / "spiral.yaml"
    path.write_text(yaml.safe_dump({"name": "toy", "prune": PRUNE, **sections}))
    return compress(load_recipe(path), RunFolder(folder / "run"), listen=silent, control=Control(lambda: False))


def told(folder: Path, model: Path, *inputs: str) -> list[str]:
    return [one["answer"] for one in predict(*files_of(model, None), inputs)]


def sound(report: dict[str, Any], kinds: int, sparsity: float = 0.55) -> None:
    """Check what holds of every finished run."""
    assert report["status"] == "ok" and report["selected"]["sparsity"] >= sparsity
    assert len(report["artifacts"]) == kinds
    for one in report["artifacts"]:
        assert one["status"] == "ok", one["reason"]
        if one["kind"] != "litert_int8":
            assert one["agreement"] == 1.0 and one["drop"] == 0.0 and one["max_abs_diff"] < 1e-3
    for part in ("validation", "test"):
        drawn = report["selected"]["bootstrap"][part]
        lost = (
            report["teacher"]["metrics"][part][report["monitor"]]
            - report["selected"]["metrics"][part][report["monitor"]]
        )
        lost = -lost if report["monitor"] in ("wer", "cer") else lost
        assert drawn["low"] - 1e-9 <= lost <= drawn["high"] + 1e-9


@pytest.mark.parametrize("granularity", ["unstructured", pytest.param("channel", marks=pytest.mark.slow)])
def test_texts(tmp_path, granularity):
    toys.texts(tmp_path)
    report = run(
        tmp_path,
        task="text_classification",
        data={"format": "text_table", "path": ".", "tokens": {"kind": "word"}},
        teacher={"model": "text_cnn", "epochs": 4, "batch_size": 32},
        train={"epochs": 3, "batch_size": 32},
        prune={**PRUNE, "granularity": granularity},
        guard={"max_drop": 0.1},
        export=["keras", "litert", "litert_int8", "onnx"],
    )
    sound(report, 4)
    assert report["monitor"] == "accuracy" and report["teacher"]["metrics"]["test"]["accuracy"] > 0.95
    for model in ("", "exports/litert.tflite", "exports/onnx.onnx"):
        found = predict(*files_of(tmp_path / "run" / model, None), ["Very GOOD fun number 7", "a dull mess"])
        assert [one["answer"] for one in found] == ["good", "bad"]
        assert all(sum(one["probabilities"].values()) == pytest.approx(1.0) for one in found)
    samples = json.loads((tmp_path / "run/details.json").read_text())["samples"]
    assert all(one["shown"]["kind"] == "text" for one in samples)
    with pytest.raises(MissingError, match=r"'caf\\udce9' is no text in UTF-8"):
        predict(*files_of(tmp_path / "run", None), ["fine", b"caf\xe9".decode(errors="surrogateescape")])


@pytest.mark.parametrize("sequence", [pytest.param(False, marks=pytest.mark.slow), True])
def test_translations(tmp_path, sequence):
    pytest.importorskip("sacrebleu")
    toys.pairs(tmp_path)
    report = run(
        tmp_path,
        task="translation",
        data={
            "format": "parallel_text",
            "path": ".",
            "columns": {"source": "a", "target": "b"},
            "tokens": {"kind": "word"},
        },
        teacher={"builder": "toymodels:translator", "epochs": 12, "batch_size": 32, "learning_rate": 0.005},
        train={"epochs": 6, "batch_size": 32},
        distill={"sequence": sequence, "beams": 2 if sequence else 1, "features": [DECODED] if sequence else []},
        guard={"max_drop": 10.0},
        export=["keras", "litert", "onnx"],
    )
    sound(report, 3, 0.3)
    assert report["monitor"] == "bleu" and report["teacher"]["metrics"]["test"]["bleu"] > 90
    answers = [told(tmp_path, tmp_path / "run" / file, "3 1", "2 2 5") for file in ("", "exports/onnx.onnx")]
    assert answers[0] == answers[1] and answers[0][0] == "three one"
    assert (tmp_path / "run/targets/dictation.json").is_file() == sequence


def test_utterances(tmp_path):
    pytest.importorskip("jiwer")
    pytest.importorskip("soundfile")
    toys.utterances(tmp_path)
    report = run(
        tmp_path,
        task="speech_recognition",
        data={
            "format": "speech_manifest",
            "path": ".",
            "validation": 0.2,
            "tokens": {"kind": "char"},
            "audio": {"sample_rate": 8000, "mels": 12, "window": 0.032, "hop": 0.016},
        },
        teacher={"builder": "toymodels:recogniser", "epochs": 20, "batch_size": 16, "learning_rate": 0.01},
        train={"epochs": 10, "batch_size": 16, "learning_rate": 0.01},
        guard={"monitor": "cer", "max_drop": 0.1},
        export=["keras", "litert", "onnx"],
    )
    sound(report, 3)
    assert report["teacher"]["metrics"]["test"]["cer"] < 0.1
    manifest = [json.loads(line) for line in (tmp_path / "valid.jsonl").read_text().splitlines()]
    files = [str(tmp_path / one["audio_filepath"]) for one in manifest[:8]]
    right = [
        answer == one["text"] for answer, one in zip(told(tmp_path, tmp_path / "run", *files), manifest, strict=False)
    ]
    assert sum(right) >= 6


def test_a_file_alone_is_told_where_its_preprocessing_was_looked_for(tmp_path):
    alone = tmp_path / "exports" / "student.tflite"
    alone.parent.mkdir()
    alone.write_bytes(b"")
    with pytest.raises(MissingError) as refused:
        files_of(alone, None)
    said = f"there is no {alone.parent / 'preprocessing.json'} or {tmp_path / 'preprocessing.json'}; give "
    assert str(refused.value).startswith(said)


def test_a_recipe_of_other_kinds_says_what_fits(tmp_path):
    path = tmp_path / "spiral.yaml"
    values = {
        "task": "text_classification",
        "data": {"format": "digits", "columns": {"txet": "a"}},
        "teacher": {"model": "lenet5"},
        "distill": {"sequence": True},
    }
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert "received 'txet'; allowed: none, for digits has no table" in message
    path.write_text(yaml.safe_dump({**values, "data": {"format": "digits"}}))
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    message = str(caught.value)
    assert "2:11: received 'digits', and text_classification is of texts; allowed:" in message
    assert "text_table" in message and "received 'lenet5'" in message and "text_cnn" in message
    assert "received true; allowed for tasks that say sequences" in message and "translation" in message
    path.write_text(yaml.safe_dump({**values, "data": {"format": "text_tabel", "columns": {"text": "a"}}}))
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    assert "did you mean 'text_table'?" in str(caught.value) and "'text';" not in str(caught.value)
