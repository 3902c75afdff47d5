"""The exports of a run: each made, proved, shipped under its name, or left out with the reason."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras

from spiral_cli import registry
from spiral_cli.data.preprocessing import model_inputs
from spiral_cli.errors import DiskFullError, InterruptedRun
from spiral_cli.evaluate import Evaluator
from spiral_cli.events import Listener, Notice
from spiral_cli.export.apart import Apart
from spiral_cli.export.artifact import Chosen
from spiral_cli.export.proof import Proof, Unfit, failed
from spiral_cli.run import Ledger, RunFolder, atomic_path, files_in, remove
from spiral_cli.runtimes.session import first_line
from spiral_cli.training.control import Alone, Control

Entry = Mapping[str, Any]
TRIED = 2  # examples that every converted file is run on where it was made


def export_student(
    kinds: Sequence[str], student: Evaluator, teacher: Evaluator, run: RunFolder, listen: Listener, control: Control
) -> list[Entry]:
    """Write the chosen student, which lies in the run, as each of ``kinds``; return the report's entries.

    What an earlier call shipped of the same student is not made again. A failure is an entry.

    Raises:
        DiskFullError, InterruptedRun: what is finished stays.
    """
    task = student.task
    example = model_inputs(task.dataset.validation.x[:TRIED], task.preprocessing)
    if len(kinds) > 1:
        listen(Notice(f"exporting to {', '.join(kinds)}"))
    with Apart(task.recipe, example) as apart:
        # What is chosen is written, however late it is, and by the worker who leads alone.
        own = replace(control, max_minutes=None, together=Alone())
        chosen = Chosen(run.student, student, teacher, run, apart, listen, own)
        stage = Stage(chosen, Proof(chosen), listen)
        return [stage.exported(kind) for kind in kinds]


def sweep(run: RunFolder, entries: Sequence[Entry]) -> None:
    """Remove the exports that are not in the run's report; a person's own files beside them stay."""
    listed = {run.root / entry["path"] for entry in entries if entry["path"]}
    written = {run.root / part.facts["file"] for part in registry.exporters.parts().values()}
    for path in written - listed:
        if path.is_relative_to(run.exports):
            remove(path)


def shipped(run: RunFolder, entries: Sequence[Entry]) -> tuple[Path, ...]:
    """Return the files of a run's exports."""
    return tuple(file for entry in entries if entry["path"] for file in files_in(run.root / entry["path"]))


@dataclass(frozen=True)
class Stage:
    """Exports one student; the teacher's counterparts, which are made on the way, serve several kinds."""

    chosen: Chosen
    proof: Proof
    listen: Listener
    counterparts: dict[str, Path | None] = field(default_factory=dict)

    def exported(self, kind: str) -> Entry:
        """Return the entry of one kind: of the file that is there already, or of one made now."""
        ledger, key = Ledger(self.chosen.run), self._key()
        record = next((one for one in ledger.read() if one["event"] == "export" and one["kind"] == kind), None)
        if record is not None and record["key"] == key and not ledger.damaged(record):
            return record["entry"]
        self.chosen.control.check()
        ledger.drop(lambda one: one["event"] == "export" and one["kind"] == kind)
        try:
            entry = self._shipped(kind)
        except (DiskFullError, InterruptedRun):
            raise
        except Exception as error:  # of any exporter or runtime: a failure is an entry, not the end of the run
            reason = first_line(error)
            self.listen(Notice(f"export to {kind} failed and is not shipped: {reason}", "warning"))
            return failed(kind, reason, error.facts if isinstance(error, Unfit) else {})
        files = tuple(files_in(self.chosen.run.root / entry["path"]))
        ledger.append("export", kind=kind, key=key, entry=entry, files=files)
        return entry

    def _shipped(self, kind: str) -> Entry:
        """Make and prove a file; only one that is fit gets its name, and one of that name goes before."""
        facts = registry.exporters.part(kind).facts
        path = self.chosen.run.root / facts["file"]
        if path.is_relative_to(self.chosen.run.exports):
            remove(path)
        with atomic_path(path) as temporary:
            registry.exporters.get(kind)(self.chosen, temporary)
            measured = self.proof(temporary, self._counterpart(facts["beside"]))
        shipped = {"kind": kind, "path": self.chosen.run.relative(path), "status": "ok", "reason": None}
        return {**shipped, **measured}

    def _counterpart(self, kind: str) -> Path | None:
        """Return the teacher's file of a kind, or None where it cannot be made."""
        if kind not in self.counterparts:
            path = self.chosen.apart.folder / Path(registry.exporters.part(kind).facts["file"]).name
            self.counterparts[kind] = path
            try:
                registry.exporters.get(kind)(self.chosen.counterpart(), path)
            except Exception as error:  # as of the student's
                self.listen(Notice(f"the teacher cannot be exported to {kind}: {first_line(error)}"))
                self.counterparts[kind] = None
        return self.counterparts[kind]

    def _key(self) -> str:
        """Return a digest of the student and of what exports depend on beside it."""
        settings = json.dumps(self.chosen.settings.model_dump(exclude={"to"}))
        return f"{identity(self.chosen.model)}-{hashlib.blake2b(settings.encode(), digest_size=8).hexdigest()}"


def identity(model: keras.Model) -> str:
    """Return 32 hexadecimal digits of a model's weights, whatever file they were in.

    Not of all its variables: the seeds of dropout are others whenever a model is loaded.
    """
    digest = hashlib.blake2b(digest_size=16)
    for weight in model.weights:
        digest.update(f"{weight.path} {weight.shape}".encode() + weight.numpy().tobytes())
    return digest.hexdigest()
