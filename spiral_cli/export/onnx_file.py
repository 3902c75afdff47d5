"""The student for ONNX Runtime and whatever else reads ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spiral_cli.export.artifact import Chosen
from spiral_cli.export.serving import NAME, Serving
from spiral_cli.registry import exporters

OPSET = 17  # from 18 on axes of means are tensors, which tf2onnx 1.17 mixes up where an image is a single pixel


@exporters.register("onnx", file="exports/onnx.onnx", beside="onnx")
def onnx_file(chosen: Chosen, path: Path) -> None:
    """ONNX in float32, any batch."""
    chosen.convert(write_onnx, path)


def write_onnx(serving: Serving, path: Path) -> None:
    """Write an ``.onnx`` file by tf2onnx, from the frozen graph.

    `Model.export` gives files that do not load for layers with constants of their own and for
    exact gelu (Keras 3.15).
    """
    import tf2onnx

    frozen = serving.frozen()
    inputs, outputs = [one.name for one in frozen.inputs], [one.name for one in frozen.outputs]
    names = {name: NAME.format(index) for index, name in enumerate(inputs)}
    names |= {name: f"output_{index}" for index, name in enumerate(outputs)}
    model, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        name=serving.model.name,
        input_names=inputs,
        output_names=outputs,
        opset=OPSET,
        custom_op_handlers={"Erfc": (erfc, []), "Expm1": (expm1, [])},
        tensors_to_rename=names,
    )
    for end in (*model.graph.input, *model.graph.output):
        if end.type.tensor_type.shape.dim and end.type.tensor_type.shape.dim[0].dim_param:
            end.type.tensor_type.shape.dim[0].dim_param = "batch"
    path.write_bytes(model.SerializeToString())


def erfc(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """Write erfc(x), which ONNX lacks and exact gelu needs, as 1 - erf(x)."""
    one, found = one_and(graph, node, "Erf")
    instead(graph, node, [one, found])


def expm1(graph: Any, node: Any, name: str, arguments: list[Any]) -> None:
    """Write exp(x) - 1, which ONNX lacks and celu needs."""
    one, found = one_and(graph, node, "Exp")
    instead(graph, node, [found, one])


def one_and(graph: Any, node: Any, operation: str) -> tuple[str, str]:
    """Return the names of a 1 and of an operation on what ``node`` takes."""
    import numpy as np

    one = graph.make_const(f"{node.name}_one", np.float32(1.0)).output[0]
    return one, graph.make_node(operation, [node.input[0]], name=f"{node.name}_{operation}").output[0]


def instead(graph: Any, node: Any, inputs: list[str]) -> None:
    """Put the difference of two tensors in the place of ``node``."""
    outputs, shapes, types = node.output, node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node("Sub", inputs, name=node.name, outputs=outputs, shapes=shapes, dtypes=types)
