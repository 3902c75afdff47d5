"""A Keras model as a packed file, and back."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spiral_cli.errors import MissingError, UsageError
from spiral_cli.models.constants import follow_variables
from spiral_cli.models.load import BY_FLAG, explain
from spiral_cli.models.names import fresh_names
from spiral_cli.packed.container import Packed, to_bytes
from spiral_cli.run import write_bytes


def pack_model(model: keras.Model) -> Packed:
    """Return what a packed file of ``model`` holds: its configuration, and its weights bit for bit.

    Of dropout's seeds it holds nothing, as Keras' own files: they are other ones whenever the model is loaded.

    Paths of weights depend on how a model came to be, so they are those of the model that is built from the
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
    if [facts(one) for one in twin.weights] != [facts(one) for one in model.weights]:
        raise UsageError(f"model '{model.name}' cannot be packed: of its own get_config Keras builds another model")
    pairs = zip(by_path(twin.weights), model.weights, strict=True)
    arrays = {path: np.asarray(weight.numpy()) for path, weight in pairs}
    return Packed(keras.__version__, config, arrays)


def built(config: Mapping[str, Any]) -> keras.Model:
    """Return the model that Keras builds of a configuration, which stays as it is; raises whatever Keras does."""
    fresh_names()  # of layers that were not named: the same whatever was built before
    return keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)


def facts(variable: keras.Variable) -> tuple[str, tuple[int, ...], str]:
    """Return what two variables share that stand for each other."""
    return variable.name, tuple(variable.shape), variable.dtype


def by_path(variables: Iterable[keras.Variable]) -> dict[str, keras.Variable]:
    """Return ``variables`` of a model by path, in order.

    Those of layers of one name in two nested models share a path: each after the first gets its number, ``path//2``.
    """
    met: Counter[str] = Counter()
    named = {}
    for variable in variables:
        met[variable.path] += 1
        count = met[variable.path]
        named[variable.path if count == 1 else f"{variable.path}//{count}"] = variable  # no name is empty: none is lost
    return named


def write_packed(path: Path, model: keras.Model) -> None:
    """Write ``model`` as a packed file, whole or not at all; raises as `pack_model` and `write_bytes`."""
    write_bytes(path, to_bytes(pack_model(model)))


def unpack_model(packed: Packed, name: str) -> keras.Model:
    """Return the model of a packed file, with exactly the stored weights.

    Raises:
        MissingError: this Keras cannot build it: a class of its own is not known, or it was written by another.
    """
    try:
        model = built(packed.model)
        weights, variables = by_path(model.weights), by_path(model.variables)
    except Exception as error:  # whatever a configuration of any origin makes Keras raise
        raise MissingError(f"the model in {name} cannot be built: {explain(error, BY_FLAG)}") from error
    wanted = {path: (array.shape, array.dtype.name) for path, array in packed.arrays.items()}
    least, most = ({path: (tuple(one.shape), one.dtype) for path, one in of.items()} for of in (weights, variables))
    if not least.items() <= wanted.items() <= most.items():  # older files hold the seeds of dropout, too
        raise MissingError(
            f"the model in {name} was packed with Keras {packed.keras}, and Keras {keras.__version__} builds it with "
            f"other variables: {difference(list(wanted), list(weights))}"
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
