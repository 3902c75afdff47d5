"""What models compute in. Models and files are float32; a training step may run them in 16 bits.

So the policy is a matter of the trace, not of the model: what is measured, stored and deployed is the
same float32 model whatever a recipe's ``precision``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

MIXED = ("mixed_float16", "mixed_bfloat16")


@contextmanager
def computing_in(model: keras.Model, precision: str) -> Iterator[None]:
    """Let the float32 layers of ``model`` be traced under the dtype policy ``precision`` inside the block.

    Layers cast their inputs and variables to the compute dtype; variables stay float32, and outputs
    come in the compute dtype.
    """
    before = {layer: layer.dtype_policy for layer in model._flatten_layers() if layer.dtype_policy.name == "float32"}
    for layer in before:
        layer.dtype_policy = precision
    try:
        yield
    finally:
        for layer, policy in before.items():
            layer.dtype_policy = policy


def in_float32(model: keras.Model) -> keras.Model:
    """Return ``model``, its layers of mixed precision, whose variables are float32, computing in float32."""
    for layer in model._flatten_layers():
        if layer.dtype_policy.name in MIXED:
            layer.dtype_policy = "float32"
    return model
