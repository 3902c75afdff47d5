"""Laws of ties, against sets that are merged the plain way."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spiral_cli.channels.ties import Ties

COUNT = 12
ATOMS = st.integers(0, COUNT - 1)
PAIRS = st.lists(st.tuples(ATOMS, ATOMS), max_size=20)


def merged(pairs: list[tuple[int, int]]) -> list[set[int]]:
    """Return for every atom the set it is in."""
    sets = [{atom} for atom in range(COUNT)]
    for a, b in pairs:
        both = sets[a] | sets[b]
        for atom in both:
            sets[atom] = both
    return sets


def tied(pairs: list[tuple[int, int]]) -> Ties:
    """Return ties of these pairs."""
    ties = Ties()
    ties.fresh(COUNT)
    for a, b in pairs:
        ties.tie(np.array([a]), np.array([b]))
    return ties


@settings(derandomize=True)
@given(PAIRS)
def test_a_set_is_named_by_its_smallest_atom_whatever_the_order(pairs: list[tuple[int, int]]) -> None:
    expected = [min(one) for one in merged(pairs)]
    assert tied(pairs).roots().tolist() == expected
    assert tied(pairs[::-1]).roots().tolist() == expected
    assert tied([(b, a) for a, b in pairs]).named(np.arange(COUNT).reshape(3, 4)).ravel().tolist() == expected


@settings(derandomize=True)
@given(PAIRS, st.lists(ATOMS, max_size=4), st.lists(ATOMS, max_size=4), st.lists(ATOMS, max_size=4))
def test_held_sets_stay_and_tainted_ones_that_are_summed(
    pairs: list[tuple[int, int]], held: list[int], tainted: list[int], summed: list[int]
) -> None:
    ties = tied(pairs[:5])
    ties.hold(np.array(held, np.int64), "held")
    ties.taint(np.array(tainted, np.int64))
    ties.sum_up(np.array(summed, np.int64), "summed")
    for a, b in pairs[5:]:
        ties.tie(np.array([a]), np.array([b]))
    sets = merged(pairs)
    expected = {
        min(one): "held" if one & {*held} else "summed"
        for one in sets
        if one & {*held} or (one & {*tainted} and one & {*summed})
    }
    assert ties.held() == expected


def test_arrays_are_tied_place_by_place() -> None:
    ties = Ties()
    one, other = ties.fresh(3), ties.fresh(3)
    ties.tie(one, other)
    assert ties.roots().tolist() == [0, 1, 2, 0, 1, 2]
    ties.hold(other[1:2], "first")
    ties.hold(one[1:2], "second")
    assert ties.held() == {1: "second"}
