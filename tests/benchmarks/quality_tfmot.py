"""The peer of `quality.py`: tensorflow-model-optimization with distillation added by hand.

Run by `quality.py` in an environment of its own (tensorflow-model-optimization, tf_keras). It
reads the data, the teacher's weights and its logits from npz files and prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import time

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3")

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

TEMPERATURE, ALPHA, BATCH = 4.0, 0.9, 128
CUT = 0.6  # part of the steps over which PolynomialDecay reaches the target


def distillation_loss(packed, logits):
    """(1 - alpha) · cross-entropy + alpha · T² · KL, with labels and teacher logits packed side by side."""
    labels, teacher = tf.cast(packed[:, 0], tf.int32), packed[:, 1:] / TEMPERATURE
    p = tf.nn.softmax(teacher)
    divergence = tf.reduce_sum(p * (tf.nn.log_softmax(teacher) - tf.nn.log_softmax(logits / TEMPERATURE)), -1)
    task = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return (1 - ALPHA) * task + ALPHA * TEMPERATURE**2 * divergence


def main() -> None:
    """Prune and distil one student; print its accuracies."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--density", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--rate", type=float, default=2e-3)
    options = parser.parse_args()
    started = time.time()
    data, teacher = np.load(options.data), np.load(options.teacher)
    scaled = {
        part: (data[f"x_{part}"][..., None] / 255.0).astype("float32") for part in ("train", "validation", "test")
    }
    keras.utils.set_random_seed(options.seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(300, "relu"),
            layers.Dense(100, "relu"),
            layers.Dense(10),
        ]
    )
    model.set_weights([teacher[f"weight_{i}"] for i in range(6)])
    steps = options.epochs * -(-len(data["y_train"]) // BATCH)
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        0.0, 1 - options.density, 0, int(CUT * steps) // 100 * 100, frequency=100
    )
    pruned = tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
    rate = keras.optimizers.schedules.CosineDecay(options.rate, steps)
    pruned.compile(keras.optimizers.Adam(rate), distillation_loss)
    packed = np.concatenate([data["y_train"][:, None].astype("float32"), teacher["logits"]], axis=1)
    update = tfmot.sparsity.keras.UpdatePruningStep()
    pruned.fit(scaled["train"], packed, batch_size=BATCH, epochs=options.epochs, verbose=0, callbacks=[update])
    student = tfmot.sparsity.keras.strip_pruning(pruned)
    kernels = [weight for weight in student.get_weights() if weight.ndim == 2]
    accuracy = {
        part: float((student.predict(scaled[part], verbose=0, batch_size=1000).argmax(1) == data[f"y_{part}"]).mean())
        for part in ("validation", "test")
    }
    found = sum(int(np.count_nonzero(kernel)) for kernel in kernels) / sum(kernel.size for kernel in kernels)
    print(json.dumps({**accuracy, "found_density": found, "seconds": time.time() - started}))


if __name__ == "__main__":
    main()
