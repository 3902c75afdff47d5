"""What tests of removed channels share: random weights, random choices, and a masked model to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from spiral_cli.channels.choice import parameters_of
from spiral_cli.channels.graph import Axes, Channels, find_channels, stays
from spiral_cli.channels.removal import remove

VOCABULARY = 11


def randomize(model: Any, rng: np.random.Generator) -> None:
    """Give every weight a random value, biases and moving statistics too, so that no part is trivially zero."""
    for variable in model.variables:
        shape = tuple(variable.shape)
        if "seed" in variable.path:
            continue
        if any(word in variable.path for word in ("variance", "gamma", "scale", "alpha")):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) > 1:
            value = rng.normal(0, 1.5 / np.sqrt(np.prod(shape) / max(shape)), shape)
        else:
            value = rng.normal(0, 0.5, shape)
        variable.assign(value)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # its constants follow its variables


def random_kept(channels: Channels, rng: np.random.Generator) -> np.ndarray:
    """Return a random half of the groups, at least one of every space."""
    kept = rng.random(channels.count) < 0.5
    for space in channels.spaces:
        kept[rng.choice(space.groups)] = True
        if len(space.groups) > 1 and kept[space.groups].all():
            kept[space.groups[0]] = False
    return kept


def random_inputs(model: Any, rng: np.random.Generator, batch: int = 3) -> Any:
    """Return inputs for a model in its own structure: tokens where it takes integers."""

    def one(tensor: Any) -> np.ndarray:
        shape = (batch, *(5 if size is None else size for size in tensor.shape[1:]))
        if "int" in tensor.dtype:
            return rng.integers(0, VOCABULARY, shape).astype(np.int32)
        return rng.normal(0, 1, shape).astype(np.float32)

    inputs = keras.tree.map_structure(
        one, model._functional._inputs_struct if is_sequential(model) else model._inputs_struct
    )
    return inputs[0] if is_sequential(model) and isinstance(inputs, list) else inputs


def masks_of(channels: Channels, kept: np.ndarray) -> list[np.ndarray]:
    """Return for every variable of the model which of its weights stay, with ``kept`` (groups,) of bool."""
    return [mask_of(axes, kept) for axes in channels.axes]


def mask_of(axes: Axes, kept: np.ndarray) -> np.ndarray:
    """Return a mask that broadcasts to a variable: a weight stays where every axis keeps its position."""
    mask = np.ones((1,) * len(axes), bool)
    for place, labels in enumerate(axes):
        if labels is not None:
            mask = mask & stays(labels, kept).reshape([-1 if axis == place else 1 for axis in range(len(axes))])
    return mask


def is_sequential(model: Any) -> bool:
    """Return whether a model is a `keras.Sequential`."""
    return isinstance(model, keras.Sequential)


def outputs_of(model: Any, inputs: Any) -> list[np.ndarray]:
    """Return the outputs of a model, in flat order; what is stateful starts anew."""
    for layer in model._flatten_layers():
        if getattr(layer, "stateful", False):
            layer.reset_states()
    return [np.asarray(keras.ops.convert_to_numpy(one), np.float64) for one in keras.tree.flatten(model(inputs))]


@contextmanager
def masked(model: Any, channels: Channels, kept: np.ndarray) -> Iterator[Any]:
    """Let a model compute for a while with all weights of what is not kept at zero.

    Its layer normalisations take their statistics over channels that are kept only.
    """
    values = [variable.numpy() for variable in model.variables]
    for variable, value, mask in zip(model.variables, values, masks_of(channels, kept), strict=True):
        if "seed" not in variable.path:
            variable.assign(value * mask)
    places = {id(variable): place for place, variable in enumerate(model.variables)}
    changed = []
    for layer in model._flatten_layers():
        one_group = isinstance(layer, keras.layers.GroupNormalization) and layer.groups == 1
        if isinstance(layer, keras.layers.LayerNormalization) or one_group:
            known = layer.gamma if layer.gamma is not None else layer.beta
            labels = channels.axes[places[id(known)]][-1]
            if labels is not None:
                layer.call = over_kept(layer, stays(labels, kept), one_group)
                changed.append(layer)
    try:
        yield model
    finally:
        for layer in changed:
            del layer.call
        for variable, value in zip(model.variables, values, strict=True):
            variable.assign(value)


def over_kept(layer: Any, kept: np.ndarray, space: bool) -> Any:
    """Return a layer normalisation of the last axis, or of space too, that counts only the kept places of it."""

    def call(inputs: Any, **_: Any) -> Any:
        x = keras.ops.cast(inputs, "float32")
        axes = tuple(range(1, len(x.shape))) if space else (-1,)
        counted = keras.ops.take(x, np.flatnonzero(kept), axis=-1)
        mean = keras.ops.mean(counted, axis=axes, keepdims=True)
        variance = keras.ops.mean(keras.ops.square(counted - mean), axis=axes, keepdims=True)
        found = (x - mean) / keras.ops.sqrt(variance + layer.epsilon)
        found = found if layer.gamma is None else found * layer.gamma
        return found if layer.beta is None else found + layer.beta

    return call


def difference(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    """Return the largest difference of outputs, relative to the largest output where that is above 1."""
    return max(
        float(np.abs(a - b).max()) / max(1.0, float(np.abs(b).max())) for a, b in zip(first, second, strict=True)
    )


def check_removal(model: Any, seed: int = 0, tolerance: float = 1e-5, *, changes: bool = True) -> tuple[Any, Channels]:
    """Remove a random half of all groups and compare with masking; return the smaller model and what was found.

    With ``changes``, outputs must be others than before any removal, and vary with what comes in.
    """
    rng = np.random.default_rng(seed)
    randomize(model, rng)
    channels = find_channels(model)
    kept = random_kept(channels, rng)
    inputs = random_inputs(model, rng)
    whole = outputs_of(model, inputs)
    small = remove(model, channels, kept)
    with masked(model, channels, kept):
        expected = outputs_of(model, inputs)
    found = outputs_of(small, inputs)
    assert [one.shape for one in found] == [one.shape for one in expected]
    for one in expected:
        assert np.isfinite(one).all()
        varies = one.std(axis=0).max() > 1e-3 * np.abs(one).max()
        assert varies or not changes, "outputs must vary with what comes in"
    assert difference(whole, expected) > 1e-4 or not changes, "removal must change outputs"
    assert difference(found, expected) <= tolerance
    assert parameters_of(channels, kept) == small.count_params() < model.count_params() + (not changes)
    return small, channels
