"""A Keras model as a packed file, and back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spiral_cli.errors import MissingError, UsageError
from spiral_cli.models.constants import follow_variables
from spiral_cli.models.load import explain
from spiral_cli.models.names import fresh_names
from spiral_cli.packed.container import Packed, to_bytes
from spiral_cli.run import write_bytes


def pack_model(model: keras.Model) -> Packed:
    """Return what a packed file of ``model`` holds: its configuration, and its variables bit for bit.

    Paths of variables depend on how a model came to be, so they are those of the model that is built from the
    configuration, as whoever unpacks it will build it.

    Raises:
        UsageError: Keras cannot describe the model, or builds another from its description.
    """
    try:
        config = keras.saving.serialize_keras_object(model)
        config.pop("compile_config", None)
        twin = built(config)
    except Exception as error:  # whatever a custom layer's get_config and __init__ raise
        raise UsageError(f"model '{model.name}' cannot be packed, as Keras cannot describe it: {error}") from error
    if [facts(one) for one in twin.variables] != [facts(one) for one in model.variables]:
        raise UsageError(f"model '{model.name}' cannot be packed: of its own get_config Keras builds another model")
    pairs = zip(twin.variables, model.variables, strict=True)
    arrays = {ours.path: np.asarray(theirs.numpy()) for ours, theirs in pairs}
    if len(arrays) != len(model.variables):
        raise UsageError(f"two variables of model '{model.name}' share a path; give its layers names of their own")
    return Packed(keras.__version__, config, arrays)


def built(config: Mapping[str, Any]) -> keras.Model:
    """Return the model that Keras builds of a configuration, which stays as it is; raises whatever Keras does."""
    fresh_names()  # of layers that were not named: the same whatever was built before
    return keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)


def facts(variable: keras.Variable) -> tuple[str, tuple[int, ...], str]:
    """Return what two variables share that stand for each other."""
    return variable.name, tuple(variable.shape), variable.dtype


def write_packed(path: Path, model: keras.Model) -> None:
    """Write ``model`` as a packed file, whole or not at all; raises as `pack_model` and `write_bytes`."""
    write_bytes(path, to_bytes(pack_model(model)))


def unpack_model(packed: Packed, name: str) -> keras.Model:
    """Return the model of a packed file, with exactly the stored variables.

    Raises:
        MissingError: this Keras cannot build it: a class of its own is not known, or it was written by another.
    """
    try:
        model = built(packed.model)
        variables = {variable.path: variable for variable in model.variables}
    except Exception as error:  # whatever a configuration of any origin makes Keras raise
        reason = explain(error, "in plugins, or by spiral unpack --plugin")
        raise MissingError(f"the model in {name} cannot be built: {reason}") from error
    wanted = {path: (array.shape, array.dtype.name) for path, array in packed.arrays.items()}
    if wanted != {path: (tuple(one.shape), one.dtype) for path, one in variables.items()}:
        raise MissingError(
            f"the model in {name} was packed with Keras {packed.keras}, and Keras {keras.__version__} builds it with "
            f"other variables: {difference(list(wanted), list(variables))}"
        )
    for path, array in packed.arrays.items():
        variables[path].assign(array)
    for layer in model._flatten_layers(include_self=False):
        if not hasattr(layer, "save_assets"):
            follow_variables(layer)
    return model


def difference(wanted: list[str], found: list[str]) -> str:
    """Return what two lists of paths do not share, in words."""
    missing = [path for path in wanted if path not in found]
    new = [path for path in found if path not in wanted]
    return f"missing {', '.join(missing) or 'none'}; new {', '.join(new) or 'none'}, or of other shapes or types"
