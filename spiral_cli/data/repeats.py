"""Examples that a model is measured on although it has learnt from them."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

WORTH_TELLING = 0.01  # of a part: most sets have a few


def repeats(examples: Mapping[str, Sequence[Hashable]]) -> list[str]:
    """Return a sentence for validation and test if some of their examples, one in a hundred or more, are train's, too.

    Args:
        examples: what tells each from others, its label aside, by part: a text, or a `mark`.
    """
    learnt, told = {*examples["train"]}, []
    for part, many in examples.items():
        found = sum(one in learnt for one in many) if part != "train" else 0
        if found and found >= WORTH_TELLING * len(many):
            told.append(
                f"{found} of {len(many)} {part} examples are in train, too: with these it is measured what a model "
                "remembers"
            )
    return told


def mark(row: np.ndarray) -> bytes:
    """Return a digest of the bytes of an array."""
    return hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest()
