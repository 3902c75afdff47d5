"""Floating-point operations of a Keras model, layer by layer, from static shapes: nothing is run.

The model's graph is walked with shapes in place of tensors, so a layer that is called twice counts twice,
and a nested model is counted for the shapes it is called with. What each kind of layer costs, and by which
conventions, is in `spiral_cli.flop_rules`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from spiral_cli.flop_rules import Cost, Shape, cost, einsum_lengths
from spiral_cli.models.graph import graph_of

UNKNOWN = 1  # what stands for a dimension the model leaves open, such as the length of a text


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        path: of the layer in its model, nested models before it: ``encoder/dense``.
        kind: the layer's class.
        cost: its operations.
        source: ``rule``; ``profiler``, where TensorFlow counted a traced graph (loops count once); or
            ``unknown``, where that failed and the operations are taken as 0.
    """

    path: str
    kind: str
    cost: Cost
    source: str


def flops(model: Any, shapes: Sequence[Shape] | None = None) -> dict[str, int]:
    """Return the operations of each layer by path, at batch 1; those of shared layers are summed over their calls.

    A multiplication with its addition counts as two: the FLOPs of a model are twice its MACs.

    Args:
        model: a built Keras model.
        shapes: of its inputs, in order, without the batch; by default the model's own, in which a
            dimension left open counts as `UNKNOWN`.
    """
    counted: Counter[str] = Counter()
    for call in calls(model, shapes):
        counted[call.path] += call.cost.total
    return dict(counted)


def total_flops(model: Any, shapes: Sequence[Shape] | None = None) -> int:
    """Return the operations of the whole model, as `flops`."""
    return sum(flops(model, shapes).values())


def calls(model: Any, shapes: Sequence[Shape] | None = None) -> list[Call]:
    """Return every call of a layer in the order of the graph; arguments as for `flops`.

    A model without a graph (subclassed) is one call that TensorFlow's profiler counts.
    """
    from keras import KerasTensor

    graph = graph_of(model)
    found: list[Call] = []
    if graph is not None:
        own = [tuple(tensor.shape[1:]) for tensor in graph.inputs]
        dtypes = [tensor.dtype for tensor in graph.inputs]
    else:
        own = list(built_for(model))
        dtypes = ["float32"] * len(own)
    known = [tuple(UNKNOWN if length is None else length for length in shape) for shape in shapes or own]
    inputs = [KerasTensor((1, *shape), dtype) for shape, dtype in zip(known, dtypes, strict=True)]
    if graph is not None:
        _walk(graph, inputs, "", found)
    else:
        _call(model, model.name, found, *inputs)
    return found


def _walk(graph: Any, inputs: Any, prefix: str, found: list[Call]) -> Any:
    """Send shapes through a graph; every operation on their way is recorded."""
    return graph._run_through_graph(
        inputs, operation_fn=lambda operation: partial(_call, operation, f"{prefix}{operation.name}", found)
    )


def _call(operation: Any, path: str, found: list[Call], *args: Any, **kwargs: Any) -> Any:
    """Record what calling ``operation`` with symbolic tensors costs, and return its symbolic outputs."""
    kinds = {kind.__name__ for kind in type(operation).__mro__}
    if (graph := graph_of(operation)) is not None:
        return _walk(graph, args[0] if args else next(iter(kwargs.values())), f"{path}/", found)
    outputs = operation.compute_output_spec(*args, **kwargs)
    if "Bidirectional" in kinds:
        for side in ("forward_layer", "backward_layer"):
            _call(getattr(operation, side), f"{path}/{side}", found, *args)
        found.append(Call(path, "Bidirectional", _merged(operation, outputs), "rule"))
    elif "TimeDistributed" in kinds:
        _call(operation.layer, f"{path}/layer", found, _folded(args[0]))
    else:
        found.append(_counted(operation, path, args, kwargs, outputs))
    return outputs


def _folded(sequence: Any) -> Any:
    """Return (batch · steps, …) for (batch, steps, …)."""
    from keras import KerasTensor

    batch, steps, *rest = sequence.shape
    return KerasTensor((batch * steps, *rest), sequence.dtype)


def _merged(layer: Any, outputs: Any) -> Cost:
    """Return the cost of merging the two directions of a `Bidirectional`."""
    merges = layer.merge_mode in ("sum", "mul", "ave")
    return Cost(other=sum(map(math.prod, _shapes(outputs)[:1])) if merges else 0)


def _counted(operation: Any, path: str, args: Any, kwargs: Any, outputs: Any) -> Call:
    """Return the record of one call: by rule, else by TensorFlow's profiler, else as unknown."""
    kind = type(operation).__name__
    found = cost(operation, _shapes((args, kwargs)), _shapes(outputs))
    if found is not None:
        return Call(path, kind, found, "rule")
    profiled = profile(operation, args, kwargs)
    if profiled is None:
        return Call(path, kind, Cost(), "unknown")
    return Call(path, kind, Cost(other=profiled), "profiler")


def _shapes(structure: Any) -> list[Shape]:
    """Return the shapes of all symbolic tensors in nested tuples, lists and dicts."""
    return [tuple(tensor.shape) for tensor in _tensors(structure)]


def _tensors(structure: Any) -> Iterator[Any]:
    from keras import KerasTensor, tree

    return (leaf for leaf in tree.flatten(structure) if isinstance(leaf, KerasTensor))


def built_for(model: Any) -> list[Shape]:
    """Return the input shapes a subclassed model was built with, without the batch; empty if it does not say."""
    from keras import tree

    built = getattr(model, "_build_shapes_dict", None) or {}
    shapes: list[Shape] = []
    tree.map_shape_structure(lambda shape: shapes.append(tuple(shape[1:])), list(built.values()))
    return shapes


def profile(operation: Any, args: Any, kwargs: Any) -> int | None:
    """Return the operations TensorFlow's profiler finds in the traced graph of one call, or None if it fails.

    Products it knows nothing of (batched ones, einsum) are added; the body of a loop counts once.
    """
    import tensorflow as tf
    from keras import KerasTensor, tree

    symbols = [leaf for leaf in tree.flatten((args, kwargs)) if isinstance(leaf, KerasTensor)]

    def run(*tensors: Any) -> Any:
        rest = iter(tensors)
        filled = tree.map_structure(lambda leaf: next(rest) if isinstance(leaf, KerasTensor) else leaf, (args, kwargs))
        return operation(*filled[0], **filled[1])

    try:
        signature = [tf.TensorSpec(symbol.shape, symbol.dtype) for symbol in symbols]
        graph = tf.function(run, autograph=False).get_concrete_function(*signature).graph
        options = {**tf.compat.v1.profiler.ProfileOptionBuilder.float_operation(), "output": "none"}
        counted = tf.compat.v1.profiler.profile(graph, options=options).total_float_ops
        return counted + sum(map(_products, graph.get_operations()))
    except Exception:  # whatever a stranger's layer raises when it is traced: it is named as not counted
        return None


def _products(node: Any) -> int:
    """Return the operations of a product that TensorFlow's profiler does not count."""
    inputs = [tuple(tensor.shape) for tensor in node.inputs]
    if node.type == "BatchMatMulV2":
        inner = inputs[0][-2 if node.get_attr("adj_x") else -1]
        return 2 * math.prod(node.outputs[0].shape) * inner
    if node.type == "Einsum":
        lengths = einsum_lengths(node.get_attr("equation").decode(), inputs)
        return 2 * math.prod(lengths.values())
    return 0
