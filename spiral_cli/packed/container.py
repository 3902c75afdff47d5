"""The packed file: what it begins with, what it says of itself, and its checksum.

::

    5 bytes    ``SPKD`` and the version of the format
    8 bytes    BLAKE2b of all other bytes
    4 bytes    n, little-endian
    n bytes    deflated JSON: {"keras": version, "model": its configuration, "variables": [[path, type, shape], …]}
    the rest   the arrays of the variables in order, from one range coder (see `arrays`)

The first 13 bytes, and what the checksum covers, stay the same in all versions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.errors import MissingError
from spiral_cli.packed.arrays import Kind, decode_arrays, encode_arrays, kind_of
from spiral_cli.packed.phrases import deflate, inflate

MAGIC = b"SPKD"
VERSION = 1
START = len(MAGIC) + 1
DIGEST_BYTES = 8
LENGTH_BYTES = 4


@dataclass(frozen=True)
class Packed:
    """What a packed file holds.

    Attributes:
        keras: the version of Keras that described the model.
        model: its configuration, as Keras serialises it.
        arrays: its variables by path, in order.
    """

    keras: str
    model: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


def to_bytes(packed: Packed) -> bytes:
    """Return the file's bytes; the same content gives the same bytes.

    Raises:
        ValueError: a variable holds no numbers, or the configuration is not JSON.
    """
    kinds = {path: kind_of(array) for path, array in packed.arrays.items()}
    variables = [(path, kind.dtype, kind.shape) for path, kind in kinds.items()]
    facts = {"keras": packed.keras, "model": packed.model, "variables": variables}
    header = deflate(json.dumps(facts, separators=(",", ":"), allow_nan=False))
    body = len(header).to_bytes(LENGTH_BYTES, "little") + header + encode_arrays(list(packed.arrays.values()))
    start = MAGIC + bytes([VERSION])
    return start + digest(start, body) + body


def read_packed(path: Path) -> Packed:
    """Return what a packed file holds.

    Raises:
        MissingError: there is no such file, or as `from_bytes`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MissingError(f"cannot read {path}: {error.strerror}") from error
    return from_bytes(content, str(path))


def from_bytes(content: bytes, name: str) -> Packed:
    """Return what a packed file holds; nothing of it is looked at before its checksum is right.

    Args:
        content: the file's bytes.
        name: what messages call it.

    Raises:
        MissingError: it is no packed file, damaged, or of a version this spiral does not know.
    """
    start, stated, body = content[:START], content[START : START + DIGEST_BYTES], content[START + DIGEST_BYTES :]
    if not start.startswith(MAGIC):
        raise MissingError(
            f"{name} is no packed file: it does not begin with {MAGIC.decode()}; name one that the export packed wrote"
        )
    if digest(start, body) != stated:
        raise MissingError(f"{name} is damaged or cut short: its content does not match its checksum; copy it again")
    if start[-1] != VERSION:
        raise MissingError(
            f"{name} is a packed file of version {start[-1]}, and this spiral reads version {VERSION}; use a newer one"
        )
    try:
        return parsed(body)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError) as error:
        raise MissingError(f"{name} was not written by spiral, though its checksum is right: {error}") from error


def parsed(body: bytes) -> Packed:
    """Return the content of a file whose checksum is right."""
    end = LENGTH_BYTES + int.from_bytes(body[:LENGTH_BYTES], "little")
    facts = json.loads(inflate(body[LENGTH_BYTES:end]))
    variables: Sequence[tuple[str, str, list[int]]] = facts["variables"]
    kinds = [Kind(dtype, tuple(shape)) for _, dtype, shape in variables]
    arrays = decode_arrays(body[end:], kinds)
    return Packed(facts["keras"], facts["model"], dict(zip((path for path, *_ in variables), arrays, strict=True)))


def digest(start: bytes, body: bytes) -> bytes:
    """Return the checksum of all bytes of a file but its own."""
    return hashlib.blake2b(start + body, digest_size=DIGEST_BYTES).digest()
