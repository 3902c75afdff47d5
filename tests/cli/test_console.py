"""What the console says: numbers by hand, widths, estimates."""

from __future__ import annotations

import errno
import io
import re

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.cli.entry import again, explain
from spiral_cli.cli.gate import missed, parse_bounds
from spiral_cli.console.align import aligned
from spiral_cli.console.course import Course
from spiral_cli.console.plain import PlainConsole
from spiral_cli.console.table import rounds_table
from spiral_cli.console.texts import drop_text, duration, number, round_line, size
from spiral_cli.errors import DivergedError, InterruptedRun, MissingError, UsageError
from spiral_cli.events import EpochDone, Notice, Progress, RoundDone, StageDone, StageStarted
from spiral_cli.recipe.schema import Guard

ROW = {
    "round": 3, "attempt": 1, "sparsity": 0.95, "density": 0.05, "nonzero": 13331, "parameters": 266610,
    "losses": {"loss": 0.1234, "distillation_loss": 0.0456}, "metrics": {"validation": {"accuracy": 0.9712}},
    "drop": 0.0034, "accepted": True, "epochs": 4, "seconds": 12.34,
}  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3600, "1 h 00 min"),
        (12000, "3 h 20 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (48_912, "48.9 kB"), (999_600, "1 MB"), (2_340_000_000, "2.34 GB")],
)
def test_sizes(count, text):
    assert size(count) == text


def test_numbers_have_no_negative_zero_and_small_ones_are_not_lost():
    assert [number(value) for value in (0.97123, -0.0, 1.0, 0.000012, 123456.71234, None)] == [
        "0.9712", "0.0000", "1.0000", "1.2e-05", "1.23e+05", "-"
    ]  # fmt: skip
    assert [drop_text(value) for value in (0.0034, -0.01, -0.00001)] == ["+0.0034", "-0.0100", "+0.0000"]


def test_a_round_in_one_line():
    assert round_line(ROW, "accuracy") == (
        "round 3: accepted; sparsity 0.9500, density 0.0500, parameters left 13,331, train loss 0.1234, "
        "distillation loss 0.0456, validation accuracy 0.9712, drop +0.0034, seconds 12.3"
    )
    assert round_line({**ROW, "attempt": 2, "accepted": False}, "accuracy").startswith("round 3 try 2: rolled back; ")


def drawn(rows, width: int) -> list[str]:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width)
    console.print(rounds_table(rows, "accuracy", width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@given(width=st.integers(50, 140), nonzero=st.integers(0, 10**9), attempt=st.integers(1, 3))
def test_the_table_keeps_to_its_width_and_never_loses_metric_or_verdict(width, nonzero, attempt):
    lines = drawn([{**ROW, "nonzero": nonzero, "attempt": attempt, "accepted": False}], width)
    assert max(map(len, lines)) <= width
    assert "0.9712" in "".join(lines)
    assert "rolled back" in "".join(lines)
    assert "…" not in "".join(lines)


def test_the_table_shows_every_column_at_120_and_the_important_ones_at_80():
    wide, narrow = drawn([ROW], 120)[-2], drawn([ROW], 80)[-2]
    for text in ("3", "0.9500", "0.0500", "13,331", "0.1234", "0.0456", "0.9712", "+0.0034", "12.3", "accepted"):
        assert text in wide
    for text in ("0.9500", "13,331", "0.0456", "0.9712", "+0.0034", "12.3", "accepted"):
        assert text in narrow


def test_columns_line_up():
    assert aligned([["a", "1"], ["long", "22"]], frozenset({1})) == "a      1\nlong  22"


def course() -> Course:
    return Course(teacher_epochs=10, dense_epochs=0, rounds=4, round_epochs=5)


def train(hear, epochs: int, seconds: float, compiling: float) -> None:
    """Tell of ``epochs`` in four chunks each; the first chunk waits for the compiler."""
    hear(StageStarted("round", "round 1, try 1", 5))
    for epoch in range(epochs):
        for quarter in (0.25, 0.5, 0.75, 1.0):
            hear(Progress("round", epoch + quarter, 5, compiling + seconds * (epoch + quarter), 0.5))
        hear(EpochDone("round", "round 1, try 1", epoch + 1, 5, {"loss": 0.5}, {}, compiling + seconds * (epoch + 1)))


@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_the_pace_leaves_out_the_compiler(epochs):
    one = course()
    train(one.hear, epochs, seconds=2.0, compiling=30.0)
    assert one.pace["round"] == pytest.approx(2.0)
    assert one.stage_left == pytest.approx(2.0 * (5 - epochs))
    assert one.whole_left == pytest.approx(2.0 * (20 - epochs))
    assert one.whole == pytest.approx((10 + epochs) / 30)
    assert one.estimate() == "estimate: 40 s for 4 rounds of 5 epochs, if none is rolled back"


def test_a_rolled_back_try_is_work_still_to_be_done():
    one = course()
    train(one.hear, 5, seconds=2.0, compiling=0.0)
    one.hear(RoundDone({**ROW, "round": 1, "accepted": False}))
    assert (one.whole, one.whole_left) == (pytest.approx(10 / 30), pytest.approx(40.0))
    one.hear(RoundDone({**ROW, "round": 1}))
    assert (one.whole, one.whole_left) == (pytest.approx(15 / 30), pytest.approx(30.0))


def said(verbose: bool) -> list[str]:
    stream = io.StringIO()
    with PlainConsole(Guard(), course(), stream, verbose) as console:
        console(StageDone("teacher", "teacher", {"accuracy": 0.97}, 61.0))
        train(console, 3, seconds=2.0, compiling=0.0)
        console(RoundDone({**ROW, "round": 1}))
        train(console, 1, seconds=2.0, compiling=0.0)
        console(Notice("mind this", "warning"))
    return stream.getvalue().splitlines()


def test_plain_lines_and_one_estimate():
    lines = said(verbose=False)
    assert lines[0] == "teacher: accuracy 0.9700 on validation (1 min 01 s of training); max_drop 0.01"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "round 1, try 1", "estimate", "round 1", "round 1, try 1", "warning"
    ]  # fmt: skip


def test_an_estimate_that_was_far_off_is_mended_once():
    stream = io.StringIO()
    with PlainConsole(Guard(), course(), stream, False) as console:
        console(StageStarted("round", "round 1, try 1", 5))
        for epoch, seconds in enumerate((20.0, 22.0, 24.0, 60.0), 1):
            console(EpochDone("round", "round 1, try 1", epoch, 5, {"loss": 0.5}, {}, seconds))
    lines = [line.partition(" for ")[0] for line in stream.getvalue().splitlines() if line.startswith("estimate")]
    assert lines == ["estimate: 6 min 40 s", "estimate: 40 s"]


def test_verbose_adds_every_epoch():
    assert sum(line.startswith("round 1, try 1, epoch ") for line in said(verbose=True)) == 4


def test_the_gate_says_what_is_missed_by_how_much():
    measured = {"student": {"metrics": {"test": {"accuracy": 0.95, "f1": 0.9}}}, "monitor": "accuracy", "drop": 0.02}
    assert missed(measured, {"accuracy": 0.95, "f1": 0.9}, 0.02) == []
    assert missed(measured, {"accuracy": 0.97}, 0.005) == [
        "test accuracy is 0.9500, 0.0200 below the 0.97 of --min",
        "test accuracy drops by 0.0200, 0.0150 more than the 0.005 of --max-drop",
    ]
    with pytest.raises(UsageError, match="needs the teacher"):
        missed({**measured, "drop": None}, {}, 0.01)


@pytest.mark.parametrize("demand", ["accuracy", "accuracy=", "accuracy=high", "accuracy=nan", "acuracy=0.9", "=1"])
def test_demands_that_are_none_are_refused(demand):
    with pytest.raises(UsageError, match="allowed: "):
        parse_bounds("--min", [demand], ["accuracy", "f1"])


@pytest.mark.parametrize(
    ("option", "demand", "message"),
    [
        ("--min", "loss=0.1", "--min loss=0.1: loss is better when lower; ask for --max loss=0.1"),
        ("--min", "wer=0.1", "--min wer=0.1: wer is better when lower; ask for --max wer=0.1"),
        ("--max", "f1=0.1", "--max f1=0.1: f1 is better when higher; ask for --min f1=0.1"),
    ],
)
def test_a_bound_is_on_the_side_that_is_worse(option, demand, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_bounds(option, [demand], ["f1", "loss", "wer"])


def test_an_error_rate_may_not_be_above_its_bound():
    measured = {"student": {"metrics": {"test": {"wer": 0.125}}}, "monitor": "wer", "drop": 0.02}
    assert missed(measured, parse_bounds("--max", ["wer=0.125"], ["wer"]), None) == []
    assert missed(measured, {"wer": 0.12}, None) == ["test wer is 0.1250, 0.0050 above the 0.12 of --max"]


def test_a_demand_is_made_once():
    assert parse_bounds("--min", ["accuracy=0.9", "f1=0.8"], ["accuracy", "f1"]) == {"accuracy": 0.9, "f1": 0.8}
    with pytest.raises(UsageError, match="twice"):
        parse_bounds("--min", ["f1=0.8", "f1=0.9"], ["accuracy", "f1"])


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DivergedError("loss became nan"), 1, "loss became nan"),
        (UsageError("no GPU"), 2, "no GPU"),
        (MissingError("no data"), 4, "no data"),
        (InterruptedRun("stopped"), 130, "spiral compress a.yaml"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full"),
        (MemoryError(), 1, "out of memory"),
        (typer.BadParameter("bad"), 2, "see spiral compress --help"),
        (ZeroDivisionError("by zero\nmore"), 1, "ZeroDivisionError: by zero\nthis is a bug in spiral"),
    ],
)
def test_every_error_has_its_exit_code_and_a_sentence(error, code, words):
    message, found = explain(error, ["compress", "a.yaml", "--fresh"])
    assert found == code
    assert words in message


def test_the_resuming_command_is_quoted_and_does_not_start_over():
    command = again(["compress", "my recipe.yaml", "--fresh", "--set", "a.b=[1, 2]"])
    assert command == "spiral compress 'my recipe.yaml' --set 'a.b=[1, 2]'"
