"""The networks of `keras.applications` by name, read from Keras' files: importing it takes seconds."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spiral_cli.errors import did_you_mean
from spiral_cli.recipe.section import listed


@cache
def application_names() -> tuple[str, ...]:
    """Return the names, sorted; nothing where Keras is laid out in another way than it was."""
    spec = find_spec("keras")  # finds its folder without running it
    if spec is None or spec.origin is None:
        return ()
    files = Path(spec.origin).parent.glob("applications/**/__init__.py")
    imports = (re.findall(r"\b([A-Z]\w*) as \1\b", file.read_text("utf-8")) for file in files)
    return tuple(sorted({name for names in imports for name in names}))


class Application:
    """Accepts the name of a network in `keras.applications`, in any case."""

    def check(self, value: str) -> str:
        """Return ``value`` if Keras has such a network, or if it cannot be told without running Keras."""
        names = application_names()
        if names and value.lower() not in {name.lower() for name in names}:
            near = did_you_mean(value, names)
            raise ValueError(f"received {value!r}; allowed: a network of keras.applications: {listed(names)}{near}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core.core_schema import no_info_after_validator_function

        return no_info_after_validator_function(self.check, handler(source))
