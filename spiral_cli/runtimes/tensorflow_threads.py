"""TensorFlow's threads: one pool for the whole process."""

from __future__ import annotations

import os
from contextlib import suppress

import tensorflow as tf


def use_threads(threads: int) -> int:
    """Ask for so many threads; return how many TensorFlow has. Once it has computed, they stay what they are."""
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    return tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1
