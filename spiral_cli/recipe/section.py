"""What the sections of the recipe are made with: the base class, names of parts, unions, rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Discriminator

from spiral_cli import registry
from spiral_cli.errors import did_you_mean

Finding = tuple[tuple[str | int, ...], str]  # keys below the section, what is wrong there


class RuleError(ValueError):
    """Keys of a section that do not go together; carries every finding."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("; ".join(message for _, message in findings))


class Section(BaseModel):
    """A frozen mapping of the recipe that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)

    def rules(self) -> Iterator[Finding]:
        """Yield what is wrong between keys that are each right alone."""
        yield from ()

    def model_post_init(self, context: Any) -> None:
        """Refuse the section if one of its rules is broken (pydantic calls this when all keys are right)."""
        if findings := list(self.rules()):
            raise RuleError(findings)


@dataclass(frozen=True)
class NameIn:
    """Accepts the names in a registry only, and lists them in the JSON Schema."""

    parts: registry.Registry
    also: tuple[str, ...] = ()
    more: registry.Registry | None = None

    def names(self) -> list[str]:
        """Return the accepted names."""
        return [*self.also, *self.parts.names(), *(self.more.names() if self.more else ())]

    def check(self, value: str) -> str:
        """Return ``value`` if it is registered."""
        if value not in (names := self.names()):
            near = did_you_mean(value, names)
            raise ValueError(f"received {value!r}; allowed: {article(self.parts.kind)} of {listed(names)}{near}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core.core_schema import no_info_after_validator_function

        return no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], Any]) -> dict[str, Any]:
        return {**handler(schema), "enum": self.names()}


def article(noun: str) -> str:
    """Return ``noun`` after a or an."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def listed(names: Sequence[str]) -> str:
    """Return ``names`` for a message."""
    return ", ".join(names) or "(none is installed)"


def forms(allowed: str, *words: str) -> Discriminator:
    """Choose a union's branch by the value's shape, so that a mistake is reported once.

    Args:
        allowed: the forms as a message lists them.
        words: the only texts there are; any text goes where none is given.
    """

    def shape(value: Any) -> str | None:
        if isinstance(value, str):
            return "<text>" if not words or value in words else None
        if isinstance(value, dict | Section):
            keys = value if isinstance(value, dict) else type(value).model_fields
            return "<block>" if "block" in keys else "<mapping>"
        if isinstance(value, list):
            return "<list>"
        return "<number>" if isinstance(value, int | float) and not isinstance(value, bool) else None

    return Discriminator(shape, custom_error_type="words" if words else "forms", custom_error_message=allowed)


def repeated(key: str, values: Sequence[Any]) -> Iterator[Finding]:
    """Yield the entries of a list that stood in it before."""
    for index, value in enumerate(values):
        if value in values[:index]:
            yield (key, index), f"received {value!r} a second time; keep one"


def sources(section: Section, keys: Sequence[str], required: bool = True) -> Iterator[Finding]:
    """Yield what is wrong unless exactly one of ``keys`` has a value (or none, where not required)."""
    given = [key for key in keys if getattr(section, key) is not None]
    if not given and required:
        yield (), f"received none of {listed(keys)}; give exactly one"
    for key in given[1:]:
        yield (key,), f"received '{key}' as well as '{given[0]}'; allowed: exactly one of {listed(keys)}"
