"""Texts that tensorflow-datasets has prepared, read without it."""

from __future__ import annotations

from spiral_cli.data.formats.tfds import read_parts
from spiral_cli.data.raw import Arrays, Raw, column
from spiral_cli.data.shards import Shards
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


@datasets.register("tfds_text", needs=("path",), gives="texts")
def tfds_text(settings: Data) -> Raw:
    """A version folder of texts that tensorflow-datasets has prepared as TFRecord, such as imdb_reviews/plain_text."""
    parts, classes = read_parts(settings, "Text", looking=False)
    return Raw.of({part: Arrays(column(texts(shards)), shards.labels) for part, shards in parts.items()}, classes)


def texts(shards: Shards) -> list[str]:
    """Return the text of every record; MissingError names one that is no UTF-8."""
    found = []
    for row in range(len(shards)):
        example = shards.example(row)
        value = example.value(shards.keys.content)
        found.append(example.text(value) if isinstance(value, bytes) else "")  # empty, which is counted later
    return found
