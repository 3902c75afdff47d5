"""Which device is used, and what is said where it is not there."""

from __future__ import annotations

import time

import pytest
import tensorflow as tf

from spiral_cli.errors import UsageError
from spiral_cli.training import tpu
from spiral_cli.training.device import choose, use_device
from spiral_cli.training.tpu import connect_tpu, tpu_name


@pytest.mark.parametrize(
    ("device", "gpus", "chosen"),
    [
        ("auto", [], []),
        ("auto", ["a", "b"], ["a"]),
        ("cpu", ["a"], []),
        ("tpu", ["a"], []),
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


@pytest.fixture
def no_tpu(monkeypatch, tmp_path):
    for key in tpu.NAMES:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr(tpu, "DEVICES", tmp_path)
    return tmp_path


def test_without_a_tpu_that_is_said_at_once(no_tpu):
    started = time.monotonic()
    with pytest.raises(UsageError, match=r"device: tpu was asked for, but there is none here.*set TPU_NAME"):
        use_device("tpu", 0)
    assert time.monotonic() - started < 1.0


def test_where_a_tpu_is_found(no_tpu, monkeypatch):
    assert tpu_name() is None
    (no_tpu / "vfio").mkdir()
    (no_tpu / "vfio" / "vfio").touch()  # the driver alone
    assert tpu_name() is None
    (no_tpu / "vfio" / "0").touch()
    assert tpu_name() == "local"
    monkeypatch.setenv("KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS", "grpc://10.0.0.2:8470")
    assert tpu_name() == "grpc://10.0.0.2:8470"
    monkeypatch.setenv("TPU_NAME", "mine")
    assert tpu_name() == "mine"


def test_a_tpu_that_tensorflow_cannot_use_is_said_with_the_reason(no_tpu):
    if tf.config.list_physical_devices("TPU"):
        pytest.skip("this machine has one")
    (no_tpu / "accel0").touch()
    with pytest.raises(UsageError, match=r"cannot use the TPU 'local' \(TPUs not found.*tensorflow-tpu"):
        connect_tpu()


def test_a_found_tpu_is_connected_and_its_resolver_given(no_tpu, monkeypatch):
    asked = []
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver
    monkeypatch.setenv("TPU_NAME", "mine")
    monkeypatch.setattr(resolver, "connect", lambda name: asked.append(name) or "the resolver")
    assert connect_tpu() == "the resolver"
    assert use_device("tpu", 0) == "tpu"
    assert asked == ["mine", "mine"]
