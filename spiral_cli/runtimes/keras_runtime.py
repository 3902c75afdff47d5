"""``.keras`` files in Keras."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.flops import built_for, total_flops
from spiral_cli.models.flat import flat
from spiral_cli.models.load import load_model
from spiral_cli.registry import runtimes
from spiral_cli.runtimes.session import Arrays, Input, Session
from spiral_cli.runtimes.tensorflow_threads import use_threads


@runtimes.register("keras", opens=".keras", classes=True)
def open_keras(path: Path, threads: int) -> Session:
    """Keras on TensorFlow, the model's call compiled to a graph."""
    used = use_threads(threads)
    return session(load_model(path), used)


def session(model: keras.Model, threads: int) -> Session:
    """Return a model in memory as a session of so many threads."""
    call = tf.function(flat(model), reduce_retracing=True)

    def run(inputs: Sequence[np.ndarray]) -> Arrays:
        return tuple(output.numpy() for output in call(*map(tf.constant, inputs)))

    runtime = f"keras {keras.__version__}, tensorflow {tf.__version__}"
    return Session(
        runtime,
        threads,
        run,
        lambda: [weight.numpy() for weight in model.weights],
        inputs_of(model),
        flops=lambda shapes: total_flops(model, shapes),
    )


def inputs_of(model: keras.Model) -> tuple[Input, ...]:
    """Return what a model takes: a subclassed one, which declares nothing, floats of the shape it was built for."""
    if declared := getattr(model, "inputs", None):
        return tuple(Input(tuple(one.shape[1:]), one.dtype) for one in declared)
    shapes = built_for(model)
    return (Input(shapes[0], "float32"),) if len(shapes) == 1 else ()
