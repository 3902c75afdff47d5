"""The texts that Keras downloads: film reviews and news."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from spiral_cli.data.download import downloaded
from spiral_cli.data.raw import Arrays, Raw, column
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

FIRST = 3  # 0 pads, 1 begins a text, 2 is a rare word; words are numbered by frequency from here on


@datasets.register("imdb", gives="texts")
def imdb(settings: Data) -> Raw:
    """50,000 film reviews, good or bad (Maas et al. 2011; downloaded by Keras)."""
    return read_set("imdb", ("negative", "positive"))


@datasets.register("reuters", gives="texts")
def reuters(settings: Data) -> Raw:
    """11,228 news of 46 topics (Reuters-21578; downloaded by Keras)."""
    return read_set("reuters", downloaded("reuters", "get_label_names"))


def read_set(name: str, classes: Sequence[str]) -> Raw:
    """Return a set of `keras.datasets` with its words written out again.

    Raises:
        MissingError: it cannot be downloaded.
    """
    (x, y), (test_x, test_y) = downloaded(name, "load_data")
    words = {number + FIRST: word for word, number in downloaded(name, "get_word_index").items()}
    return Raw.of({"train": Arrays(texts(x, words), y), "test": Arrays(texts(test_x, words), test_y)}, classes)


def texts(rows: Iterable[Sequence[int]], words: dict[int, str]) -> np.ndarray:
    """Return the texts (n,) whose numbers ``rows`` are lists of."""
    return column([" ".join(words[number] for number in row if number in words) for row in rows])
