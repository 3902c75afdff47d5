"""Training states on disk: arrays and a little JSON in one checksummed file, never pickle."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.errors import SpiralError
from spiral_cli.run import atomic_path

FAMILY = b"SPIRAL-STATE-"
MAGIC = FAMILY + b"2\n"
DIGEST_BYTES = 32


class DamagedError(SpiralError):
    """A state file does not match its checksum, or another version of spiral wrote it."""


def write_state(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write ``arrays`` and ``facts`` atomically.

    The file is a magic line, the BLAKE2b digest of what follows, a line of JSON (the facts, and
    name, type and shape of each array), and the bytes of the arrays one after the other.

    Raises:
        ValueError: an array holds Python objects.
        DiskFullError, SpiralError: as `disk_errors`; nothing that lay there before has changed.
    """
    with atomic_path(path) as temporary:
        _fill(temporary, arrays, facts)


def _fill(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write the file piece by piece: a state of hundreds of megabytes is not copied once more."""
    values = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    if objects := [name for name, value in values.items() if value.dtype.hasobject]:
        raise ValueError(f"Object arrays cannot be stored without pickle: {', '.join(objects)}")
    index = [(name, value.dtype.name, value.shape) for name, value in values.items()]
    header = json.dumps({"facts": dict(facts), "arrays": index}).encode() + b"\n"
    parts: list[bytes | memoryview] = [header, *(value.reshape(-1).view(np.uint8).data for value in values.values())]
    digest = _new_digest()
    with path.open("wb") as file:
        file.write(MAGIC + bytes(DIGEST_BYTES))
        for part in parts:
            digest.update(part)
            file.write(part)
        file.seek(len(MAGIC))
        file.write(digest.digest())


def read_state(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_state` wrote.

    The checksum is tested before anything else is read, so what is read needs no further tests.

    Raises:
        DamagedError: the file is cut short, changed, of another version, or not such a file.
        FileNotFoundError: there is none.
    """
    with path.open("rb") as file:
        magic, digest = file.read(len(MAGIC)), file.read(DIGEST_BYTES)
        if magic != MAGIC and magic.startswith(FAMILY):
            raise DamagedError(f"{path} was written by another version of spiral, or is damaged")
        if magic != MAGIC or hashlib.file_digest(file, _new_digest).digest() != digest:
            raise DamagedError(f"{path} is damaged: its content does not match its checksum")
        file.seek(len(MAGIC) + DIGEST_BYTES)
        header = json.loads(file.readline())
        arrays = {
            name: np.fromfile(file, dtype, math.prod(shape)).reshape(shape) for name, dtype, shape in header["arrays"]
        }
        return arrays, header["facts"]


def _new_digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


def previous(path: Path) -> Path:
    """Return where the checkpoint before the latest one lies."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def rotate_state(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint and keep the one before it, in case the new one is damaged later.

    Until the new one is whole both older ones lie untouched, so the disk needs room for three.

    Raises:
        DiskFullError, SpiralError, ValueError: as `write_state`.
    """
    with atomic_path(path) as temporary:
        _fill(temporary, arrays, facts)
        if path.exists():
            path.replace(previous(path))


def newest_good(path: Path) -> tuple[dict[str, np.ndarray] | None, dict[str, Any], list[DamagedError]]:
    """Return the newest intact checkpoint (arrays and facts, or None and {}) and why others were passed over."""
    refused = []
    for candidate in (path, previous(path)):
        try:
            arrays, facts = read_state(candidate)
        except FileNotFoundError:
            continue
        except DamagedError as error:
            refused.append(error)
            continue
        return arrays, facts, refused
    return None, {}, refused


def remove_states(path: Path) -> None:
    """Remove a checkpoint and the one before it: their stage has ended and no write is under way."""
    path.unlink(missing_ok=True)
    previous(path).unlink(missing_ok=True)
