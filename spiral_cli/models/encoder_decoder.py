"""A model of two inputs taken apart: what depends on the source alone is computed once for every sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from spiral_cli.errors import UsageError
from spiral_cli.models.graph import graph_of


@dataclass(frozen=True)
class Halves:
    """The operations of a model from (source, target), in the order in which they run.

    Attributes:
        source, target: its inputs.
        memory: what the decoder needs of the encoder, symbolic tensors.
        encoder, decoder: nodes of its graph; those of the decoder depend on the target.
        features: what the last layer is given, where that is a dense one; else the output.
        last: that layer, which treats every place alike, or None.
    """

    source: keras.KerasTensor
    target: keras.KerasTensor
    memory: tuple[keras.KerasTensor, ...]
    encoder: tuple[Any, ...]
    decoder: tuple[Any, ...]
    features: keras.KerasTensor
    last: keras.layers.Layer | None

    def encode(self, source: tf.Tensor) -> list[tf.Tensor]:
        """Return what `decode` needs of the source (batch, source)."""
        found = run(self.encoder, {id(self.source): source})
        return [found[id(one)] for one in self.memory]

    def decode(self, memory: Sequence[tf.Tensor], target: tf.Tensor) -> tf.Tensor:
        """Return the outputs (batch, vocabulary) at the last place of the target (batch, places)."""
        known = dict(zip(map(id, self.memory), memory, strict=True))
        features = run(self.decoder, {**known, id(self.target): target})[id(self.features)][:, -1]
        return features if self.last is None else self.last(features)


def take_apart(model: keras.Model) -> Halves | None:
    """Return the halves of a functional model, or None where masks that Keras hands on unseen tie them together.

    Raises:
        UsageError: it has no graph, not two inputs and one output, or an output that the source does not reach.
    """
    graph = graph_of(model)
    if graph is None or len(model.inputs) != 2 or len(model.outputs) != 1:
        raise UsageError(
            f"model '{model.name}' is no functional model of two inputs, the source and what is said so far, and one "
            "output; translation needs such a one"
        )
    source, target = model.inputs
    depths = sorted(graph._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in graph._nodes_by_depth[depth] if not node.is_input]
    heard, needed = {id(target)}, {}  # what depends on the target, and what that needs of what does not
    encoder, decoder = [], []
    for node in nodes:
        if not any(id(tensor) in heard for tensor in node.input_tensors):
            encoder.append(node)
            continue
        decoder.append(node)
        heard.update(id(tensor) for tensor in node.outputs)
        needed.update({id(tensor): tensor for tensor in node.input_tensors if id(tensor) not in heard})
    if not needed:
        raise UsageError(
            f"model '{model.name}' says the same whatever it reads: nothing of the source reaches its output"
        )
    if any(getattr(layer, "mask_zero", False) or isinstance(layer, keras.layers.Masking) for layer in model.layers):
        return None
    (output,) = model.outputs
    last = decoder[-1].operation if decoder and decoder[-1].outputs[0] is output else None
    dense = isinstance(last, keras.layers.Dense)
    features = decoder[-1].input_tensors[0] if dense else output
    rest = decoder[:-1] if dense else decoder
    return Halves(
        source, target, tuple(needed.values()), tuple(encoder), tuple(rest), features, last if dense else None
    )


def run(nodes: Sequence[Any], known: Mapping[int, tf.Tensor]) -> dict[int, tf.Tensor]:
    """Run ``nodes`` of a graph from tensors by the identity of the symbolic ones; return all there are."""
    found = dict(known)
    for node in nodes:
        args, kwargs = node.arguments.fill_in(found)
        outputs = tf.nest.flatten(node.operation(*args, **kwargs))
        found.update(zip(map(id, node.outputs), outputs, strict=True))
    return found
