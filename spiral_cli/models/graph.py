"""The graph of a functional or sequential model, and whether a layer computes what Keras' own code does."""

from __future__ import annotations

from typing import Any


def graph_of(operation: Any) -> Any:
    """Return what holds the graph of a functional or sequential model, or None for anything else."""
    if not stock(operation):
        return None
    graph = getattr(operation, "_functional", None) or operation
    return graph if hasattr(graph, "_run_through_graph") else None


def stock(layer: Any) -> bool:
    """Say whether what ``layer`` computes is Keras' own code."""
    own = next((kind for kind in type(layer).__mro__ if "call" in vars(kind)), object)
    return own.__module__.startswith("keras.")
