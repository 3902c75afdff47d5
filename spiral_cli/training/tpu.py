"""Cloud TPUs: found without waiting for a network that is not there, then set up for TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from spiral_cli.errors import UsageError

NAMES = ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS")  # where Google's machines say which one is theirs
DEVICES = Path("/dev")
CHIPS = ("accel*", "vfio/[0-9]*")  # in there, on a machine with chips of its own


def connect_tpu() -> tf.distribute.cluster_resolver.TPUClusterResolver:
    """Connect to the TPU of this machine and clear it; what `tf.distribute.TPUStrategy` takes.

    It must come before TensorFlow's first operation.

    Raises:
        UsageError: there is none, or it does not answer.
    """
    name = tpu_name()
    if name is None:
        raise UsageError(
            "device: tpu was asked for, but there is none here: no TPU chips under /dev, and TPU_NAME is not set; use "
            "device: auto or cpu, or set TPU_NAME to the name or the grpc:// address of a Cloud TPU"
        )
    try:
        return tf.distribute.cluster_resolver.TPUClusterResolver.connect(name)
    except (tf.errors.OpError, ValueError, RuntimeError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"device: tpu: TensorFlow cannot use the TPU '{name}' ({reason}); it needs a TensorFlow build for TPUs "
            "(tensorflow-tpu), and a TPU that runs and is not in use; or use device: auto or cpu"
        ) from error


def tpu_name() -> str | None:
    """Return the name or address of this machine's TPU, ``local`` for chips of its own, or None."""
    named = next((os.environ[key] for key in NAMES if os.environ.get(key)), None)
    chips = any(path for pattern in CHIPS for path in DEVICES.glob(pattern))
    return named or ("local" if chips else None)
