"""Which device is used, and what is said where it is not there."""

from __future__ import annotations

import pytest

from spiral_cli.errors import UsageError
from spiral_cli.training.device import choose
from spiral_cli.training.team import tpu_strategy


@pytest.mark.parametrize(
    ("device", "gpus", "chosen"),
    [
        ("auto", [], []),
        ("auto", ["a", "b"], ["a"]),
        ("cpu", ["a"], []),
        ("gpu", ["a", "b"], ["a"]),
        ("gpu:0", ["a"], ["a"]),
        ("gpu:1", ["a", "b"], ["b"]),
    ],
)
def test_which_gpu_is_used(device, gpus, chosen):
    assert choose(device, gpus) == chosen


@pytest.mark.parametrize(
    ("device", "gpus", "said"),
    [
        ("gpu", [], r"device: gpu was asked for, but TensorFlow sees no GPU here; use device: auto or cpu"),
        ("gpu:0", [], r"device: gpu:0 was asked for, but TensorFlow sees no GPU here"),
        ("gpu:1", ["a"], r"device: gpu:1 was asked for, but there is no such GPU; there are gpu:0$"),
        ("gpu:7", ["a", "b"], r"there are gpu:0, gpu:1$"),
    ],
)
def test_a_gpu_that_is_not_there_is_said_with_what_there_is(device, gpus, said):
    with pytest.raises(UsageError, match=said):
        choose(device, gpus)


def test_a_tpu_that_is_not_there_is_said():
    with pytest.raises(UsageError, match="device: tpu was asked for, but TensorFlow reaches no TPU here"):
        tpu_strategy()
