"""What may stand under ``data.augment``: names of augmentations, each with the value it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spiral_cli.errors import did_you_mean
from spiral_cli.recipe.section import Finding, listed, repeated
from spiral_cli.registry import augmentations


def name_and_value(entry: str | dict[str, Any]) -> tuple[str, Any]:
    """Return the augmentation that an entry names and the value it gives it, or None."""
    return (entry, None) if isinstance(entry, str) else next(iter(entry.items()))


def augment_findings(entries: Sequence[str | dict[str, Any]]) -> Iterator[Finding]:
    """Yield what is wrong with the entries: names there are none of, values they do not take, doubles."""
    names = [name_and_value(entry)[0] for entry in entries]
    for index, name in enumerate(names):
        if name not in (known := augmentations.names()):
            near = did_you_mean(name, known)
            yield ("augment", index, name), f"received {name!r}; allowed: an augmentation of {listed(known)}{near}"
        elif wrong := wrong_value(entries[index], augmentations.part(name).facts):
            yield ("augment", index, name), wrong
    yield from repeated("augment", names)


def wrong_value(entry: str | dict[str, Any], facts: Mapping[str, Any]) -> str:
    """Return what is wrong with an augmentation's value by what it ``takes``, or an empty string."""
    name, value = name_and_value(entry)
    if "takes" not in facts:
        return ""
    if facts["takes"] is None:
        return "" if value is None else f"received {value!r}; {name} takes no value"
    low, high = facts["takes"]
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if numeric and value > 0 and value >= low and (high is None or value <= high):
        return ""
    return f"received {'no value' if value is None else repr(value)}; {name} takes a number " + (
        f"of {low} or more, below the image's side" if high is None else f"above {low}, up to {high}"
    )
