"""The constants of a ``.tflite`` file, read from its flatbuffer without running it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FLOATS = {"FLOAT32": np.float32, "FLOAT16": np.float16}
INTEGERS = {"INT8": np.int8, "UINT8": np.uint8, "INT16": np.int16, "INT32": np.int32}


def stored(path: Path) -> list[np.ndarray]:
    """Return the file's constants that stand for floating-point values, integers dequantised."""
    return list(constants(path.read_bytes()))


def constants(content: bytes) -> Iterator[np.ndarray]:
    """Yield the floating-point constants of all subgraphs."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
    model = schema.Model.GetRootAs(content, 0)
    for graph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(index) for index in range(graph.TensorsLength())):
            kind, buffer = kinds[tensor.Type()], model.Buffers(tensor.Buffer())
            if buffer.DataLength() == 0 or tensor.ShapeLength() == 0:
                continue  # an activation, or a number
            if kind in FLOATS:
                yield buffer.DataAsNumpy().view(FLOATS[kind]).reshape(tensor.ShapeAsNumpy()).astype(np.float32)
            elif kind in INTEGERS and tensor.Quantization() is not None and tensor.Quantization().ScaleLength():
                yield real(buffer.DataAsNumpy().view(INTEGERS[kind]).reshape(tensor.ShapeAsNumpy()), tensor)


def real(integers: np.ndarray, tensor: Any) -> np.ndarray:
    """Return scale · (q - zero point), both maybe one for each slice of an axis (LiteRT's 8-bit specification)."""
    quantization = tensor.Quantization()
    shape = [1] * integers.ndim
    if quantization.ScaleLength() > 1:
        shape[quantization.QuantizedDimension()] = -1
    zero = quantization.ZeroPointAsNumpy() if quantization.ZeroPointLength() else np.zeros(1)
    return (integers - zero.reshape(shape if len(zero) > 1 else [1])) * quantization.ScaleAsNumpy().reshape(shape)
