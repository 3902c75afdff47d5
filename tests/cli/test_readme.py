"""What the README shows is run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spiral_cli.recipe import load_recipe

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(section: str, language: str) -> list[str]:
    """Return the code blocks of one section."""
    text = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_shell_script_runs(tmp_path):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    if not (Path(sys.executable).parent / "spiral").exists():
        pytest.skip("spiral is not installed beside this Python, so a script cannot call it")
    [script] = blocks("In a shell script", "sh")
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 0.0 < float(done.stdout.splitlines()[-1]) <= 0.1


def test_the_exit_codes_are_those_of_the_code():
    from spiral_cli import errors

    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SpiralError)]
    assert listed == {0} | {kind.exit_code for kind in kinds}


def test_the_recipe_explained_key_by_key_is_valid_and_names_every_key(tmp_path):
    [recipe] = blocks("A recipe, key by key", "yaml")
    path = tmp_path / "spiral.yaml"
    path.write_text(recipe)
    loaded = load_recipe(path)
    for section in ("data", "teacher", "prune", "distill", "train", "guard", "export"):
        text = recipe.split(f"\n{section}:")[1].split("\n\n")[0]
        known = set(type(getattr(loaded, section)).model_fields)
        unsaid = {key for key in known if f"{key}:" not in text}
        assert unsaid <= UNSAID[section], f"{section}: the README does not show {unsaid - UNSAID[section]}"


# Keys the README leaves to `spiral schema`: alternatives of a shown key, and settings few people change.
UNSAID = {
    "data": {"builder", "train", "test"},
    "teacher": {"weights", "output", "batch_size", "optimizer", "learning_rate", "weight_decay"},
    "prune": set(),
    "distill": set(),
    "train": {"weight_decay", "loss", "jit"},
    "guard": {"mode"},
    "export": set(),
}


def test_the_recipe_of_questions_is_one(tmp_path):
    [recipe] = blocks("Every kind of problem", "yaml")
    (tmp_path / "questions.yaml").write_text(recipe)
    assert load_recipe(tmp_path / "questions.yaml").guard.monitor == "accuracy"


def test_every_task_format_model_and_metric_stands_in_the_table():
    from spiral_cli import registry

    table = README.split("\n## Every kind of problem\n")[1].split("\n\n")[0]
    for name, part in registry.tasks.built_in().items():
        [row] = [line for line in table.splitlines() if line.startswith(f"| `{name}`")]
        kind = part.facts["data"]
        formats = [one for one, of in registry.datasets.built_in().items() if of.facts.get("gives", "images") == kind]
        models = [one for one, of in registry.models.built_in().items() if of.facts.get("takes", "images") == kind]
        assert all(one in row for one in (*formats, *models, part.facts["metrics"][0])), name


def test_the_five_lines_for_ones_own_model_are_a_recipe(tmp_path):
    [recipe] = blocks("Your own model on your own images", "yaml")
    (tmp_path / "spiral.yaml").write_text(recipe)
    assert load_recipe(tmp_path / "spiral.yaml").teacher.epochs == 0


def test_the_criterion_of_ones_own_is_one_file(tmp_path):
    [code] = blocks("A criterion of your own", "python")
    [recipe] = blocks("A criterion of your own", "yaml")
    (tmp_path / "my_criterion.py").write_text(code)
    (tmp_path / "spiral.yaml").write_text(f"data: {{format: digits}}\nteacher: {{model: mlp, epochs: 3}}\n{recipe}")
    command = [sys.executable, "-m", "spiral_cli", "compress", "--set", "train.epochs=1", "--set", "guard.max_drop=0.9"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("recipe", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_recipe_in_configs_validates_and_opens_with_its_command(recipe):
    load_recipe(recipe)
    first, second = recipe.read_text("utf-8").splitlines()[:2]
    assert first == f"# spiral compress configs/{recipe.name}"
    assert second == "# yaml-language-server: $schema=schema.json"


def test_the_schema_beside_the_recipes_is_the_present_one():
    import json

    from spiral_cli.recipe.json_schema import json_schema

    assert json.loads((ROOT / "configs" / "schema.json").read_text("utf-8")) == json_schema()
