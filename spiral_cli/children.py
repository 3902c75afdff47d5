"""Processes of spiral's own that open models beside this one: what they find around them."""

from __future__ import annotations

import os

from spiral_cli.registry import PACKAGE


def surroundings(**settings: str) -> dict[str, str]:
    """Return the environment of such a process: this spiral, Keras on TensorFlow, the CPU, no other workers.

    Args:
        settings: variables beside these.
    """
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    ours = {"PYTHONPATH": path, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    return {**{name: value for name, value in os.environ.items() if name != "TF_CONFIG"}, **ours, **settings}
