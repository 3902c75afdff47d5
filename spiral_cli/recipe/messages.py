"""Pydantic's findings as sentences: what was received, what is allowed, did you mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from spiral_cli.errors import did_you_mean
from spiral_cli.recipe.reader import shown
from spiral_cli.recipe.schema import Recipe
from spiral_cli.recipe.section import RuleError, Section

Location = tuple[str | int, ...]

TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
}
RANGES = {
    "greater_than": "above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "below {lt}",
    "less_than_equal": "{le} or less",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "string_too_short": "text that is not empty",
    "finite_number": "a finite number",
}


@dataclass(frozen=True)
class Finding:
    """One mistake: the keys that lead to it, whether the key itself is at fault, and the message."""

    keys: Location
    message: str
    at_key: bool = False


def findings(error: ValidationError) -> Iterator[Finding]:
    """Yield every mistake in ``error``, in a person's words."""
    for entry in error.errors(include_url=False):
        keys = tuple(key for key in entry["loc"] if not is_tag(key))
        if entry["type"] == "default_factory_not_called":
            continue  # a default waits for a key that is itself reported
        cause = entry.get("ctx", {}).get("error")
        if isinstance(cause, RuleError):
            for below, message in cause.findings:
                yield Finding(keys + below, message)
        elif entry["type"] == "extra_forbidden":
            yield Finding(keys, unknown_key(entry["loc"]), at_key=True)
        elif entry["type"] == "missing":
            yield Finding(keys[:-1], f"the key '{keys[-1]}' is missing{meaning(entry['loc'])}")
        elif entry["type"] == "value_error":
            yield Finding(keys, str(cause))
        else:
            received = size(entry["input"]) if entry["type"].startswith("too_") else shown(entry["input"])
            yield Finding(keys, f"received {received}; allowed: {allowed(entry)}")


def allowed(entry: Mapping[str, Any]) -> str:
    """Return what may stand where pydantic found something else, with a guess at what was meant."""
    kind, context = entry["type"], entry.get("ctx", {})
    if kind in TYPES:
        return TYPES[kind] + or_null(entry["loc"])
    if kind in RANGES:
        bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
        return RANGES[kind].format(**bounds)
    if kind == "model_type":
        names = [name for section in sections(entry["loc"]) for name in section.model_fields]
        return f"a mapping of {', '.join(names)}{or_null(entry['loc'])}"
    if kind == "string_pattern_mismatch":
        return meaning(entry["loc"]).removeprefix(": ") or f"text like {context['pattern']}"
    if kind == "literal_error":
        expected = context["expected"].replace("True", "true").replace("False", "false")
        return expected + guess(entry["input"], expected)
    if kind == "forms":  # no text is right there, so none was meant
        return str(entry["msg"])
    return str(entry["msg"]) + guess(entry["input"], str(entry["msg"]))


def guess(received: Any, text: str) -> str:
    """Return ``; did you mean …?`` for the nearest word of a message."""
    return did_you_mean(received, re.findall(r"[A-Za-z0-9_-]+", text)) if isinstance(received, str) else ""


def size(value: Any) -> str:
    """Return how many entries a list or mapping has."""
    return f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"


def unknown_key(loc: Location) -> str:
    """Return the message for a key its section does not have."""
    names = [name for section in sections(loc[:-1]) for name in section.model_fields]
    key = str(loc[-1])
    return f"received the unknown key {shown(key)}; allowed: {', '.join(names)}{did_you_mean(key, names)}"


def meaning(loc: Location) -> str:
    """Return ``: description`` of the key at ``loc``, where it has one."""
    for section in sections(loc[:-1]):
        if loc[-1] in section.model_fields:
            description = section.model_fields[str(loc[-1])].description
            return f": {description}" if description else ""
    return ""


def or_null(loc: Location) -> str:
    """Return `` or null`` where the key at ``loc`` may also have no value."""
    for section in sections(loc[:-1]):
        if loc[-1] in section.model_fields:
            return " or null" if type(None) in get_args(section.model_fields[str(loc[-1])].annotation) else ""
    return ""


def is_tag(key: str | int) -> bool:
    """Tell the name of a union's branch, which is in pydantic's locations, from a key."""
    return isinstance(key, str) and key.startswith("<") and key.endswith(">")


def sections(loc: Sequence[str | int]) -> list[type[Section]]:
    """Return the sections that may stand at ``loc``."""
    here: list[type[Section]] = [Recipe]
    for key in loc:
        fields = [section.model_fields[key] for section in here if key in section.model_fields]
        if fields:
            here = list(dict.fromkeys(section for info in fields for section in sections_in(info.annotation)))
        elif is_tag(key):
            here = [section for section in here if (key == "<block>") == ("block" in section.model_fields)]
    return here


def sections_in(annotation: Any) -> Iterator[type[Section]]:
    """Yield the sections a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from sections_in(part)
