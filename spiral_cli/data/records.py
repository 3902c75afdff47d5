"""TFRecord files: their records in order, and one record by its place.

A record is its length (uint64), the length's CRC-32C (uint32), the bytes, and their CRC-32C, all
little-endian; TensorFlow's reader checks both sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from spiral_cli.errors import MissingError

HEAD, FOOT = 12, 4  # bytes around those of a record
COMPRESSED = {b"\x1f\x8b": "GZIP", b"\x78\x9c": "ZLIB", b"\x78\x01": "ZLIB", b"\x78\xda": "ZLIB"}


def records(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield where each record's bytes begin in ``file``, and the bytes; only a few records are in memory.

    Raises:
        MissingError: the file is no TFRecord file, compressed, cut short or damaged.
    """
    number, place, told = 0, 0, ""
    try:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            yield place + HEAD, record
            number, place = number + 1, place + HEAD + len(record) + FOOT
    except tf.errors.OpError as error:
        told = f" ({error.message.partition('}} ')[2].partition(' [Op')[0]})"
    if told or place != file.stat().st_size:  # TensorFlow takes a file that ends in a record's head for whole
        raise MissingError(said_of_damage(file, number, told))


def said_of_damage(file: Path, number: int, told: str) -> str:
    """Return the message for a file whose first unreadable record is ``number``; ``told`` is TensorFlow's."""
    if number > 0:
        return f"{file}, record {number} is cut short or damaged{told}; copy or make the file again"
    with file.open("rb") as opened:
        begins = opened.read(2)
    if begins in COMPRESSED:
        return (
            f"{file} is compressed ({COMPRESSED[begins]}), so its records cannot be read one by one; write it without "
            "compression, the images in it are compressed already"
        )
    return f"{file} is no TFRecord file, or damaged at its start{told}; copy or make it again"


def read_record(file: Path, place: int, length: int) -> bytes:
    """Return the ``length`` bytes at ``place``; any number of threads may do so at once.

    Raises:
        MissingError: they are not there any more.
    """
    try:
        with file.open("rb", buffering=0) as opened:
            record = os.pread(opened.fileno(), length, place)
    except OSError as error:
        raise MissingError(f"{file} cannot be read ({error}); is it still there?") from error
    if len(record) != length:
        raise MissingError(f"{file} became shorter while it was used; copy or make it again")
    return record
