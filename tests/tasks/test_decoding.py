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
    """Return all sequences with what they are worth, the best first."""
    found = []
    for length in range(1, MOST + 1):
        for said in itertools.product(range(1, PIECES), repeat=length):
            if END in said[:-1] or (said[-1] != END and length < MOST):
                continue
            score = sum(of(owner, (BEGIN, *said[:place]))[piece] for place, piece in enumerate(said))
            found.append((score / length**penalty, list(said)))
    return sorted(found, reverse=True)


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
