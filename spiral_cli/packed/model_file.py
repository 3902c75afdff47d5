"""A Keras model as a packed file, and back."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spiral_cli.errors import MissingError, UsageError
from spiral_cli.models.load import explain
from spiral_cli.models.names import fresh_names
from spiral_cli.packed.container import Packed, to_bytes
from spiral_cli.run import write_bytes


def pack_model(model: keras.Model) -> Packed:
    """Return what a packed file of ``model`` holds: its configuration, and its variables bit for bit.

    Raises:
        UsageError: Keras cannot describe the model, or a variable's path occurs twice.
    """
    try:
        config = keras.saving.serialize_keras_object(model)
    except Exception as error:  # whatever a custom layer's get_config raises
        raise UsageError(f"model '{model.name}' has no configuration Keras could build it from: {error}") from error
    config.pop("compile_config", None)
    arrays = {variable.path: np.asarray(variable.numpy()) for variable in model.variables}
    if len(arrays) != len(model.variables):
        raise UsageError(f"two variables of model '{model.name}' share a path; give its layers names of their own")
    return Packed(keras.__version__, config, arrays)


def write_packed(path: Path, model: keras.Model) -> None:
    """Write ``model`` as a packed file, whole or not at all; raises as `pack_model` and `write_bytes`."""
    write_bytes(path, to_bytes(pack_model(model)))


def unpack_model(packed: Packed, name: str) -> keras.Model:
    """Return the model of a packed file, with exactly the stored variables.

    Raises:
        MissingError: this Keras cannot build it: a class of its own is not known, or it was written by another.
    """
    fresh_names()  # of layers that were not named: as when the model was packed
    try:
        model: Any = keras.saving.deserialize_keras_object(copy.deepcopy(packed.model), safe_mode=True)
    except Exception as error:  # whatever a configuration of any origin makes Keras raise
        raise MissingError(f"the model in {name} cannot be built: {explain(error)}") from error
    built = {variable.path: variable for variable in getattr(model, "variables", ())}
    wanted = {path: (array.shape, array.dtype.name) for path, array in packed.arrays.items()}
    if wanted != {path: (tuple(one.shape), one.dtype) for path, one in built.items()}:
        raise MissingError(
            f"the model in {name} was packed with Keras {packed.keras}, and Keras {keras.__version__} builds it with "
            f"other variables: {difference(list(wanted), list(built))}"
        )
    for path, array in packed.arrays.items():
        built[path].assign(array)
    return model


def difference(wanted: list[str], built: list[str]) -> str:
    """Return what two lists of paths do not share, in words."""
    missing = [path for path in wanted if path not in built]
    new = [path for path in built if path not in wanted]
    return f"missing {', '.join(missing) or 'none'}; new {', '.join(new) or 'none'}, or of other shapes or types"
