"""Digests, differences, the dump, the schema and the starter."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from spiral_cli import registry
from spiral_cli.recipe import Recipe, load_recipe, schema
from spiral_cli.recipe.digest import (
    STUDENT_KEYS,
    TEACHER_KEYS,
    differences,
    dump,
    flatten,
    student_digest,
    teacher_digest,
)
from spiral_cli.recipe.json_schema import json_schema
from spiral_cli.recipe.section import Section
from spiral_cli.recipe.starter import SCHEMA_FILE, starter

BASE: dict[str, Any] = {"data": {"format": "digits"}, "teacher": {"model": "lenet300"}}


@pytest.fixture(autouse=True, scope="module")
def anything() -> Iterator[None]:
    """A plugin's augmentation, whose values spiral cannot know."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.augmentations._plugins, "anything", registry.Part("anything", "", __name__))
        yield


def recipe(**keys: Any) -> Recipe:
    """Return a valid recipe with ``keys`` over the shortest one."""
    return Recipe.model_validate({**BASE, **keys})


def reread(original: Recipe) -> Recipe:
    """Write a recipe somewhere and load it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "other.yaml"
        path.write_text(dump(original, Path(folder)), "utf-8")
        return load_recipe(path)


def test_flatten_gives_every_setting_its_dotted_key() -> None:
    flat = flatten(recipe(distill={"features": [{"teacher": "a", "student": "b"}]}))
    assert flat["distill.alpha"] == 0.5
    assert flat["prune.schedule.rounds"] == 5
    assert flat["distill.features"] == [{"teacher": "a", "student": "b", "weight": 0.1}]
    assert not any(isinstance(value, Section) for value in flat.values())


@pytest.mark.parametrize(
    "keys",
    [
        {"name": "other"},
        {"select": "best"},
        {"tensorboard": True},
        {"device": "cpu"},
        {"device": "gpu:1"},
        {"plugins": ["json"]},
        {"export": {"to": [], "max_drop": 0.5, "samples": 3, "full_integer": True}},
        {"data": {"format": "digits", "path": "/elsewhere"}},
    ],
)
def test_what_changes_no_bytes_changes_no_digest(keys: dict[str, Any]) -> None:
    both = BASE if "data" not in keys else {**BASE, "data": {"format": "digits", "path": "/here"}}
    old, new = Recipe.model_validate(both), recipe(**keys)
    assert teacher_digest(old) == teacher_digest(new)
    assert student_digest(old) == student_digest(new)


@pytest.mark.parametrize(
    ("keys", "teacher_too"),
    [
        ({"seed": 1}, True),
        ({"precision": "mixed_bfloat16"}, True),
        ({"precision": "mixed_float16"}, True),
        ({"data": {"format": "digits", "validation": 0.2}}, True),
        ({"data": {"format": "digits", "validation": "/v"}}, True),
        ({"teacher": {"model": "lenet300", "epochs": 16}}, True),
        ({"student": {"model": "lenet5"}}, False),
        ({"prune": {"criterion": "lamp"}}, False),
        ({"prune": {"pressure": None}}, False),
        ({"distill": {"alpha": 0.7}}, False),
        ({"train": {"epochs": 1}}, False),
        ({"guard": {"max_drop": 0.5}}, False),
    ],
)
def test_what_changes_bytes_changes_the_digest_of_its_stage(keys: dict[str, Any], teacher_too: bool) -> None:
    old, new = recipe(), recipe(**keys)
    assert (teacher_digest(old) != teacher_digest(new)) is teacher_too
    assert student_digest(old) != student_digest(new)


def test_a_digest_is_the_same_in_another_process_and_a_later_version() -> None:
    fixed = {"format": "digits", "validation": 0.25}
    code = (
        "from spiral_cli.recipe import Recipe; from spiral_cli.recipe.digest import student_digest;"
        f"print(student_digest(Recipe.model_validate({ {**BASE, 'data': fixed}!r})))"
    )
    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    assert other == student_digest(recipe(data=fixed))
    assert len(other) == 32
    assert set(other) <= set("0123456789abcdef")


def test_differences_are_lines_a_person_reads() -> None:
    old = recipe()
    new = recipe(
        name="x", distill={"alpha": 0.7}, prune={"schedule": [0.5]}, data={"format": "digits", "classes": ["a", "b"]}
    )
    lines = differences(old, new, STUDENT_KEYS)
    assert "distill.alpha: the run has 0.5, the recipe 0.7" in lines
    assert 'data.classes: the run has nothing, the recipe ["a", "b"]' in lines
    assert "prune.schedule: the run has nothing, the recipe [0.5]" in lines
    assert differences(old, new, TEACHER_KEYS) == ['data.classes: the run has nothing, the recipe ["a", "b"]']
    assert differences(old, old, STUDENT_KEYS) == []


TEXTS = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=12),
    st.sampled_from(
        ["no", "3e-4", "010", "~", "1:30", "2024-01-31", "${X}", "$${", "#a", "a: b", "- x", "!t", "&a", "*"]
    ),
)
SETTINGS: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**31 - 1),
        "name": st.sampled_from(["a", "1", "1e3", "no", "true", "1.5"]),
        "train": st.fixed_dictionaries(
            {
                "learning_rate": st.floats(1e-30, 1e30),
                "epochs": st.integers(1, 10**9),
                "jit": st.sampled_from(["auto", True, False]),
            }
        ),
        "prune": st.fixed_dictionaries(
            {},
            optional={
                "targets": st.lists(TEXTS.filter(lambda text: not text.startswith("re:")), min_size=1, unique=True),
                "schedule": st.lists(st.floats(0.01, 0.99), min_size=1, unique=True).map(sorted),
                "granularity": st.sampled_from(["unstructured", {"n": 1, "m": 64}, {"block": [4, 1]}]),
                "pressure": st.sampled_from([None, {"kind": "l1", "strength": 0.5}]),
                "allocation": st.just("global") | st.dictionaries(TEXTS, st.floats(0, 0.99), max_size=3),
            },
        ).filter(lambda prune: not isinstance(prune.get("granularity"), dict) or "schedule" not in prune),
        "data": st.fixed_dictionaries(
            {"format": st.just("digits")},
            optional={
                "classes": st.lists(TEXTS, min_size=2, unique=True),
                "validation": st.floats(0.01, 0.99) | st.just("/a ${b}/c"),
                "augment": st.lists(SETTINGS.map(lambda value: {"anything": value}), max_size=1),
            },
        ),
        "student": st.sampled_from([{"model": "lenet5"}, {"path": "/s.keras"}, {"builder": "a.b:c"}]),
    },
)


@settings(max_examples=150, deadline=None)
@given(PARTS)
def test_a_dumped_recipe_reads_back_equal(parts: dict[str, Any]) -> None:
    original = recipe(**parts, plugin_folder="/recipes")
    again = reread(original)
    assert again == original
    assert student_digest(again) == student_digest(original)


def test_paths_below_the_recipes_folder_are_dumped_relative(tmp_path: Path) -> None:
    near, far = str(tmp_path / "data"), "/elsewhere/data"
    loaded = recipe(data={"format": "digits", "train": near, "test": far}, plugin_folder=str(tmp_path))
    raw = yaml.safe_load(dump(loaded, tmp_path / "runs" / "x"))
    assert (raw["data"]["train"], raw["data"]["test"], raw["plugin_folder"]) == ("../../data", far, "../..")


def test_the_starter_is_valid_and_says_how_to_run_it(tmp_path: Path) -> None:
    path = tmp_path / "spiral.yaml"
    path.write_text(starter(), "utf-8")
    loaded = load_recipe(path)
    assert (loaded.name, loaded.data.format) == ("spiral", "digits")
    first = starter().splitlines()[:2]
    assert first[0] == f"# yaml-language-server: $schema={SCHEMA_FILE}"
    assert "spiral compress spiral.yaml" in first[1]


def test_the_schema_lists_registered_names_and_refuses_unknown_keys() -> None:
    described = json_schema()
    sections = [described, *described["$defs"].values()]
    assert all(section["additionalProperties"] is False for section in sections)
    text = json.dumps(described)
    ranked = json.dumps([*registry.criteria.names(), *registry.group_criteria.names()])
    assert f'"enum": {ranked}' in text
    for parts in (registry.models, registry.tasks, registry.exporters):
        assert f'"enum": {json.dumps(parts.names())}' in text or f'"same", {json.dumps(parts.names())[1:]}' in text
    assert described["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert described["required"] == ["data", "teacher"]


def mentions_path(annotation: Any) -> bool:
    """Tell whether a type is made of the recipe's `Path`."""
    marked = get_args(schema.Path)[1] in getattr(annotation, "__metadata__", ())
    return marked or any(mentions_path(part) for part in get_args(annotation))


def test_every_key_typed_as_a_path_is_made_absolute() -> None:
    annotations = {
        (top, key): section.__annotations__[key]
        for top, section in (
            ("data", schema.Data),
            ("teacher", schema.Teacher),
            ("student", schema.Student),
            ("distill", schema.Distill),
        )
        for key in section.model_fields
    } | {(key,): kind for key, kind in schema.Recipe.__annotations__.items()}
    assert {key for key, kind in annotations.items() if mentions_path(kind)} == schema.PATH_KEYS


def test_a_runs_own_recipe_finds_the_plugins_of_the_one_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "plugin_of_a_run.py").write_text("HERE = True\n")
    path = tmp_path / "conf" / "r.yaml"
    path.write_text("data: {format: digits}\nteacher: {model: mlp}\nplugins: [plugin_of_a_run]\n")
    stored = tmp_path / "runs" / "r" / "recipe.yaml"
    stored.parent.mkdir(parents=True)
    stored.write_text(dump(load_recipe(path), stored.parent))
    code = "from pathlib import Path; from spiral_cli.recipe import load_recipe; import sys;"
    code += "load_recipe(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(stored)], check=True)
