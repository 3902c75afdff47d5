"""The quick verbs: they read and list, and import neither TensorFlow nor NumPy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from spiral_cli.cli.output import Output
from spiral_cli.console.align import aligned
from spiral_cli.errors import Problem, RecipeError, UsageError, did_you_mean
from spiral_cli.registry import REGISTRIES


def validate(path: Path, overrides: Sequence[str], output: Output) -> int:
    """Check a recipe; return 0, or 2 after reporting every problem."""
    from spiral_cli.recipe import load_recipe

    try:
        recipe = load_recipe(path, overrides)
    except UsageError as error:
        problems = error.problems if isinstance(error, RecipeError) else [Problem(str(path), 1, 1, str(error))]
        output.complain(str(error))
        output.result({"valid": False, "problems": [vars(one) for one in problems]})
        return error.exit_code
    output.say(f"{path} is a valid recipe; its run folder is {Path('runs') / recipe.name}")
    output.result({"valid": True, "problems": [], "recipe": recipe.model_dump(mode="json")})
    return 0


def ls(kind: str | None, output: Output) -> None:
    """List the registered parts with their first docstring lines.

    Raises:
        UsageError: there is no such kind.
    """
    kinds = {registry.variable: registry for registry in REGISTRIES}
    kind = {registry.kind: registry.variable for registry in REGISTRIES}.get(kind or "", kind)
    if kind is not None and kind not in kinds:
        raise UsageError(f"received the kind '{kind}'; allowed: {', '.join(kinds)}{did_you_mean(kind, list(kinds))}")
    shown = {name: registry.parts() for name, registry in kinds.items() if kind in (None, name)}
    if output.json:
        parts = [(name, part) for name, found in shown.items() for part in found.values()]
        output.result([{"kind": name, "name": part.name, "summary": part.summary} for name, part in parts])
        return
    width = max(len(name) for found in shown.values() for name in found)
    blocks = [
        f"{name}\n" + aligned([["", part.name.ljust(width), part.summary] for part in found.values()])
        for name, found in shown.items()
        if found
    ]
    output.say("\n\n".join(blocks))


def schema() -> None:
    """Print the JSON Schema of recipes."""
    from spiral_cli.recipe.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2))


def new(path: Path, output: Output) -> None:
    """Write the starter recipe to ``path``.

    Raises:
        UsageError: something is there already, or it cannot be written.
    """
    from spiral_cli.recipe.starter import starter

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starter())
    except FileExistsError:
        raise UsageError(f"{path} exists and is not overwritten; give another path") from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    output.say(f"wrote {path}; run it with: spiral compress {path}")
    output.result({"path": str(path)})
