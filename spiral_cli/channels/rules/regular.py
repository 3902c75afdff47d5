"""What is divided into equal parts and must stay so: grouped convolutions, normalisation, attention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spiral_cli.channels.ties import Labels
from spiral_cli.channels.trace import Trace


@dataclass(frozen=True)
class Parts:
    """How an axis of ``parts`` equal, consecutive parts may lose channels.

    Either whole parts leave, or the same places of every part do; it is done in the way that has
    more to choose from.

    Attributes:
        parts: how many there are.
        whole: whole parts leave; else the same places of each.
    """

    parts: int
    whole: bool

    def tie(self, trace: Trace, labels: Labels) -> None:
        """Tie the atoms of one axis (parts x places,) to what they leave with."""
        table = labels.reshape(self.parts, -1)  # (parts, places)
        table = table.T if self.whole else table
        for other in table[1:]:
            trace.ties.tie(table[0], other)

    def tie_all(self, trace: Trace, first: Labels, second: Labels) -> None:
        """Tie two axes with the same parts, so that a part leaves in both or in none."""
        if self.whole:
            trace.ties.tie(first.reshape(self.parts, -1)[:, 0], second.reshape(self.parts, -1)[:, 0])


def divided(size: int, parts: int) -> Parts:
    """Return how an axis of ``size`` in ``parts`` parts may lose channels."""
    return Parts(parts, whole=parts >= size // parts)


def heads_of(labels: Labels, parts: int) -> Labels:
    """Return one atom a part, (parts,)."""
    return np.ascontiguousarray(labels.reshape(parts, -1)[:, 0])


def places_of(labels: Labels, parts: int) -> Labels:
    """Return one atom a place within a part, (places,)."""
    return np.ascontiguousarray(labels.reshape(parts, -1)[0])
