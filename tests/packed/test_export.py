"""The exporter `packed` of a real run, and `spiral unpack` of its file, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from small_runs import run as run_recipe
from small_runs import write_data, write_recipe

from spiral_cli.events import silent
from spiral_cli.export_run import export_run
from spiral_cli.packed.container import read_packed
from spiral_cli.packed.model_file import unpack_model
from spiral_cli.recipe import load_recipe
from spiral_cli.run import RunFolder
from spiral_cli.training.control import Control

BITS = 2
ROOT = Path(__file__).parents[2]


def spiral(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "spiral_cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[dict, RunFolder]:
    """Return the report and the folder of a run with a packed file of shared values."""
    folder = tmp_path_factory.mktemp("packed")
    write_data(folder)
    export = {"to": ["keras", "packed"], "max_drop": 0.1, "packed": {"values": "shared", "bits": BITS, "epochs": 4}}
    return run_recipe(write_recipe(folder, export=export))


def packed_file(run: RunFolder) -> Path:
    return run.exports / "packed.spiral"


def entry(artifacts: list[dict]) -> dict:
    return next(one for one in artifacts if one["kind"] == "packed")


def test_the_report_tells_what_the_packed_file_does(finished):
    report, run = finished
    artifact, student = entry(report["artifacts"]), run.student
    assert (artifact["status"], artifact["path"]) == ("ok", "exports/packed.spiral")
    assert artifact["bytes"] == packed_file(run).stat().st_size < student.stat().st_size / 8
    assert artifact["zeros_kept"] is True
    assert artifact["drop"] <= 0.1
    assert artifact["agreement"] > 0.8


def test_layers_share_few_values_and_keep_their_zeros(finished):
    _, run = finished
    student, packed = keras.models.load_model(run.student), read_packed(packed_file(run))
    for ours, array in zip(student.variables, packed.arrays.values(), strict=True):
        np.testing.assert_array_equal(array == 0, ours.numpy() == 0)
        if np.count_nonzero(array) >= 4 * 2**BITS:
            assert len(np.unique(array[array != 0])) <= 2**BITS
            assert np.abs(array - ours.numpy()).max() < np.abs(ours.numpy()).max()
    kernels = [array for path, array in packed.arrays.items() if path.endswith("kernel")]
    assert sum(len(np.unique(kernel[kernel != 0])) == 2**BITS for kernel in kernels) >= 2


def test_unpack_gives_the_stored_weights_every_time_and_keras_alone_loads_them(finished, tmp_path):
    _, run = finished
    file, packed = str(packed_file(run)), read_packed(packed_file(run))
    done = spiral(tmp_path, "unpack", file, "-o", "model.keras", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["path"] == "model.keras"
    assert facts["packed_bytes"] == packed_file(run).stat().st_size
    assert facts["nonzero"] == sum(np.count_nonzero(array) for array in packed.arrays.values())
    first = keras.models.load_model(tmp_path / "model.keras")
    for ours, array in zip(first.variables, packed.arrays.values(), strict=True):
        assert ours.numpy().tobytes() == array.tobytes()

    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_DEFLATED}

    refused = spiral(tmp_path, "unpack", file, "-o", "model.keras")
    assert refused.returncode == 2
    assert "model.keras is there already" in refused.stderr
    second = unpack_model(read_packed(packed_file(run)), "it")
    assert all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in zip(first.weights, second.weights, strict=True))


def test_export_again_gives_the_same_bytes_and_exact_ones_the_student_itself(finished):
    _, run = finished
    shared = packed_file(run).read_bytes()
    exact = load_recipe(run.recipe, ["export.packed.values=exact"])
    artifact = entry(export_run(exact, run, ["packed"], listen=silent, control=Control()))
    assert (artifact["agreement"], artifact["max_abs_diff"], artifact["drop"]) == (1.0, 0.0, 0.0)
    student = keras.models.load_model(run.student)
    for ours, array in zip(student.variables, read_packed(packed_file(run)).arrays.values(), strict=True):
        assert ours.numpy().tobytes() == array.tobytes()

    export_run(load_recipe(run.recipe), run, ["packed"], listen=silent, control=Control())
    assert packed_file(run).read_bytes() == shared


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"SPKD\x01 cut short", "damaged or cut short"),
        (b"PK\x03\x04 a zip file", "no packed file"),
        (b"", "no packed file"),
    ],
)
def test_unpack_of_another_file_says_so(tmp_path, content, said):
    (tmp_path / "it.spiral").write_bytes(content)
    done = spiral(tmp_path, "unpack", "it.spiral")
    assert (done.returncode, done.stdout) == (4, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "it.keras").exists()
    (tmp_path / "it.keras").write_bytes(b"of something else")
    assert said in spiral(tmp_path, "unpack", "it.spiral").stderr
    assert (tmp_path / "it.keras").read_bytes() == b"of something else"


def test_unpack_of_what_is_unpacked_already_says_so(tmp_path):
    (tmp_path / "student.keras").write_bytes(b"PK\x03\x04 a zip file")
    done = spiral(tmp_path, "unpack", "student.keras")
    assert done.returncode == 4
    assert "student.keras is no packed file" in done.stderr and "there already" not in done.stderr


def test_unpack_names_what_it_cannot_use(tmp_path):
    missing = spiral(tmp_path, "unpack", "nothing.spiral")
    assert missing.returncode == 4
    assert "nothing.spiral" in missing.stderr
    other = spiral(tmp_path, "unpack", "nothing.spiral", "-o", "model.h5")
    assert other.returncode == 2
    assert ".keras" in other.stderr


@pytest.mark.slow
def test_a_plugin_makes_a_models_own_classes_known(tmp_path):
    (tmp_path / "doubled.py").write_text(
        "import keras\n\n\n@keras.saving.register_keras_serializable('doubled')\nclass Doubled(keras.layers.Dense):\n"
        "    def call(self, inputs):\n        return 2 * super().call(inputs)\n"
    )
    code = (
        "import pathlib, keras, doubled; from spiral_cli.packed.model_file import write_packed;"
        "write_packed(pathlib.Path('it.spiral'), keras.Sequential([keras.layers.Input((4,)), doubled.Doubled(3)]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True)
    unknown = spiral(tmp_path, "unpack", "it.spiral")
    assert unknown.returncode == 4
    assert "it needs 'Doubled', which is not known" in unknown.stderr
    assert "spiral unpack --plugin" in unknown.stderr
    known = spiral(tmp_path, "unpack", "it.spiral", "--plugin", "doubled")
    assert known.returncode == 0, known.stderr
    assert (tmp_path / "it.keras").is_file()
