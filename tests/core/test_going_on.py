"""A run that is taken up again: finished, interrupted, changed, damaged."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
from small_runs import Y, assert_sound, fitted, layers, run, small, write_data, write_recipe

from spiral_cli.compress import compress, train_teacher
from spiral_cli.errors import DiskFullError, InterruptedRun, MissingError, RunMismatchError, UsageError
from spiral_cli.events import Notice, silent
from spiral_cli.prepare import finished_report
from spiral_cli.recipe import load_recipe
from spiral_cli.run import Ledger, RunFolder, atomic_path
from spiral_cli.training import checkpoint, resume
from spiral_cli.training.control import Control


def test_another_recipe_is_refused_with_what_differs_and_a_teacher_can_be_lent(folder):
    run(write_recipe(folder))
    with pytest.raises(RunMismatchError, match=r"distill.alpha: the run has 0.5, the recipe 0.7"):
        run(write_recipe(folder, distill={"alpha": 0.7}))
    with pytest.raises(RunMismatchError, match=r"teacher.epochs"):
        run(write_recipe(folder, teacher={"model": "mlp", "epochs": 5}))
    told: list = []
    recipe = write_recipe(folder, distill={"alpha": 0.7})
    run(recipe, "other", told.append, teacher_from=folder / "run")
    assert not [event for event in told if getattr(event, "stage", "") == "teacher" and hasattr(event, "epoch")]
    assert (folder / "run" / "teacher.keras").read_bytes() == (folder / "other" / "teacher.keras").read_bytes()
    report, _ = run(recipe, fresh=True)
    assert report["status"] == "ok"


def test_selection_alone_may_change_in_a_finished_run(folder):
    first, _ = run(write_recipe(folder))
    told: list = []
    second, _ = run(write_recipe(folder, select="best"), listen=told.append)
    assert [row["nonzero"] for row in first["rounds"]] == [row["nonzero"] for row in second["rounds"]]
    assert not [event for event in told if type(event).__name__ == "EpochDone"]


def test_a_recipe_of_ones_own_in_the_run_folder_is_not_overwritten(folder):
    own = write_recipe(folder).rename(folder / "recipe.yaml")
    before = own.read_text()
    for fresh in (False, True):
        with pytest.raises(UsageError, match="was not written by a run"):
            compress(load_recipe(own), RunFolder(folder), listen=silent, control=Control(), fresh=fresh)
    assert own.read_text() == before


def test_changed_data_are_noticed(folder):
    run(write_recipe(folder))
    write_data(folder, np.roll(Y, 1))
    with pytest.raises(RunMismatchError, match="the data are not those"):
        run(write_recipe(folder))


def test_a_time_limit_ends_with_what_was_accepted_and_the_run_can_go_on(folder):
    recipe = write_recipe(folder, prune={"schedule": [0.3, 0.5, 0.8]})
    asked = []

    def listen(event):
        if type(event).__name__ == "RoundDone":
            asked.append(event)

    class Clock(Control):
        @property
        def out_of_time(self) -> bool:
            return self.max_minutes is not None and len(asked) == 1

    report, _ = run(recipe, listen=listen, control=Clock(max_minutes=1.0))
    assert report["status"] == "time_limit"
    assert len(report["rounds"]) == 1
    assert report["selected"]["round"] == 1
    report, where = run(recipe)
    assert len(report["rounds"]) == 3
    assert_sound(report, where)


def test_an_interruption_leaves_a_run_that_goes_on(folder):
    recipe, events = write_recipe(folder), []
    with pytest.raises(InterruptedRun):
        run(recipe, listen=events.append, control=Control(interrupted=lambda: len(events) > 12))
    told: list = []
    report, where = run(recipe, listen=told.append)
    assert_sound(report, where)
    assert not [event for event in told if isinstance(event, Notice) and event.level == "warning"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full, the disk that is always full")
@pytest.mark.parametrize(("last", "kept"), [(5, "teacher.spiral"), (9, "rounds/01/attempt-1.spiral")])
def test_a_full_disk_is_an_error_of_the_run_and_loses_nothing(folder, monkeypatch, last, kept):
    """The disk is full at the teacher's last checkpoint of 6, and at the third of a round, after the dense student."""
    recipe, writes = write_recipe(folder), []

    @contextmanager
    def filling(path):
        writes.append(path)
        with atomic_path(path) as temporary:
            if len(writes) > last:
                os.symlink("/dev/full", temporary)
            yield temporary

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "atomic_path", filling)
        with pytest.raises(DiskFullError, match=r"the disk is full at .*spiral; what was written before is intact"):
            run(recipe)
    assert len(writes) == last + 1
    _, facts = checkpoint.read_state(folder / "run" / kept)
    assert facts["epoch"] == (last if last < 6 else last - 7)
    assert_sound(*run(recipe))


@pytest.fixture
def slow_disk(monkeypatch):
    """Every checkpoint takes a while to write."""
    write = resume.rotate_state

    def slow(path, arrays, facts):
        time.sleep(0.3)
        write(path, arrays, facts)

    monkeypatch.setattr(resume, "rotate_state", slow)


def writers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("spiral-writer")]


def test_a_stop_waits_until_all_that_was_trained_is_written(folder, slow_disk):
    events: list = []
    with pytest.raises(InterruptedRun):
        run(write_recipe(folder), listen=events.append, control=Control(interrupted=lambda: in_round(events)))
    assert writers() == []
    _, facts = checkpoint.read_state(folder / "run" / "rounds" / "01" / "attempt-1.spiral")
    steps = 15  # 240 examples, 16 a step
    assert facts["epoch"] + facts["step"] / steps == events[-1].done > 3


def in_round(events: list) -> bool:
    return getattr(events[-1], "stage", "") == "round" and getattr(events[-1], "done", 0) > 3


def test_nothing_is_written_beside_the_record_of_a_stage(folder, slow_disk, monkeypatch):
    append, beside = Ledger.append, {}

    def looking(self, event, **facts):
        beside[event] = writers()
        return append(self, event, **facts)

    monkeypatch.setattr(Ledger, "append", looking)
    run(write_recipe(folder, student={"model": "mlp", "epochs": 2}))
    assert beside == {name: [] for name in ("opened", "teacher", "dense", "round", "export", "finished")}
    assert writers() == []
    left = {path.name for path in (folder / "run").rglob("*.spiral")}
    assert left == {"state.spiral"}


def test_a_stage_that_another_recipe_began_is_not_continued(folder):
    events: list = []
    with pytest.raises(InterruptedRun):
        run(write_recipe(folder), listen=events.append, control=Control(interrupted=lambda: len(events) > 4))
    assert (folder / "run" / "teacher.spiral").exists()
    recipe = write_recipe(folder, teacher={"model": "mlp", "epochs": 4, "learning_rate": 0.01, "batch_size": 32})
    changed, _ = run(recipe)
    whole, _ = run(recipe, "whole")
    assert changed["teacher"] == whole["teacher"]


def test_a_failed_student_that_is_damaged_is_made_again(folder):
    recipe = write_recipe(folder, guard={"monitor": "loss", "max_drop": 0.0, "patience": 1}, train={"epochs": 1})
    first, where = run(recipe)
    where.report.unlink()
    where.round(1).failed(1).write_bytes(b"no model")
    again, _ = run(recipe)
    assert again["selected"]["metrics"] == first["selected"]["metrics"]


def test_starting_over_loses_nothing_where_it_cannot_start(folder):
    recipe = write_recipe(folder)
    run(recipe)
    before = {path: path.read_bytes() for path in (folder / "run").rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="is the run folder that --fresh empties"):
        run(recipe, fresh=True, teacher_from=folder / "run")
    with pytest.raises(MissingError, match="there is no intact teacher"):
        run(recipe, fresh=True, teacher_from=folder / "nowhere")
    with pytest.raises(UsageError, match="matches no layer"):
        run(write_recipe(folder, prune={"targets": ["no_such_layer"]}), fresh=True)
    (folder / "data.npz").rename(folder / "moved.npz")
    with pytest.raises(MissingError):
        run(recipe, fresh=True)
    assert {path: path.read_bytes() for path in (folder / "run").rglob("*") if path.is_file()} == before


def test_every_difference_is_listed_not_only_those_of_the_first_stage(folder):
    run(write_recipe(folder))
    with pytest.raises(RunMismatchError) as refused:
        run(write_recipe(folder, seed=3, train={"epochs": 3}))
    assert "seed: the run has 0, the recipe 3" in str(refused.value)
    assert "train.epochs: the run has 8, the recipe 3" in str(refused.value)


def test_a_finished_run_notices_another_teacher_file(folder):
    fitted(small(), Y, keras.losses.SparseCategoricalCrossentropy(True)).save(folder / "my.keras")
    recipe = write_recipe(folder, teacher={"path": "my.keras"})
    _, where = run(recipe)
    assert finished_report(load_recipe(recipe), where) is not None
    model = keras.models.load_model(folder / "my.keras")
    model.get_layer("last").bias.assign_add([0.01, 0.0, 0.0])
    model.save(folder / "my.keras")
    assert finished_report(load_recipe(recipe), where) is None
    with pytest.raises(RunMismatchError, match=r"my.keras changed since .* was made"):
        run(recipe)


def test_a_torn_recipe_in_the_run_is_written_anew_or_called_damaged(folder):
    recipe = write_recipe(folder)
    first, where = run(recipe)
    where.recipe.write_text(where.recipe.read_text()[:100] + "\t{")
    with pytest.raises(RunMismatchError, match=r"its recipe.yaml is missing or damaged"):
        run(write_recipe(folder, seed=1))
    again, _ = run(write_recipe(folder))
    assert again["selected"] == first["selected"]
    assert load_recipe(where.recipe) == load_recipe(recipe)


def test_a_damaged_dense_student_is_named_and_made_again(folder):
    recipe, told = write_recipe(folder), []
    first, where = run(recipe)
    where.round(0).state.write_bytes(b"torn")
    again, _ = run(recipe, listen=told.append)
    said = [event.text for event in told if isinstance(event, Notice)]
    assert len(said) == 1 and said[0].endswith("state.spiral is damaged or missing; making the dense student again")
    assert again["selected"] == first["selected"]


def test_ones_own_files_are_neither_replaced_nor_removed(folder):
    recipe = write_recipe(folder)
    own = folder / "mine"
    for name in ("teacher.keras", "report.json", "rounds/notes.txt", "tensorboard/events"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text("mine")
        for fresh in (False, True):
            with pytest.raises(UsageError, match=r"was not written by a run, and a run in .* would replace it"):
                run(recipe, "mine", fresh=fresh)
        assert (own / name).read_text() == "mine"
        (own / name).unlink()
        for left in own.glob("*/"):
            left.rmdir()


def test_a_recipe_that_learns_from_the_runs_own_file_is_refused(folder):
    run(write_recipe(folder))
    with pytest.raises(UsageError, match=r"teacher.path: .*teacher.keras belongs to the run"):
        run(write_recipe(folder, teacher={"path": "run/teacher.keras"}), fresh=True)
    assert (folder / "run" / "teacher.keras").is_file()


def test_a_changed_student_file_is_noticed(folder):
    small().save(folder / "student.keras")
    recipe = write_recipe(folder, student={"path": "student.keras", "epochs": 2})
    events: list = []
    with pytest.raises(InterruptedRun):
        run(recipe, listen=events.append, control=Control(interrupted=lambda: in_dense(events)))
    keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(9), layers.Dense(3)]).save(
        folder / "student.keras"
    )
    report, _ = run(recipe)  # what was begun with the other file is not continued
    small().save(folder / "student.keras")
    assert finished_report(load_recipe(recipe), RunFolder(folder / "run")) is None
    with pytest.raises(RunMismatchError, match=r"student.path: .*student.keras changed since"):
        run(recipe)
    assert report["selected"]["parameters"] == 64 * 9 + 9 + 9 * 3 + 3


def in_dense(events: list) -> bool:
    return any(getattr(event, "stage", "") == "dense" and hasattr(event, "epoch") for event in events)


def test_a_finished_run_looks_again_where_its_data_were_touched(folder):
    recipe = write_recipe(folder)
    _, where = run(recipe)
    loaded = load_recipe(recipe)
    assert finished_report(loaded, where) is not None
    write_data(folder, np.roll(Y, 1))
    assert finished_report(loaded, where) is None


def test_a_lent_teacher_of_other_data_is_refused_and_leaves_nothing(folder):
    run(write_recipe(folder))
    write_data(folder, np.roll(Y, 1))
    with pytest.raises(RunMismatchError, match=r"the data are not those that the teacher in .*run was made with"):
        run(write_recipe(folder), "other", teacher_from=folder / "run")
    assert not (folder / "other" / "ledger.jsonl").exists()


def test_recipe_data_and_run_move_together(folder):
    recipe = write_recipe(folder)
    run(recipe, "runs/here")
    moved = folder.rename(folder.with_name("moved"))
    where = RunFolder(moved / "runs" / "here")
    assert finished_report(load_recipe(moved / recipe.name), where) is not None
    assert load_recipe(where.recipe).data.path == str(moved / "data.npz")


def test_a_monitor_that_is_not_there_is_refused_with_a_stored_teacher_too(folder):
    run(write_recipe(folder))
    with pytest.raises(RunMismatchError, match=r"guard.monitor"):
        run(write_recipe(folder, guard={"monitor": "exact_match"}))
    train_teacher(load_recipe(write_recipe(folder)), RunFolder(folder / "t"), listen=silent, control=Control())
    with pytest.raises(UsageError, match="'exact_match' is not measured"):
        run(write_recipe(folder, guard={"monitor": "exact_match"}), "t")


def test_starting_over_keeps_the_old_run_until_the_new_teacher_is_known_to_be_good(folder):
    fitted(small(), Y, keras.losses.SparseCategoricalCrossentropy(True)).save(folder / "my.keras")
    recipe = write_recipe(folder, teacher={"path": "my.keras"})
    _, where = run(recipe)
    small().save(folder / "my.keras")
    with pytest.raises(UsageError, match="hardly better than guessing"):
        run(recipe, fresh=True)
    assert where.report.is_file()
