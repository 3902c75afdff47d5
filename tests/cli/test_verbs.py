"""The verbs that need no training: results, errors and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

RECIPE = "name: good\ndata: {format: digits}\nteacher: {model: mlp, epochs: 2}\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "spiral.yaml").write_text(RECIPE)
    (tmp_path / "bad.yaml").write_text("data: {format: digitz}\nteacher: {model: mlp}\nprun: {}\n")
    return tmp_path


def test_version(spiral, folder):
    from spiral_cli import __version__

    assert spiral(folder, "--version").stdout == f"spiral {__version__}\n"


def test_without_a_verb_help_is_shown_and_the_usage_is_wrong(spiral, folder):
    done = spiral(folder)
    assert done.returncode == 2
    training = ("train-teacher", "compress", "evaluate", "export", "unpack", "plan", "sensitivity", "benchmark")
    for verb in (*training, "report", "compare", "validate", "ls", "schema", "new"):
        assert verb in done.stdout


def test_validate_takes_the_recipe_beside_it(spiral, folder):
    done = spiral(folder, "validate")
    assert (done.returncode, done.stderr) == (0, "")
    assert "runs/good" in done.stdout


def test_validate_reports_every_problem_with_its_place(spiral, folder):
    done = spiral(folder, "validate", "bad.yaml")
    assert done.returncode == 2
    assert "bad.yaml:1:16: " in done.stderr
    assert "did you mean 'digits'?" in done.stderr
    assert "bad.yaml:3:1: " in done.stderr
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_validate_as_json(spiral, folder):
    good = spiral(folder, "validate", "--json", "--set", "train.epochs=7")
    assert json.loads(good.stdout)["recipe"]["train"]["epochs"] == 7
    bad = spiral(folder, "validate", "bad.yaml", "--json")
    result = json.loads(bad.stdout)
    assert result["valid"] is False
    assert [(one["line"], one["column"]) for one in result["problems"]] == [(1, 16), (3, 1)]
    missing = json.loads(spiral(folder, "validate", "nowhere.yaml", "--json").stdout)
    assert missing["valid"] is False
    assert "nowhere.yaml" in missing["problems"][0]["message"]


def test_errors_are_json_where_json_is_asked_for(spiral, folder):
    done = spiral(folder, "compress", "bad.yaml", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["exit_code"], error["type"]) == (2, 2, "RecipeError")
    assert len(error["problems"]) == 2
    assert done.stderr.startswith("error: bad.yaml:1:16")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["compres"], 2, "Did you mean 'compress', 'compare'?"),
        (["compress", "--nope"], 2, "see spiral compress --help"),
        (["compress", "nowhere.yaml"], 2, "there is no recipe nowhere.yaml"),
        (["compress", "--set", "train.epochs"], 2, "key.key=value"),
        (["compress", "--max-minutes", "-1"], 2, "--max-minutes"),
        (["ls", "criterio"], 2, "did you mean 'criteria'?"),
        (["new"], 2, "spiral.yaml exists and is not overwritten"),
        (["new", "no/such/folder.yaml"], 2, "cannot write"),
        (["evaluate"], 4, "there is no model runs/good/student.keras"),
        (["evaluate", "runs/none"], 4, "there is no runs/none"),
        (["evaluate", "."], 4, "no run folder"),
        (["evaluate", "my.keras"], 2, "needs --recipe"),
        (["evaluate", "--recipe", "spiral.yaml"], 2, "needs --recipe"),
        (["evaluate", "old.h5"], 2, "spiral reads .keras files"),
        (["evaluate", "my.keras", "--recipe", "spiral.yaml"], 4, "there is no model my.keras"),
        (["evaluate", "--max-drop", "nan"], 2, "received nan"),
        (["compress", "--svg", "spiral.yaml/table.svg"], 1, "cannot write spiral.yaml/table.svg"),
        (["compress", "--run", ""], 2, "received an empty path"),
        (["compress", "--teacher-from", "", "--fresh"], 2, "received an empty path"),
        (["validate", ""], 2, "received an empty path"),
        (["export", "nowhere", "--to", "onnx"], 4, "there is no finished run in nowhere; run spiral compress there"),
        (["export", "nowhere"], 2, "Missing option '--to'"),
    ],
)
def test_what_cannot_be_is_one_error_block(spiral, folder, arguments, code, words):
    done = spiral(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (folder / "runs").exists()


def test_ls_names_every_kind_and_its_parts(spiral, folder):
    from spiral_cli.registry import REGISTRIES

    text = spiral(folder, "ls").stdout
    rows = json.loads(spiral(folder, "ls", "--json").stdout)
    for registry in REGISTRIES:
        expected = {part.name: part.summary for part in registry.parts().values()}
        assert {row["name"]: row["summary"] for row in rows if row["kind"] == registry.variable} == expected
        assert all(summary in text for summary in expected.values())


def test_ls_of_one_kind(spiral, folder):
    rows = json.loads(spiral(folder, "ls", "criteria", "--json").stdout)
    assert {row["kind"] for row in rows} == {"criteria"}
    assert "magnitude" in [row["name"] for row in rows]


def test_schema_is_the_recipes(spiral, folder):
    schema = json.loads(spiral(folder, "schema").stdout)
    assert {"data", "teacher", "prune", "distill"} <= set(schema["properties"])


def test_new_writes_one_valid_recipe_and_nothing_else(spiral, tmp_path):
    assert spiral(tmp_path, "new", "mine.yaml").returncode == 0
    assert os.listdir(tmp_path) == ["mine.yaml"]
    assert spiral(tmp_path, "validate", "mine.yaml").returncode == 0


def test_a_reader_that_leaves_is_no_error_to_talk_about(environment, folder):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "spiral_cli", "ls"]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_before_any_work_ends_quietly(environment, folder, number):
    waits = f"""
import os, signal
from spiral_cli.cli.stop import stop
stop.install()
os.kill(os.getpid(), {int(number)})
raise SystemExit("went on")
"""
    done = subprocess.run([sys.executable, "-c", waits], cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_plugin_that_prints_or_leaves_does_not_speak_for_spiral(spiral, folder):
    (folder / "noisy.py").write_text("print('hello from a plugin')\n")
    (folder / "leaving.py").write_text("raise SystemExit(7)\n")
    done = spiral(folder, "validate", "--json", "--set", "plugins=[noisy]")
    assert json.loads(done.stdout)["valid"] is True
    assert "hello from a plugin" in done.stderr
    done = spiral(folder, "validate", "--set", "plugins=[leaving]")
    assert done.returncode == 2
    assert "plugin 'leaving' cannot be imported (SystemExit: 7)" in done.stderr


def test_builders_and_plugins_beside_the_recipe_are_found_from_anywhere(environment, spiral, folder):
    """Not by ``python -m``, whose working directory is on the path anyway, but as the script runs it."""
    (folder / "conf").mkdir()
    (folder / "conf" / "beside_it.py").write_text("def images():\n    return 3\n")
    (folder / "conf" / "r.yaml").write_text("data: {builder: beside_it:images}\nteacher: {model: mlp, epochs: 1}\n")
    code = (
        "import sys; sys.argv[:] = ['spiral', 'compress', 'conf/r.yaml']; sys.path.remove('');"
        "from spiral_cli.cli import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert "beside_it:images" in done.stderr and "cannot be imported" not in done.stderr
