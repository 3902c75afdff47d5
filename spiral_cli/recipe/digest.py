"""What a finished stage depends on: digests of it, the differences that change it, and its dump."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from spiral_cli.recipe.scalars import escape, plain
from spiral_cli.recipe.schema import IMAGENET, PATH_KEYS, Recipe
from spiral_cli.recipe.section import Section

# Only what changes the bytes of a stage: not the name, the device, or what is done with the results.
TEACHER_KEYS = ("task", "seed", "precision", "distribution", "data", "teacher")
# How the same examples reach the step is no change either.
WAYS = ("data.stream", "data.memory_gb", "distill.cache")
STUDENT_KEYS = (*TEACHER_KEYS, "student", "prune", "distill", "train", "guard")


def flatten(recipe: Section, prefix: str = "") -> dict[str, Any]:
    """Return every setting under its dotted key, as plain data: ``{"distill.alpha": 0.5, …}``."""
    flat: dict[str, Any] = {}
    for key in type(recipe).model_fields:
        value = getattr(recipe, key)
        if isinstance(value, Section):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = [data(item) for item in value] if isinstance(value, list) else value
    return flat


def data(value: Any) -> Any:
    """Return a section as a dict, and anything else as it is."""
    return value.model_dump() if isinstance(value, Section) else value


def chosen(flat: dict[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """Return the settings of ``flat`` that are in, or below, one of ``keys``."""
    below = {key for key in flat if any(f"{key}.".startswith(f"{top}.") for top in keys)}
    return {key: value for key, value in flat.items() if key in below and key not in WAYS}


def differences(old: Recipe, new: Recipe, keys: Collection[str]) -> list[str]:
    """Return a line for each setting below ``keys`` in which a run's recipe and the present one differ.

    Paths are left out: a moved folder is the same data.
    """
    before, after = without_paths(chosen(flatten(old), keys)), without_paths(chosen(flatten(new), keys))
    return [
        f"{key}: the run has {shown(before.get(key))}, the recipe {shown(after.get(key))}"
        for key in dict.fromkeys((*before, *after))
        if before.get(key) != after.get(key)
    ]


def shown(value: Any) -> str:
    """Return a setting as a person would write it in a recipe."""
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def without_paths(flat: dict[str, Any]) -> dict[str, Any]:
    """Return ``flat`` with every path replaced by the mere fact that there is one."""
    paths = {".".join(keys) for keys in PATH_KEYS}
    return {
        key: "a path"
        if key in paths and isinstance(value, str) and (tuple(key.split(".")), value) != IMAGENET
        else value
        for key, value in flat.items()
    }


def digest(recipe: Recipe, keys: Collection[str]) -> str:
    """Return 32 hexadecimal digits of the settings below ``keys``: BLAKE2b of their sorted JSON."""
    text = json.dumps(without_paths(chosen(flatten(recipe), keys)), sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def teacher_digest(recipe: Recipe) -> str:
    """Return the digest of what changes the teacher's bytes. What lies at its paths is not looked into."""
    return digest(recipe, TEACHER_KEYS)


def student_digest(recipe: Recipe) -> str:
    """Return the digest of what changes the students' bytes, the teacher's settings among them."""
    return digest(recipe, STUDENT_KEYS)


class Dumper(yaml.SafeDumper):
    """Writes text so that `spiral_cli.recipe.reader` reads it back as text, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value in full every time."""
        return True


def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quote text that would be read as something else."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if isinstance(plain(text), str) else '"')


Dumper.add_representer(str, represent_text)


def dump(recipe: Recipe, folder: Path) -> str:
    """Return the recipe as YAML with every default written out; `load_recipe` reads it back equal.

    Args:
        recipe: what `load_recipe` gave.
        folder: where the text is to lie. Paths below the recipe's own folder are written relative
            to it, so that recipe, data and run can move together.
    """
    plain = written(recipe)
    for *sections, key in PATH_KEYS if recipe.plugin_folder else ():
        section = plain[sections[0]] if sections else plain
        if isinstance(value := section.get(key), str) and Path(value).is_relative_to(str(recipe.plugin_folder)):
            section[key] = os.path.relpath(value, os.path.abspath(folder))
    return yaml.dump(plain, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)


def written(value: Any) -> Any:
    """Return a setting as plain data; keys that are unset by default and still are, are left out."""
    if isinstance(value, Section):
        fields = ((key, info, getattr(value, key)) for key, info in type(value).model_fields.items())
        return {key: written(item) for key, info, item in fields if item is not None or info.default is not None}
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [written(item) for item in value]
    return escape(value) if isinstance(value, str) else value
