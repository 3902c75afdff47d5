"""A batch shared by two devices trains as on one: TensorFlow's CPU, split in two, against itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import replicas
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.training.replicated import shares

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("replicas")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, replicas.__file__, "2", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", replicas.CASES)
def test_two_replicas_train_as_one_device(found, name):
    case = replicas.CASES[name]
    alone = replicas.train(replicas.make(case), case.get("batch", replicas.BATCH))
    with np.load(found / f"{name}.npz") as both:
        assert set(both.files) == set(alone)
        near = {"rtol": 0.02, "atol": 2e-3} if "precision" in case else {"rtol": 1e-4, "atol": 2e-5}
        for key, value in alone.items():
            if key.startswith("optimizer") and "precision" in case:
                continue  # moments of gradients whose 16 bits were rounded at other places
            np.testing.assert_allclose(both[key], value, err_msg=key, **near)


def test_a_step_that_overflows_on_one_replica_is_skipped_by_all(found):
    with np.load(found / "alone.npz") as facts:
        assert not facts["trained"]
        assert facts["scale"] == 0.5


def test_replicas_draw_numbers_of_their_own(found):
    with np.load(found / "alone.npz") as facts:
        first, second = facts["numbers"]
    assert (first != second).any()
    assert set(np.unique(first)) == set(np.unique(second)) == {0.0, 2.0}


@given(steps=st.integers(0, 4), batch=st.integers(1, 9), count=st.integers(1, 5))
def test_shares_are_equal_and_hold_each_row_once(steps, batch, count):
    rows = np.arange(steps * batch).reshape(steps, batch)
    split, counts = shares(rows, count, "wrap"), shares(np.ones_like(rows), count, "constant")
    assert split.shape == counts.shape == (steps, count, -(-batch // count))
    for whole, parts, valid in zip(rows, split, counts, strict=True):
        assert sorted(parts[valid == 1]) == sorted(whole)
        assert set(parts.ravel()) == set(whole)
