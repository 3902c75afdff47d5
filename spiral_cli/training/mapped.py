"""Arrays too large for memory: written to disk once, checked, and mapped from there."""

from __future__ import annotations

import errno
import json
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from spiral_cli.run import TEMPORARY, checksum, disk_errors, write_json

SUMS = "sums.json"
Block = Mapping[str, np.ndarray]


def mapped(folder: Path, rows: int, blocks: Iterable[Block]) -> dict[str, np.memmap]:
    """Return arrays by name, mapped from ``folder``; write them there first where they are not, or not intact.

    Args:
        folder: of these arrays alone; its name stands for all they depend on.
        rows: in all.
        blocks: the next rows of every array, in order; not asked for where the arrays are there.
    """
    arrays = intact(folder, rows)
    if arrays is None:
        with disk_errors(folder):
            publish(folder, lambda place: write(place, rows, blocks))
        arrays = intact(folder, rows)
        assert arrays is not None
    return arrays


def publish(folder: Path, make: Callable[[Path], None]) -> None:
    """Let ``make`` fill a new folder beside ``folder``, then put it there: others may do the same at the same time."""
    making = folder.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{folder.name}")
    making.mkdir(parents=True)
    try:
        make(making)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            making.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another was quicker: its arrays are the same
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)


def intact(folder: Path, rows: int) -> dict[str, np.memmap] | None:
    """Return the arrays in ``folder``, or None where one is missing, damaged or of another length."""
    try:
        sums = json.loads((folder / SUMS).read_text("utf-8"))
        if any(checksum(folder / file) != digest for file, digest in sums.items()):
            return None
        arrays = {Path(file).stem.replace("-", "/"): np.load(folder / file, mmap_mode="r") for file in sums}
    except (OSError, ValueError):
        return None
    return arrays if all(len(array) == rows for array in arrays.values()) else None


def write(folder: Path, rows: int, blocks: Iterable[Block]) -> None:
    """Write ``blocks`` one after the other; the checksums come last and say that all is there."""
    arrays: dict[str, np.memmap] = {}
    done = 0
    for block in blocks:
        for name, part in block.items():
            if name not in arrays:
                file = folder / f"{name.replace('/', '-')}.npy"
                arrays[name] = np.lib.format.open_memmap(file, "w+", part.dtype, (rows, *part.shape[1:]))
            arrays[name][done : done + len(part)] = part
        done += len(next(iter(block.values())))
    for array in arrays.values():
        array.flush()
    write_json(folder / SUMS, {file.name: checksum(file) for file in sorted(folder.glob("*.npy"))})
