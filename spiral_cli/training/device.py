"""The device a run uses, settled before anything touches TensorFlow's devices."""

from __future__ import annotations

import tensorflow as tf

from spiral_cli.errors import UsageError


def use_device(device: str, seed: int) -> str:
    """Make TensorFlow use ``device`` and compute deterministically; return what is used.

    GPU memory grows as needed, so that a GPU can be shared.

    Args:
        device: ``auto`` (the first GPU where there is one), ``cpu``, ``gpu`` or ``gpu:N``.
        seed: of Keras and TensorFlow.

    Raises:
        UsageError: the device does not exist.
    """
    gpus = tf.config.list_physical_devices("GPU")
    chosen = choose(device, gpus)
    show(chosen)
    make_deterministic(seed)
    return f"gpu:{gpus.index(chosen[0])}" if chosen else "cpu"


def show(gpus: list) -> None:
    """Let TensorFlow see these GPUs alone."""
    if tf.config.get_visible_devices("GPU") != gpus:
        tf.config.set_visible_devices(gpus, "GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)


def make_deterministic(seed: int) -> None:
    """Let the same seed give the same bytes."""
    import keras

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def choose(device: str, gpus: list) -> list:
    """Return the one of ``gpus`` that ``device`` names, in a list, or none.

    Raises:
        UsageError: it does not exist.
    """
    if device == "cpu" or (device == "auto" and not gpus):
        return []
    if not gpus:
        raise UsageError(
            f"device: {device} was asked for, but TensorFlow sees no GPU here; "
            "use device: auto or cpu, or install a TensorFlow build with GPU support (nvidia-smi shows the driver)"
        )
    number = int(device.partition(":")[2] or 0)
    if number >= len(gpus):
        there = ", ".join(f"gpu:{i}" for i in range(len(gpus)))
        raise UsageError(f"device: {device} was asked for, but there is no such GPU; there are {there}")
    return [gpus[number]]
