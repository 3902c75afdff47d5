"""Saying a sequence piece by piece: beam search over whatever tells the next piece. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spiral_cli.data.tokenizer import END, PAD

Step = Callable[
    [np.ndarray, np.ndarray], np.ndarray
]  # said so far (n, t), whose it is (n,) -> log-probabilities (n, v)


def beam_search(step: Step, count: int, first: int, most: int, width: int = 1, penalty: float = 1.0) -> np.ndarray:
    """Return the best sequence of each of ``count`` examples that the search finds.

    Of every example the ``width`` likeliest beginnings are gone on with; among all that ended on the way the one with
    the largest log-probability by length^penalty is taken (Wu et al. 2016), and the likeliest beginning only where
    none did: what repeats itself for ever is likely piece by piece. With a width of 1 the search is greedy.

    Args:
        step: gives the log-probabilities of the next piece after each beginning.
        count: of examples.
        first: the piece that every sequence begins with; it is not part of the result.
        most: pieces that may be said, the end among them.
        width: beginnings that are kept.
        penalty: 0 prefers short sequences, 1 takes the mean of the log-probabilities.

    Returns:
        (count, most) int32: pieces up to `END`, then `PAD`.
    """
    said = np.full((count, width, most + 1), PAD, np.int32)
    said[:, :, 0] = first
    scores = np.full((count, width), -np.inf)
    scores[:, 0] = 0.0  # all beginnings are the same one
    ended = np.zeros((count, width), bool)
    owners = np.repeat(np.arange(count), width).reshape(count, width)
    worth, answers = np.full(count, -np.inf), np.zeros((count, most + 1), np.int32)  # of the best that ended
    for place in range(1, most + 1):
        going = ~ended & np.isfinite(scores)
        if not going.any():
            break
        following = step(said[going][:, :place], owners[going])
        candidates = np.full((count, width, following.shape[-1]), -np.inf)
        candidates[going] = scores[going][:, None] + following
        candidates[ended, PAD] = scores[ended]  # what has ended stays as it is
        flat = candidates.reshape(count, -1)
        best = np.argsort(-flat, axis=1, kind="stable")[:, :width] if width > 1 else flat.argmax(axis=1)[:, None]
        beams, pieces = best // following.shape[-1], best % following.shape[-1]
        scores = np.take_along_axis(flat, best, axis=1)
        said = np.take_along_axis(said, beams[..., None], axis=1)
        ended = np.take_along_axis(ended, beams, axis=1)
        said[:, :, place] = np.where(ended, PAD, pieces)
        ends = ~ended & (pieces == END)
        ended |= ends
        values = np.where(ends, scores / place**penalty, -np.inf)
        better = np.flatnonzero(values.max(axis=1) > worth)
        worth[better] = values[better].max(axis=1)
        answers[better] = said[better, values[better].argmax(axis=1)]
    unended = np.flatnonzero(np.isneginf(worth))
    answers[unended] = said[unended, scores[unended].argmax(axis=1)]
    return answers[:, 1:]
