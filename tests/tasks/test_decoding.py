"""Beam search against trying everything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from spiral_cli.data.tokenizer import BEGIN, END, PAD
from spiral_cli.tasks.decoding import beam_search

PIECES, MOST = 6, 4  # of which PAD, UNKNOWN and BEGIN may be said too, as far as the search knows


def chances(seed: int):
    """Return a step whose log-probabilities depend on the example and on all that was said."""

    def of(owner: int, said: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng([seed, owner, *said])
        logits = rng.normal(0, 2, PIECES)
        logits[PAD] = -1e9
        return log_softmax(logits)

    def step(said: np.ndarray, owners: np.ndarray) -> np.ndarray:
        return np.stack([of(int(owner), tuple(map(int, row))) for row, owner in zip(said, owners, strict=True)])

    return of, step


def everything(of, owner: int, penalty: float) -> list[tuple[float, list[int]]]:
    """Return all sequences with what they are worth, the best first: of those that end, then of the others."""
    found = []
    for length in range(1, MOST + 1):
        for said in itertools.product(range(1, PIECES), repeat=length):
            if END in said[:-1] or (said[-1] != END and length < MOST):
                continue
            score = sum(of(owner, (BEGIN, *said[:place]))[piece] for place, piece in enumerate(said))
            found.append((score / length**penalty, list(said)))
    return sorted(found, key=lambda one: (one[1][-1] == END, one[0]), reverse=True)


def saying(chances: dict[int, dict[int, float]]):
    """Return a step that knows how likely a piece follows another."""

    def step(said: np.ndarray, owners: np.ndarray) -> np.ndarray:
        rows = np.zeros((len(said), PIECES))
        for row, last in zip(rows, said[:, -1].tolist(), strict=True):
            for piece, chance in chances[last].items():
                row[piece] = chance
        with np.errstate(divide="ignore"):
            return np.log(rows)

    return step


@pytest.mark.parametrize(("width", "wanted"), [(1, [4] * 6), (2, [5, END]), (3, [5, END])])
def test_what_ends_is_better_than_what_goes_on_for_ever(width, wanted):
    step = saying({BEGIN: {4: 0.5, 5: 0.5}, 4: {4: 0.9, END: 0.1}, 5: {END: 0.7, 5: 0.3}})
    assert [piece for piece in beam_search(step, 1, BEGIN, 6, width)[0] if piece != PAD] == wanted


def test_what_ended_is_not_forgotten_where_likelier_beginnings_take_its_place():
    step = saying({BEGIN: {4: 0.7, END: 0.2, 5: 0.1}, 4: {4: 0.5, 5: 0.5}, 5: {5: 1.0}})
    assert beam_search(step, 1, BEGIN, 5, width=2)[0].tolist() == [END, PAD, PAD, PAD, PAD]


def test_where_nothing_ends_the_likeliest_beginning_is_said():
    step = saying({BEGIN: {4: 0.4, 5: 0.6}, 4: {4: 1.0}, 5: {5: 0.5, 4: 0.5}})
    assert beam_search(step, 1, BEGIN, 3, width=3)[0].tolist() == [4, 4, 4]


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
def test_a_beam_as_wide_as_everything_finds_the_best(penalty):
    of, step = chances(3)
    found = beam_search(step, 3, BEGIN, MOST, width=(PIECES - 1) ** MOST, penalty=penalty)
    for owner, row in enumerate(found):
        assert [piece for piece in row if piece != PAD] == everything(of, owner, penalty)[0][1]


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_a_beam_of_one_takes_the_likeliest_piece_every_time(seed):
    of, step = chances(seed)
    for owner, row in enumerate(beam_search(step, 2, BEGIN, MOST)):
        said: list[int] = []
        while len(said) < MOST and END not in said:
            said.append(int(of(owner, (BEGIN, *said)).argmax()))
        assert [piece for piece in row if piece != PAD] == said


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_every_example_is_searched_for_itself(seed, width):
    _, step = chances(seed)
    together = beam_search(step, 3, BEGIN, MOST, width)
    for owner in range(3):
        alone = beam_search(lambda said, owners, owner=owner: step(said, owners + owner), 1, BEGIN, MOST, width)
        np.testing.assert_array_equal(alone[0], together[owner])


def test_after_the_end_nothing_is_said():
    _, step = chances(11)
    for row in beam_search(step, 20, BEGIN, MOST, width=3):
        said = row.tolist()
        if END in said:
            assert set(said[said.index(END) + 1 :]) <= {PAD}
