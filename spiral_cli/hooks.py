"""Replacing a method of layers, or of what they own, for the time of a trace, without touching the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def hooked(calls: Mapping[Any, Callable], method: str = "call") -> Iterator[None]:
    """Let each object, a layer mostly, use the given function as its ``method`` inside the block."""
    before = {layer: vars(layer)[method] for layer in calls if method in vars(layer)}  # of a block around this one
    for layer, call in calls.items():
        setattr(layer, method, call)
    try:
        yield
    finally:
        for layer in calls:
            if layer in before:
                setattr(layer, method, before[layer])
            else:
                delattr(layer, method)
