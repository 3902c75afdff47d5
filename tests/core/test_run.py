"""The run folder: whole files or none, an honest ledger, one process at a time."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

from spiral_cli.errors import DiskFullError, RunMismatchError, SpiralError
from spiral_cli.run import TEMPORARY, Ledger, RunFolder, atomic_path, disk_errors, files_in, write_json, write_text


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="midway"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("midway")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_a_folder_and_a_file_never_does(tmp_path):
    path = tmp_path / "model"
    for content in ("first", "second"):
        with atomic_path(path) as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
        assert os.listdir(path) == [content]
    with pytest.raises(SpiralError, match="cannot write"):
        write_text(path, "a file")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.mkdir()
        raise RuntimeError
    assert os.listdir(path) == ["second"]
    assert os.listdir(tmp_path) == ["model"]
    assert [file.name for file in files_in(path)] == ["second"]


def test_nan_is_not_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(tmp_path, number):
    with pytest.raises(DiskFullError, match="disk is full"), disk_errors(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.ENAMETOOLONG])
def test_a_place_that_cannot_be_written_is_named(tmp_path, number):
    with pytest.raises(SpiralError, match=rf"cannot write .*x: {os.strerror(number)}"), disk_errors(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


def test_records_carry_checksums_that_notice_damage(tmp_path):
    run = RunFolder(tmp_path)
    write_text(run.rounds_csv, "1,2,3\n")
    record = Ledger(run).append("round", files=(run.rounds_csv,), row={"round": 1})
    assert Ledger(run).damaged(record) == []
    run.rounds_csv.write_text("1,2,4\n")
    assert Ledger(run).damaged(record) == ["rounds.csv"]
    run.rounds_csv.unlink()
    assert Ledger(run).damaged(record) == ["rounds.csv"]


def test_a_torn_line_ends_the_ledger_and_the_lines_before_it_count(tmp_path):
    run = RunFolder(tmp_path)
    ledger = Ledger(run)
    ledger.append("teacher", seconds=1.0)
    ledger.append("round", row={"round": 1})
    text = run.ledger.read_text()
    run.ledger.write_text(text[:-5])
    assert [record["event"] for record in ledger.read()] == ["teacher"]


def test_find_gives_the_latest_and_drop_forgets(tmp_path):
    ledger = Ledger(RunFolder(tmp_path))
    ledger.append("round", row=1)
    ledger.append("round", row=2)
    assert ledger.find("round")["row"] == 2
    ledger.drop(lambda record: record.get("row") == 2)
    assert ledger.find("round")["row"] == 1
    assert ledger.find("teacher") is None


def test_paths_inside_are_relative(tmp_path):
    run = RunFolder(tmp_path)
    run.round(3).root.mkdir(parents=True)
    run.round(3).student.write_bytes(b"x")
    Ledger(run).append("round", files=(run.round(3).student,))
    assert list(json.loads(run.ledger.read_text())["files"]) == ["rounds/03/student.keras"]


HOLD = """
import sys, time
from pathlib import Path
from spiral_cli.run import RunFolder
with RunFolder(Path(sys.argv[1])).claimed():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_and_a_killed_one_lets_go(tmp_path):
    run = RunFolder(tmp_path / "run")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(run.root)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunMismatchError, match="in use"), run.claimed():
            pass
    finally:
        holder.kill()
        holder.wait()
    leftover = run.root / f"{TEMPORARY}abcd-report.json"
    anothers = run.root / "runs" / "other" / f"{TEMPORARY}abcd-report.json"
    anothers.parent.mkdir(parents=True)
    for file in (leftover, anothers):
        file.write_text("half")
    with run.claimed():
        assert not leftover.exists()
        assert anothers.exists(), "a run below this one is at work"


def test_starting_over_removes_what_a_run_leaves_and_nothing_else(tmp_path):
    run = RunFolder(tmp_path)
    mine = [tmp_path / "thesis.txt", tmp_path / "photos" / "cat.png", tmp_path / "my.keras"]
    theirs = [run.recipe, run.ledger, run.teacher, run.student, run.preprocessing, run.report, run.rounds_csv]
    theirs += [run.details, run.page, run.round(1).student, run.teacher_checkpoint, run.tensorboard / "events"]
    for path in (*mine, *theirs, run.lock):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    run.clear()
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {*mine, run.lock}
