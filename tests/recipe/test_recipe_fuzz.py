"""Whatever bytes a recipe holds, it loads or is refused with exit code 2; nothing else is raised."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spiral_cli.errors import RecipeError
from spiral_cli.recipe import Recipe, load_recipe
from spiral_cli.recipe.starter import starter

FULL = (
    starter()
    + """
seed: 3
student: {model: lenet5, epochs: 2}
select: score
plugins: []
"""
).encode()
KEYS = [
    name
    for section in (Recipe, *(info.annotation for info in Recipe.model_fields.values()))
    for name in getattr(section, "model_fields", ())
]


@pytest.fixture(scope="module")
def file() -> Iterator[Path]:
    """Yield a path for recipes that come and go."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "fuzz.yaml"


def loads_or_refuses(file: Path, content: bytes, *overrides: str) -> None:
    """Load ``content``; a refusal must name a place in the text for each problem."""
    file.write_bytes(content)
    try:
        load_recipe(file, overrides)
    except RecipeError as error:
        refused = error
    else:
        return
    # YAML also ends lines at a carriage return and at three Unicode separators
    ends = content.count(b"\n") + content.count(b"\r") + content.count(b"\xc2\x85") + content.count(b"\xe2\x80")
    assert refused.problems
    for problem in refused.problems:
        assert problem.message
        assert problem.column >= 1
        assert 1 <= problem.line <= ends + 2 or problem.file.startswith("--set")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
@example(b"\xef\xbb\xbf")
@example(b"\xff\xfea\x00")
@example(b"%YAML 9.9\n---\n")
@example(b"%TAG ! !!\n")
@example(b"? ")
@example(b"a: &a\nb: *a")
@example(b"!!binary ''")
def test_any_bytes(file: Path, content: bytes) -> None:
    loads_or_refuses(file, content)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(FULL)), st.integers(0, 12), st.binary(max_size=6) | st.sampled_from([b": ", b"\t", b"*a", b"${"])
)
def test_a_damaged_recipe(file: Path, start: int, length: int, put: bytes) -> None:
    loads_or_refuses(file, FULL[:start] + put + FULL[start + length :])


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(["digits", "lenet300", "same", "global", "re:(", "${X:-1}", "a.b:c", "geometric", "l1"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(list(Recipe.model_fields)), VALUES, max_size=6))
def test_any_structure(file: Path, values: dict[str, Any]) -> None:
    values.pop("plugins", None)  # a text there would be imported
    loads_or_refuses(file, yaml.safe_dump(values, allow_unicode=True).encode())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*Recipe.model_fields, *KEYS, "0", "features"]), min_size=1, max_size=4),
    st.text(max_size=10) | st.sampled_from(["{", "[1", "!!int x", "a: b", "${", "\t", "1e3", "'"]),
)
def test_any_override(file: Path, keys: list[str], value: str) -> None:
    if keys[0] != "plugins":
        loads_or_refuses(file, FULL, f"{'.'.join(keys)}={value}")


@pytest.mark.parametrize("module", ["numpy", "tensorflow", "keras", "typer", "rich"])
def test_a_recipe_is_read_without_heavy_imports(module: str, file: Path) -> None:
    file.write_bytes(FULL)
    code = (
        "import sys; from pathlib import Path; from spiral_cli.recipe import load_recipe;"
        f"load_recipe(Path({str(file)!r})); sys.exit({module!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
