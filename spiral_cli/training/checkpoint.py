"""Training states on disk: arrays and a little JSON in one checksummed file, never pickle."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.errors import SpiralError
from spiral_cli.run import write_bytes

MAGIC = b"SPIRAL-STATE-1\n"
DIGEST_BYTES = 32
FACTS = "facts.json"


class DamagedError(SpiralError):
    """A state file does not match its checksum."""


def write_state(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write ``arrays`` and ``facts`` atomically.

    The file is a magic line, the BLAKE2b digest of what follows, and an uncompressed zip of
    ``.npy`` members with the facts as JSON.
    """
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(FACTS, json.dumps(dict(facts)))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    content = body.getbuffer()
    digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
    write_bytes(path, b"".join([MAGIC, digest, content]))


def read_state(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_state` wrote.

    Raises:
        DamagedError: the file is cut short, changed, or not such a file.
        FileNotFoundError: there is none.
    """
    content = path.read_bytes()
    start = len(MAGIC) + DIGEST_BYTES
    digest = content[len(MAGIC) : start]
    body = content[start:]
    if content[: len(MAGIC)] != MAGIC or hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest() != digest:
        raise DamagedError(f"{path} is damaged: its content does not match its checksum")
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        for name in archive.namelist():
            if name != FACTS:
                with archive.open(name) as member:
                    arrays[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
        return arrays, json.loads(archive.read(FACTS))


def previous(path: Path) -> Path:
    """Return where the checkpoint before the latest one lies."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def rotate_state(path: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint and keep the one before it, in case the new one is damaged later."""
    if path.exists():
        path.replace(previous(path))
    write_state(path, arrays, facts)


def newest_good(path: Path) -> tuple[dict[str, np.ndarray] | None, dict[str, Any], list[Path]]:
    """Return the newest intact checkpoint (arrays and facts, or None and {}) and the damaged files met."""
    damaged = []
    for candidate in (path, previous(path)):
        try:
            arrays, facts = read_state(candidate)
        except FileNotFoundError:
            continue
        except (DamagedError, zipfile.BadZipFile, ValueError):
            damaged.append(candidate)
            continue
        return arrays, facts, damaged
    return None, {}, damaged


def remove_states(path: Path) -> None:
    """Remove a checkpoint and the one before it: their stage has ended."""
    path.unlink(missing_ok=True)
    previous(path).unlink(missing_ok=True)
