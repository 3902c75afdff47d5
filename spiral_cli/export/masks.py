"""Numbers so large that they stand for "never", as masks of attention have them, made small enough for int8.

An int8 tensor has 255 steps between its least and its largest number. Beside -1e9, which keeps attention from
padding, all scores of what is there become one, and the file attends to everything alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

LARGE = 1e4  # the least that is no score: -1e4 is what float16 masks with
NEVER = 32.0  # in its place: e^-32 is nothing beside 1, and scores keep steps of a quarter or finer
SELECTS = {"Select", "SelectV2"}
SUMS = {"Add", "AddV2", "Sub"}
SHAPES = {"Identity", "ExpandDims", "Reshape", "Squeeze", "StridedSlice", "Transpose", "Tile", "BroadcastTo", "Sub"}


def soften(folder: str | Path) -> None:
    """Rewrite the masks of a SavedModel in place.

    They are constants of which each value is beyond `LARGE`, and which truth values select, with what they are added
    to or without, or which are multiplied with what is made of truth values alone.
    """
    path, saved = Path(folder) / "saved_model.pb", SavedModel()
    saved.ParseFromString(path.read_bytes())
    graphs = [one.graph_def for one in saved.meta_graphs]
    bodies = [graph.node for graph in graphs] + [body.node_def for graph in graphs for body in graph.library.function]
    for nodes in bodies:
        softened(nodes)
    path.write_bytes(saved.SerializeToString())


def softened(nodes: Iterable[Any]) -> int:
    """Clip the masks of one graph to `NEVER`; return how many."""
    by_name = {node.name: node for node in nodes}
    users: dict[str, list[Any]] = {}
    for node in by_name.values():
        for source in map(origin, node.input):
            users.setdefault(source, []).append(node)
    changed = 0
    for node in by_name.values():
        seen_by = users.get(node.name, [])
        if large(node) and all(selects(one, users) or multiplies(one, node.name, by_name) for one in seen_by):
            value = tf.make_ndarray(node.attr["value"].tensor)
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.clip(value, -NEVER, NEVER)))
            changed += 1
    return changed


def large(node: Any) -> bool:
    """Whether it is a constant of numbers beyond `LARGE` alone."""
    if node.op != "Const" or node.attr["dtype"].type != tf.float32.as_datatype_enum:
        return False
    value = tf.make_ndarray(node.attr["value"].tensor)
    return bool(value.size) and float(np.abs(value).min()) >= LARGE


def selects(user: Any, users: dict[str, list[Any]]) -> bool:
    """Whether truth values say where the constant that ``user`` takes, or its sum with another, is taken."""
    if user.op in SUMS:
        return bool(users.get(user.name)) and all(one.op in SELECTS for one in users[user.name])
    return user.op in SELECTS


def multiplies(user: Any, constant: str, by_name: dict[str, Any]) -> bool:
    """Whether ``user`` multiplies the constant with what is made of truth values alone."""
    others = [source for source in map(origin, user.input) if source != constant]
    return user.op == "Mul" and bool(others) and all(of_truth(by_name.get(one), by_name) for one in others)


def of_truth(node: Any, by_name: dict[str, Any]) -> bool:
    """Whether a number is made of truth values and constants alone."""
    if node is None:
        return False
    if node.op == "Cast":
        return node.attr["SrcT"].type == tf.bool.as_datatype_enum
    if node.op == "Const":
        return True
    data = node.input if node.op == "Sub" else node.input[:1]  # of the others all but the first say the shape
    return node.op in SHAPES and all(of_truth(by_name.get(origin(one)), by_name) for one in data)


def origin(source: str) -> str:
    """Return the node that an input's name, ``node``, ``node:1``, ``node:output:0`` or ``^node``, comes from."""
    return source.lstrip("^").partition(":")[0]
