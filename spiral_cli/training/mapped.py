"""Arrays too large for memory: written to disk once, checked, and mapped from there."""

from __future__ import annotations

import errno
import json
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from spiral_cli.errors import SpiralError
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
        with disk_errors(folder), beside(folder) as making:
            write(making, rows, blocks)
            if not placed(making, folder) and intact(folder, rows) is None:
                # What lies there is damaged. Otherwise another was quicker, and its arrays are the same.
                with beside(folder) as damaged:
                    folder.rename(damaged / folder.name)
                placed(making, folder)
        arrays = intact(folder, rows)
    if arrays is None:
        raise SpiralError(f"{folder} is damaged as soon as it is written; look after the disk")
    return arrays


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside ``folder``; what is still in it at the end is removed."""
    making = folder.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{folder.name}")
    making.mkdir(parents=True)
    try:
        yield making
    finally:
        shutil.rmtree(making, ignore_errors=True)


def placed(making: Path, folder: Path) -> bool:
    """Move a folder to its name; say whether the name was free."""
    try:
        making.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


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
