"""A part of a set that lies in TFRecord shards: where each record is and what it shows, and its images as a stream."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from spiral_cli.data.examples import Example, Keys
from spiral_cli.data.image_files import Look, common_shape, decode
from spiral_cli.data.raw import Arrays, Raw, stated_size
from spiral_cli.data.records import read_record, records
from spiral_cli.data.stream import Stream
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data


@dataclass(frozen=True)
class Shards:
    """The index of one part: less than 100 bytes for each of n records, and no image.

    Attributes:
        files: in order.
        first: (files + 1,) the row of each file's first record, and n.
        places: (n,) where each record's bytes begin in its file.
        lengths: (n,) how many they are.
        labels: (n,) class numbers int64, or names.
        texts: (n,) numbers of the names beside class numbers in ``names``, or empty.
        names: as met.
        looks: (n, 3) height, width and 1 for grey; or (0, 3) where nobody asked.
        keys: where an example holds what.
    """

    files: Sequence[Path]
    first: np.ndarray
    places: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    texts: np.ndarray
    names: Sequence[str]
    looks: np.ndarray
    keys: Keys

    def __len__(self) -> int:
        return len(self.places)

    def where(self, row: int) -> tuple[Path, int]:
        """Return a record's file, and its number in it."""
        file = int(np.searchsorted(self.first, row, "right")) - 1
        return self.files[file], row - int(self.first[file])

    def name(self, row: int) -> str:
        """Return what messages call a record."""
        return record_name(*self.where(row))

    def example(self, row: int) -> Example:
        """Read one record."""
        file, number = self.where(row)
        record = read_record(file, int(self.places[row]), int(self.lengths[row]))
        return Example.parse(record, record_name(file, number))

    def looked(self) -> Iterator[tuple[str, Look]]:
        """Yield name and `Look` of each image."""
        for row, (height, width, grey) in enumerate(self.looks.tolist()):
            yield self.name(row), Look((height, width), bool(grey))

    def stream(self, channels: int, size: tuple[int, int]) -> Stream:
        """Return the images as (n, height, width, channels), unread; ``size`` is (height, width)."""

        def read(row: int) -> np.ndarray:
            return self.example(row).image(self.keys, lambda image: decode(image, channels, size))

        names = (f"{file.name} {file.stat().st_size}\n" for file in self.files)
        stamp = f"{channels} {size} {self.keys}\n{''.join(names)}"
        return Stream(read, np.arange(len(self)), (*size, channels), stamp)


def record_name(file: Path, number: int) -> str:
    """Return what messages call a record; ``number`` counts from 0 in its file."""
    return f"{file}, record {number}"


def index(files: Sequence[Path], keys: Keys, looking: bool) -> Shards:
    """Read all records of ``files`` once, one after the other.

    Args:
        files: at least one.
        keys: where an example holds what.
        looking: look at the images' heads, too.

    Raises:
        MissingError: a file or a record cannot be used, or there is none.
    """
    first, places, lengths, labels, texts, looks = (array("q") for _ in range(6))
    names: dict[str, int] = {}
    kinds: set[type] = set()
    for file in files:
        first.append(len(places))
        for number, (place, record) in enumerate(records(file)):
            example = Example.parse(record, record_name(file, number))
            label, text = example.label(keys), example.value(keys.text)
            kinds.add(type(label))
            if len(kinds) > 1:
                raise MissingError(f"{example.name} has the label {label!r}, but labels are all numbers or all names")
            places.append(place)
            lengths.append(len(record))
            labels.append(label if isinstance(label, int) else names.setdefault(label, len(names)))
            if isinstance(label, int) and isinstance(text, bytes):
                texts.append(names.setdefault(example.text(text), len(names)))
            if looking:
                looks.extend(example.look(keys))
    if not places:
        raise MissingError(f"{', '.join(map(str, files[:3]))}: there is no record in any of {len(files)} files")
    first.append(len(places))
    y = np.array(labels) if kinds == {int} else np.array([*names])[labels]
    return Shards(
        files,
        first=np.array(first),
        places=np.array(places),
        lengths=np.array(lengths),
        labels=y,
        texts=np.array(texts),
        names=[*names],
        looks=np.array(looks).reshape(-1, 3),
        keys=keys,
    )


def names_beside(shards: Shards) -> tuple[str, ...] | None:
    """Return the class names that stand beside class numbers, or None.

    They are what every record says, one name for each number from 0 and no name twice.
    """
    if len(shards.texts) != len(shards):
        return None
    pairs = np.unique(np.stack([shards.labels, shards.texts]), axis=1)  # (2, pairs), sorted by class number
    unique = np.array_equal(pairs[0], np.arange(pairs.shape[1])) and len(set(pairs[1].tolist())) == pairs.shape[1]
    return tuple(shards.names[text] for text in pairs[1]) if unique else None


def check_labels(shards: Shards, count: int | None, names: Sequence[str] | None) -> None:
    """Refuse a label outside the classes.

    Args:
        shards: with class numbers, or names.
        count: how many classes there are, or None where nobody says.
        names: the classes' names, or None.

    Raises:
        MissingError: with the first such record.
    """
    if shards.labels.dtype.kind == "U":
        wrong = np.zeros(len(shards), bool) if names is None else ~np.isin(shards.labels, list(names))
        allowed = f"one of {', '.join(names or ())}"
    else:
        wrong = (shards.labels < 0) | (shards.labels >= (count or np.inf))
        allowed = f"0 to {count - 1}" if count else "0, 1, 2, …"
    if wrong.any():
        row = int(np.argmax(wrong))
        raise MissingError(
            f"{shards.name(row)} has the label {shards.labels[row]}; allowed is {allowed} ({int(wrong.sum())} of "
            f"{len(shards)} records are outside): mend the shards, or the list of classes"
        )


def raw_from_shards(parts: Mapping[str, Shards], settings: Data, classes: Sequence[str] | None) -> Raw:
    """Return parts as one set of streams with the channels and size that the recipe states or the images have.

    Raises:
        MissingError: sizes differ and the recipe states none.
    """
    looks = chain.from_iterable(shards.looked() for shards in parts.values())
    channels, size = common_shape(looks, settings.channels, stated_size(settings))
    arrays = {part: Arrays(shards.stream(channels, size), shards.labels) for part, shards in parts.items()}
    return Raw.of(arrays, classes)
