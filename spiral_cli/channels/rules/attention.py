"""Attention: heads leave whole, with their part of every projection."""

from __future__ import annotations

from typing import Any

from spiral_cli.channels.rules.regular import divided, heads_of
from spiral_cli.channels.ties import Labels
from spiral_cli.channels.trace import Axes, NotCoveredError, Signal, Trace, positions, rule


def project(trace: Trace, dense: Any, entering: Labels | None, heads: Labels, shape: tuple[int | None, ...]) -> None:
    """Bind a projection (inputs, heads, width) and its bias (heads, width).

    Raises:
        NotCoveredError: heads are 1 wide and have biases, which Keras adds along time where that is as long.
    """
    if dense.bias is not None and dense.bias.shape[-1] == 1:
        raise NotCoveredError("its heads are 1 wide; use key_dim: 2 or more, or use_bias: false")
    trace.bind(dense._kernel, entering, heads, None, uses=positions(shape[1:-1]))
    trace.bind(dense.bias, heads, None)


def answer(trace: Trace, dense: Any, heads: Labels, leaving: Labels | None, shape: tuple[int | None, ...]) -> None:
    """Bind the projection of all heads to the output, (heads, width, outputs)."""
    trace.bind(dense._kernel, heads, None, leaving, uses=positions(shape[1:-1]))
    trace.bind(dense.bias, leaving)


def heads_between(
    trace: Trace, layer: Any, count: int, signals: tuple[Signal, ...], mask: Any, mask_rank: int
) -> Labels:
    """Return the labels of ``count`` heads that attend between ``signals``: query, value and key."""
    hold_places(trace, layer, *signals)
    heads = trace.fresh(layer, count, "heads")
    hold_masked(trace, layer, heads, mask, mask_rank)
    return heads


def hold_places(trace: Trace, layer: Any, *signals: Signal) -> None:
    """Channels that run along what is attended to stay."""
    for signal in signals:
        for labels in signal.axes[1:-1]:
            trace.hold_axis(labels, f"{layer.name} attends along them")


def hold_masked(trace: Trace, layer: Any, heads: Labels, mask: Any, rank: int) -> None:
    """A mask with an axis of heads says which head is which: all stay."""
    if mask is not None and len(mask.shape) == rank and mask.shape[1] != 1:
        trace.ties.hold(heads, f"{layer.name} has a mask for every head")


def with_scores(trace: Trace, axes: Axes, shapes: list, heads: Labels) -> list[Axes]:
    """Return the axes of the output, and of the attention scores (batch, heads, …) where they are asked for.

    The scores of a head without weights are all alike, not zero.
    """
    if len(shapes) > 1:
        trace.ties.taint(heads)
    return [axes, *((None, heads, *(None,) * (len(shape) - 2)) for shape in shapes[1:])]


@rule("MultiHeadAttention")
def multi_head_attention(
    trace: Trace,
    layer: Any,
    shapes: list,
    query: Signal,
    value: Signal,
    key: Signal | None = None,
    attention_mask: Any = None,
    **_: Any,
) -> list[Axes]:
    """Query, key and value projections (inputs, heads, width), and the output's (heads, width, outputs)."""
    key = value if key is None else key
    rank = 2 + 2 * len(layer._attention_axes)
    heads = heads_between(trace, layer, layer.num_heads, (query, value, key), attention_mask, rank)
    project(trace, layer.query_dense, query.axes[-1], heads, query.shape)
    project(trace, layer.key_dense, key.axes[-1], heads, key.shape)
    project(trace, layer.value_dense, value.axes[-1], heads, value.shape)
    if getattr(layer, "_use_gate", False):
        project(trace, layer._gate_dense, query.axes[-1], heads, query.shape)
    pairs = positions(query.shape[1:-1]) * positions(key.shape[1:-1])
    trace.products.append((heads, pairs * (layer._key_dim + layer._value_dim)))
    trace.edit(layer, "num_heads", heads)
    made: Labels | None = None
    kernel = layer.output_dense._kernel
    if len(kernel.shape) == 3:
        made = trace.fresh(layer, kernel.shape[-1])
        answer(trace, layer.output_dense, heads, made, query.shape)
        trace.edit(layer, "output_shape", made)
    else:
        trace.bind(kernel, heads, *(None,) * (len(kernel.shape) - 1), uses=positions(query.shape[1:-1]))
    return with_scores(trace, (*(None,) * (len(shapes[0]) - 1), made), shapes, heads)


@rule("GroupedQueryAttention", "GroupQueryAttention")
def grouped_query_attention(
    trace: Trace,
    layer: Any,
    shapes: list,
    query: Signal,
    value: Signal,
    key: Signal | None = None,
    attention_mask: Any = None,
    **_: Any,
) -> list[Axes]:
    """Several query heads share one of key and value: they leave with it, or the same ones of every share do."""
    key = value if key is None else key
    shared, all_heads = layer.num_key_value_heads, layer.num_query_heads
    heads = heads_between(trace, layer, all_heads, (query, value, key), attention_mask, 4)
    parts = divided(all_heads, shared)
    parts.tie(trace, heads)
    served: Labels | None = heads_of(heads, shared) if parts.whole else None
    project(trace, layer._query_dense, query.axes[-1], heads, query.shape)
    for dense, signal in ((layer._key_dense, key), (layer._value_dense, value)):
        trace.bind(dense._kernel, signal.axes[-1], served, None, uses=positions(signal.shape[1:-1]))
        trace.bind(dense.bias, served, None)
    if getattr(layer, "use_gate", False):
        project(trace, layer._gate_dense, query.axes[-1], heads, query.shape)
    trace.products.append((heads, 2 * layer.head_dim * positions(query.shape[1:-1]) * positions(key.shape[1:-1])))
    trace.edit(layer, "num_query_heads", heads)
    trace.edit(layer, "num_key_value_heads", served)
    answer(trace, layer._output_dense, heads, query.axes[-1], query.shape)  # the output is as wide as the query
    return with_scores(trace, (*(None,) * (len(shapes[0]) - 1), query.axes[-1]), shapes, heads)


@rule("Attention", "AdditiveAttention")
def attention(trace: Trace, layer: Any, shapes: list, inputs: Any, **kwargs: Any) -> list[Axes]:
    """Query and key are multiplied, or added, place by place; the output is made of values."""
    query, value, *rest = inputs
    key = rest[0] if rest else value
    hold_places(trace, layer, query, key, value)
    along = trace.join(query.axes[-1], key.axes[-1])
    scale = getattr(layer, "scale", None)
    if scale is not None and len(scale.shape):
        trace.bind(scale, along)
    elif along is not None:
        trace.ties.sum_up(along, f"{layer.name} multiplies or adds queries and keys")
    axes = (*(None,) * (len(shapes[0]) - 1), value.axes[-1])
    return [axes, *((None,) * len(shape) for shape in shapes[1:])]
