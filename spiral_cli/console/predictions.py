"""Answers for a person: a line for each input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spiral_cli.console.texts import percent


def predictions_text(told: Sequence[Mapping[str, Any]]) -> str:
    """Return ``input: answer (confidence)``, with what was found in it below where there is more than one thing."""
    return "\n".join(line for one in told for line in lines(one))


def lines(one: Mapping[str, Any]) -> list[str]:
    """Return the lines of one input."""
    sure = f" ({percent(one['confidence'])})" if one.get("confidence") is not None else ""
    found = [
        f"  {box['class']} ({percent(box['confidence'])}) at {', '.join(f'{edge:.0f}' for edge in box['box'])}"
        for box in one.get("boxes", ())
    ]
    return [f"{one['input']}: {one['answer']}{sure}", *found]
