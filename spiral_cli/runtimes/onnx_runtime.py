"""ONNX files in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.registry import runtimes
from spiral_cli.runtimes.session import Arrays, Input, Session


@runtimes.register("onnx", opens=".onnx")
def open_onnx(path: Path, threads: int) -> Session:
    """ONNX Runtime on the CPU."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors, which are raised as well
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    inputs = tuple(described(one) for one in session.get_inputs())

    def run(arrays: Sequence[np.ndarray]) -> Arrays:
        return tuple(session.run(None, dict(zip(names, arrays, strict=True))))

    return Session(f"onnxruntime {ort.__version__}", threads, run, lambda: stored(path), inputs)


def described(one: Any) -> Input:
    """Return an input of a session; its lengths are numbers, or names of what any length goes for."""
    kind = one.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(length if isinstance(length, int) else None for length in one.shape[1:])
    return Input(shape, {"float": "float32", "double": "float64"}.get(kind, kind))


def stored(path: Path) -> list[np.ndarray]:
    """Return the floating-point constants of an ONNX file, those of its loops' bodies too."""
    import onnx
    from onnx.numpy_helper import to_array

    tensors = (to_array(tensor) for tensor in constants(onnx.load(path).graph))
    return [tensor for tensor in tensors if tensor.dtype.kind == "f"]


def constants(graph) -> Iterator:
    """Yield the constant tensors of an ONNX graph and of the graphs in it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                yield attribute.t
            if attribute.HasField("g"):
                yield from constants(attribute.g)
