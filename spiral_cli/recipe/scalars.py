"""What a written scalar means: numbers, true and false, nothing, text, and ``${VAR:-default}``.

The rules are those of YAML 1.2 without its traps: ``3e-4`` is a number; ``no``, ``off``, dates,
``010``, ``1_000`` and ``1:30`` are text; so are ``.inf``, ``.nan`` and numbers too large to hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

Scalar = str | int | float | bool | None

WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
REAL = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", re.ASCII)
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
REFERENCE = re.compile(rf"\$\$\{{|{VARIABLE.pattern}|\$\{{")


def plain(text: str) -> Scalar:
    """Return what an unquoted scalar stands for; everything that is nothing else is text."""
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if REAL.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def expand(text: str, environment: Mapping[str, str]) -> Scalar:
    """Return ``text`` with ``${VAR}`` and ``${VAR:-default}`` replaced from ``environment``.

    The default also stands in for a variable that is set but empty, as in a shell; ``$${`` is
    a plain ``${``. A scalar that is one reference and nothing else is typed as if its value had
    been written there, so that ``${EPOCHS:-3}`` is a number.

    Raises:
        ValueError: a variable without default is not set, or a reference is malformed.
    """

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if match.group() == "$${":
            return "${"
        if name is None:
            raise ValueError(f"received {text!r}; allowed: ${{VAR}} or ${{VAR:-default}}, and $${{ for a plain ${{")
        found = environment.get(name)
        if default is not None:
            return found or default
        if found is None:
            raise ValueError(
                f"received ${{{name}}}, but the environment variable {name} is not set; "
                f"set it, or write ${{{name}:-default}}"
            )
        return found

    expanded = REFERENCE.sub(value, text)
    return plain(expanded) if VARIABLE.fullmatch(text) else expanded


def escape(text: str) -> str:
    """Return ``text`` written so that `expand` gives it back unchanged."""
    return text.replace("${", "$${")
