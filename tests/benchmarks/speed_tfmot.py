"""The peer of `speed.py`: tensorflow-model-optimization with distillation added by hand.

Run by `speed.py` in an environment of its own (tensorflow-model-optimization, tf_keras). The
teacher's logits are computed once here too, as `quality_tfmot.py` does, which spares it the teacher.
"""

from __future__ import annotations

import os
import sys

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3")

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras
from contenders import SPARSITY, Epoch, serve
from quality_tfmot import distillation_loss
from workloads import BATCH, CLASSES, build, scaled

sys.modules["keras"] = tf_keras  # so that spiral's own files, imported later, build the same architectures here

FOREVER = 10**6  # masks are remade every 100 steps for as long as the race lasts


def tfmot_epoch(name: str, x: np.ndarray, y: np.ndarray) -> Epoch:
    """Return one epoch of ``fit`` with pruning on a polynomial schedule and distillation."""
    sparsity = tfmot.sparsity.keras
    schedule = sparsity.PolynomialDecay(0.5, SPARSITY, 0, FOREVER, frequency=100)
    pruned = sparsity.prune_low_magnitude(build(name), pruning_schedule=schedule)
    pruned.compile("adam", distillation_loss)
    logits = np.random.default_rng(0).normal(size=(len(x), CLASSES)).astype(np.float32)
    packed = np.concatenate([y[:, None].astype(np.float32), logits], axis=1)
    inputs, update = scaled(x), sparsity.UpdatePruningStep()
    return lambda: pruned.fit(inputs, packed, batch_size=BATCH, verbose=0, callbacks=[update])


if __name__ == "__main__":
    serve(tfmot_epoch)
