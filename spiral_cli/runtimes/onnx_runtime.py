"""ONNX files in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from spiral_cli.registry import runtimes
from spiral_cli.runtimes.session import Arrays, Session


@runtimes.register("onnx", opens=".onnx")
def open_onnx(path: Path, threads: int) -> Session:
    """ONNX Runtime on the CPU."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors, which are raised as well
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(inputs: Sequence[np.ndarray]) -> Arrays:
        return tuple(session.run(None, dict(zip(names, inputs, strict=True))))

    return Session(f"onnxruntime {ort.__version__}", threads, run, lambda: stored(path))


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
