"""Channels really removed: a smaller model of the same layers, its weights carried over exactly."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from spiral_cli.channels.graph import Channels, stays
from spiral_cli.channels.trace import Path, editable_graph
from spiral_cli.errors import UsageError
from spiral_cli.models.constants import follow_variables
from spiral_cli.models.load import OWN_CLASSES, explain
from spiral_cli.models.names import fresh_names


def remove(model: Any, channels: Channels, kept: np.ndarray) -> Any:
    """Return ``model`` without the groups that are not ``kept``, as a new model of stock layers.

    Args:
        model: the model that `find_channels` has looked at.
        channels: what it found.
        kept: which groups stay, (groups,) of bool.

    Raises:
        UsageError: Keras cannot build the model from its own config.
    """
    small = built_smaller(model, channels, kept)
    places = {id(variable): place for place, variable in enumerate(model.variables)}
    for layer, narrow in pairs(model, small):
        for old, new in zip(layer.variables, narrow.variables, strict=True):
            value = old.numpy()
            for axis, labels in enumerate(channels.axes[places[id(old)]]):
                if labels is not None:
                    value = np.compress(stays(labels, kept), value, axis=axis)
            for owner, rescale in channels.rescales:
                if owner is old:
                    value = value * np.float32(part(rescale.labels, kept) ** rescale.power)
            new.assign(value)
        carry_over(layer, narrow)
    return small


def built_smaller(model: Any, channels: Channels, kept: np.ndarray) -> Any:
    """Return the smaller model with weights of its own; raises as `remove`."""
    try:
        config = smaller_config(model, channels, kept)
        fresh_names()
        return type(model).from_config(config, custom_objects=own_classes(model))
    except Exception as error:  # whatever a class of any origin makes of its config
        reason = explain(error, otherwise=OWN_CLASSES)
        raise UsageError(f"prune.granularity: no channel of model '{model.name}' can leave: {reason}") from error


def pairs(model: Any, small: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every layer of a model with the same one of its copy; a layer that two models share is two in it."""
    if editable_graph(model) is None:
        yield model, small
        return
    for old, new in zip(model.layers, small.layers, strict=True):
        yield from pairs(old, new)


def carry_over(layer: Any, narrow: Any) -> None:
    """Let preprocessing know what it has learned beside its variables: vocabularies, and constants made of them."""
    for old, new in zip(layer._flatten_layers(), narrow._flatten_layers(), strict=True):
        if hasattr(old, "save_assets"):
            with TemporaryDirectory() as folder:
                old.save_assets(folder)
                new.load_assets(folder)
        else:
            follow_variables(new)


def own_classes(model: Any) -> dict[str, Any]:
    """Return the classes of layers that are not Keras' own, by the names they are saved under."""
    kinds = {type(layer) for layer in model._flatten_layers()}
    return {
        keras.saving.get_registered_name(kind): kind for kind in kinds if not kind.__module__.startswith("keras.src.")
    }


def part(labels: np.ndarray, kept: np.ndarray) -> float:
    """Return the part of the positions that stays."""
    return float(np.mean(stays(labels, kept)))


def smaller_config(model: Any, channels: Channels, kept: np.ndarray) -> dict[str, Any]:
    """Return the config of ``model`` with every number changed that counts what leaves."""
    config = copy.deepcopy(model.get_config())
    edit_model(model, config, channels, kept, outermost=True)
    return config


def edit_model(model: Any, config: dict[str, Any], channels: Channels, kept: np.ndarray, *, outermost: bool) -> None:
    """Change the config of a functional or sequential model, and of all that it holds."""
    if isinstance(model, keras.Sequential):
        layers = [layer for layer in model._layers if layer is not editable_graph(model)]
        if not outermost:
            config.pop("build_input_shape", None)
    else:
        layers = list(model.operations)
    for layer, entry in zip(layers, config["layers"], strict=True):
        entry.pop("build_config", None)  # shapes of what was there before
        edit_layer(layer, entry, channels, kept)


def edit_layer(layer: Any, entry: dict[str, Any], channels: Channels, kept: np.ndarray) -> None:
    """Change the config of one layer."""
    config = entry["config"]
    if editable_graph(layer) is not None:
        edit_model(layer, config, channels, kept, outermost=False)
    else:
        forget_sizes(config)
    for path, labels in channels.edits.get(id(layer), {}).items():
        put(config, path, int(np.count_nonzero(stays(labels, kept))))
    for owner, rescale in channels.rescales:
        if owner is layer:
            put(config, rescale.path, get(config, rescale.path) * part(rescale.labels, kept) ** rescale.power)


def forget_sizes(config: Any) -> None:
    """Let what a layer's config tells of the old size go, in layers inside it too, such as wrappers hold.

    These are the shapes that a layer was built with, and arrays that weights start from, such as a pretrained
    table: these start from zero, as they are set anyway.
    """
    if isinstance(config, list | tuple):
        for one in config:
            forget_sizes(one)
    elif isinstance(config, dict):
        if "class_name" in config:
            config.pop("build_config", None)
        for key, value in config.items():
            if key.endswith("_initializer") and is_array(value):
                config[key] = keras.initializers.serialize(keras.initializers.Zeros())
            else:
                forget_sizes(value)


def is_array(initializer: Any) -> bool:
    """Say whether the config of an initializer holds an array, which fits to no other size."""
    if not isinstance(initializer, dict) or initializer.get("class_name") != "Constant":
        return False
    return not isinstance(initializer["config"]["value"], int | float)


def get(config: Any, path: Path) -> Any:
    """Return what lies at ``path``."""
    for key in path:
        config = config[key]
    return config


def put(config: Any, path: Path, value: Any) -> None:
    """Set what lies at ``path``; a tuple on the way becomes a list."""
    *before, last = path
    for key in before:
        if isinstance(config[key], tuple):
            config[key] = list(config[key])
        config = config[key]
    config[last] = value
