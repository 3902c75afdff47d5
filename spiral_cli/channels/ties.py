"""Which positions leave together: a union-find over positions along the axes of tensors."""

from __future__ import annotations

import numpy as np

Labels = np.ndarray
"""Along an axis: the number of a position's atom, (positions,) of int64. Atoms that are tied leave together."""


class Ties:
    """Atoms, those of them that must leave together, and those that must stay.

    Tarjan's union-find with path halving; the smaller number names a set, so results do not depend
    on the order of ties.
    """

    def __init__(self) -> None:
        self._parent: list[int] = []
        self._held: dict[int, str] = {}
        self._tainted: set[int] = set()
        self._summed: dict[int, str] = {}

    def fresh(self, count: int) -> Labels:
        """Return ``count`` new atoms."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def find(self, atom: int) -> int:
        """Return the number that names the set of ``atom``."""
        parent = self._parent
        while parent[atom] != atom:
            parent[atom] = parent[parent[atom]]
            atom = parent[atom]
        return atom

    def named(self, labels: Labels) -> Labels:
        """Return for every label the number that names its set."""
        found, places = np.unique(labels, return_inverse=True)
        return np.array([self.find(atom) for atom in found.tolist()], np.int64)[places].reshape(labels.shape)

    def tie(self, first: Labels, second: Labels) -> None:
        """Let atoms at the same place of two arrays of one length leave together only."""
        for a, b in {*zip(first.tolist(), second.tolist(), strict=True)}:
            low, high = sorted((self.find(a), self.find(b)))
            self._parent[high] = low

    def hold(self, labels: Labels, reason: str) -> None:
        """Let these atoms stay, whatever they are tied to. The first reason given is kept."""
        for atom in {*labels.tolist()}:
            self._held.setdefault(atom, reason)

    def taint(self, labels: Labels) -> None:
        """Say that these atoms may have values though all their weights are zero, as after a sigmoid."""
        self._tainted.update(labels.tolist())

    def sum_up(self, labels: Labels, reason: str) -> None:
        """Say that these atoms are summed up without weights: they may leave only if nothing taints them."""
        for atom in {*labels.tolist()}:
            self._summed.setdefault(atom, reason)

    def roots(self) -> np.ndarray:
        """Return for every atom the number that names its set, (atoms,)."""
        return np.array([self.find(atom) for atom in range(len(self._parent))], np.int64)

    def held(self) -> dict[int, str]:
        """Return the sets that must stay, by their number, each with a reason."""
        reasons: dict[int, str] = {}
        for atom, reason in sorted(self._held.items()):
            reasons.setdefault(self.find(atom), reason)
        tainted = {self.find(atom) for atom in self._tainted}
        for atom, reason in sorted(self._summed.items()):
            if self.find(atom) in tainted:
                reasons.setdefault(self.find(atom), reason)
        return reasons
