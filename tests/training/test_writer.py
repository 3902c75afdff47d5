"""One write at a time, beside the training: in order, told when it fails, over when the block is left."""

from __future__ import annotations

import threading
import time

import pytest

from spiral_cli.training.writer import Writer


def slow(log: list, what: object, seconds: float = 0.05):
    """Return a job that takes a while and notes its begin and end."""

    def job() -> None:
        log.append((what, "begins"))
        time.sleep(seconds)
        log.append((what, "ends"))

    return job


def failing() -> None:
    raise OSError("no disk")


def test_jobs_run_one_after_another_in_the_order_given():
    log: list = []
    with Writer() as writer:
        for number in range(5):
            writer.begin(slow(log, number, 0.01))
    assert log == [(number, what) for number in range(5) for what in ("begins", "ends")]


def test_the_caller_goes_on_while_a_job_runs():
    gate, done = threading.Event(), threading.Event()
    with Writer() as writer:
        writer.begin(lambda: done.set() if gate.wait(30) else None)
        assert not done.is_set()
        gate.set()
        writer.wait()
        assert done.is_set()


def test_nothing_runs_any_more_once_the_block_is_left():
    before, log = set(threading.enumerate()), []
    with Writer() as writer:
        writer.begin(slow(log, "a"))
    assert log[-1] == ("a", "ends")
    assert set(threading.enumerate()) == before


def test_nothing_runs_any_more_once_the_block_is_left_by_an_error():
    before, log = set(threading.enumerate()), []
    with pytest.raises(KeyError), Writer() as writer:
        writer.begin(slow(log, "a"))
        raise KeyError
    assert log[-1] == ("a", "ends")
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("ask", [lambda writer: writer.begin(lambda: None), Writer.wait, lambda writer: None])
def test_what_a_job_raises_is_raised_where_training_goes_on(ask):
    with pytest.raises(OSError, match="no disk"), Writer() as writer:
        writer.begin(failing)
        ask(writer)


def test_an_error_is_told_once_and_the_job_after_it_is_not_begun():
    log: list = []
    with Writer() as writer:
        writer.begin(failing)
        with pytest.raises(OSError, match="no disk"):
            writer.begin(slow(log, "a"))
        writer.wait()
        writer.begin(slow(log, "b"))
    assert log == [("b", "begins"), ("b", "ends")]


def test_an_error_of_the_block_goes_before_one_of_the_job():
    with pytest.raises(KeyError), Writer() as writer:
        writer.begin(failing)
        raise KeyError
