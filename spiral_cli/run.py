"""The run folder: every file name in one place, atomic writes, the lock and the ledger."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spiral_cli.errors import DiskFullError, RunMismatchError, SpiralError

TEMPORARY = ".spiral-tmp-"
UNWRITABLE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOENT, errno.ENODEV),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
)


@dataclass(frozen=True)
class RoundFolder:
    """The files of one round; ``00`` is the dense student the spiral starts from."""

    root: Path

    @property
    def student(self) -> Path:
        """The accepted student as a plain Keras file."""
        return self.root / "student.keras"

    @property
    def state(self) -> Path:
        """Exact variables and masks of the accepted student, from which the next round goes on."""
        return self.root / "state.spiral"

    def failed(self, attempt: int) -> Path:
        """A student that missed the budget, kept where it was the best so far and none had met it."""
        return self.root / f"outside-budget-{attempt}.keras"

    def narrow(self, attempt: int) -> Path:
        """The student of a try just after channels have left it."""
        return self.root / f"attempt-{attempt}.keras"

    def wide_checkpoint(self, attempt: int) -> Path:
        """The training state of a try before channels leave."""
        return self.root / f"attempt-{attempt}-wide.spiral"

    def checkpoint(self, attempt: int) -> Path:
        """The training state of a try that is under way."""
        return self.root / f"attempt-{attempt}.spiral"


@dataclass(frozen=True)
class RunFolder:
    """The names of everything a run leaves on disk. All paths stored inside are relative to ``root``."""

    root: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.root / "recipe.yaml"

    @property
    def ledger(self) -> Path:
        """One JSON record a line for each finished stage."""
        return self.root / "ledger.jsonl"

    @property
    def teacher(self) -> Path:
        """The teacher as a Keras file."""
        return self.root / "teacher.keras"

    @property
    def teacher_checkpoint(self) -> Path:
        """The teacher's training state while it trains."""
        return self.root / "teacher.spiral"

    @property
    def student(self) -> Path:
        """The chosen student as a Keras file."""
        return self.root / "student.keras"

    @property
    def exports(self) -> Path:
        """Files of the chosen student for other runtimes."""
        return self.root / "exports"

    @property
    def preprocessing(self) -> Path:
        """What turns a raw image into the student's input, and the class names."""
        return self.root / "preprocessing.json"

    @property
    def report(self) -> Path:
        """The machine-readable result."""
        return self.root / "report.json"

    @property
    def rounds_csv(self) -> Path:
        """The rounds as a table."""
        return self.root / "rounds.csv"

    @property
    def details(self) -> Path:
        """What the page shows beside the report: layers, classes, examples on which teacher and student disagree."""
        return self.root / "details.json"

    @property
    def page(self) -> Path:
        """The result for people: one file that any browser opens."""
        return self.root / "report.html"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard event files, where asked for."""
        return self.root / "tensorboard"

    @property
    def targets(self) -> Path:
        """What teachers say of the training inputs, where it is too large for memory."""
        return self.root / "targets"

    @property
    def sensitivity_csv(self) -> Path:
        """What each layer loses by itself, as `spiral sensitivity` measured it."""
        return self.root / "sensitivity.csv"

    @property
    def sensitivity_page(self) -> Path:
        """The same as a page."""
        return self.root / "sensitivity.html"

    @property
    def lock(self) -> Path:
        """Held by the process that works in this folder."""
        return self.root / ".lock"

    def round(self, number: int) -> RoundFolder:
        """Return the files of round ``number``."""
        return RoundFolder(self.root / "rounds" / f"{number:02d}")

    def relative(self, path: Path) -> str:
        """Return ``path`` as it is written inside the run's own files."""
        return path.relative_to(self.root).as_posix()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the folder for this process, so that two never work in one run.

        Raises:
            RunMismatchError: another process holds it.
        """
        from filelock import FileLock, Timeout

        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock)
        try:
            with disk_errors(self.root):
                lock.acquire(timeout=0)
        except Timeout:
            raise RunMismatchError(
                f"{self.root} is in use by another spiral process; wait for it, stop it, or give --run another folder"
            ) from None
        try:
            places = (
                self.root,
                self.targets,
                self.exports,
                *self.root.glob("rounds/*"),
            )  # not below: other runs lie there
            for place in places:
                for leftover in place.glob(f"{TEMPORARY}*"):
                    remove(leftover)
            yield
        finally:
            lock.release()

    def owned(self) -> tuple[Path, ...]:
        """Return all files and folders that a run leaves, there or not; the ledger, which says so, comes last."""
        models = (self.teacher, self.student, self.preprocessing)
        results = (self.report, self.rounds_csv, self.details, self.page)
        measured = (self.sensitivity_csv, self.sensitivity_page)
        states = self.root.glob("teacher*.spiral")
        folders = (self.root / "rounds", self.exports, self.targets, self.tensorboard)
        return (self.recipe, *models, *results, *measured, *states, *folders, self.ledger)

    def clear(self) -> None:
        """Remove what a run leaves, and nothing else that lies in the folder: the run starts over."""
        for path in self.owned():
            remove(path)


def files_in(path: Path) -> list[Path]:
    """Return a file, or the files below a folder in order."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals at ``path`` into errors a person can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            raise DiskFullError(
                f"the disk is full at {path}; what was written before is intact: "
                "free some space and run the same command again to resume"
            ) from error
        if error.errno in UNWRITABLE:
            raise SpiralError(f"cannot write {path}: {error.strerror}; give another place") from error
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; it becomes ``path`` only if the block ends well."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{path.name}")
        try:
            yield temporary
            if temporary.is_dir() and path.is_dir():
                remove(path)  # only a file is replaced in one step
            os.replace(temporary, path)
        finally:
            remove(temporary)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file, or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file, or nothing."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, or nothing. NaN is refused: it is not JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def checksum(path: Path) -> str:
    """Return the BLAKE2b digest of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@dataclass(frozen=True)
class Ledger:
    """What has been finished in a run, in order. Each record names its files with their checksums."""

    run: RunFolder

    def read(self) -> list[dict[str, Any]]:
        """Return all records; a line that is not JSON (a torn disk) ends the list."""
        records: list[dict[str, Any]] = []
        if self.run.ledger.exists():
            for line in self.run.ledger.read_text("utf-8", errors="replace").splitlines():
                try:
                    records.append(json.loads(line))
                except ValueError:
                    break
        return records

    def write(self, records: list[dict[str, Any]]) -> None:
        """Replace the ledger by ``records``."""
        lines = (json.dumps(record, allow_nan=False) + "\n" for record in records)
        write_text(self.run.ledger, "".join(lines))

    def append(self, event: str, *, files: tuple[Path, ...] = (), **facts: Any) -> dict[str, Any]:
        """Add one record and return it; ``files`` are stored with their checksums."""
        sums = {self.run.relative(path): checksum(path) for path in files}
        record = {"event": event, **facts, "files": sums}
        self.write([*self.read(), record])
        return record

    def find(self, event: str) -> dict[str, Any] | None:
        """Return the latest record of ``event``, or None."""
        return next((record for record in reversed(self.read()) if record["event"] == event), None)

    def drop(self, unwanted: Callable[[Mapping[str, Any]], bool]) -> None:
        """Forget the records for which ``unwanted`` is true."""
        self.write([record for record in self.read() if not unwanted(record)])

    def renew(self, event: str, path: Path) -> None:
        """Store the present checksum of ``path``, one of the files of the latest record of ``event``."""
        records = self.read()
        record = next(record for record in reversed(records) if record["event"] == event)
        record["files"][self.run.relative(path)] = checksum(path)
        self.write(records)

    def damaged(self, record: Mapping[str, Any]) -> list[str]:
        """Return the record's files that are missing or do not match their checksum."""
        return [
            name
            for name, digest in record["files"].items()
            if not (self.run.root / name).is_file() or checksum(self.run.root / name) != digest
        ]
