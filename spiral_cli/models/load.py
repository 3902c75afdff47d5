"""Models that come from elsewhere: a `.keras` file or a person's own function."""

from __future__ import annotations

import inspect
import json
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from spiral_cli.builder import resolve
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.models.names import fresh_names, scoped, untraceable
from spiral_cli.models.precision import in_float32

SAVE_AGAIN = "save the model again by model.save('model.keras') in Keras 3"
# What Keras says, by where it meets a class or function that is not registered.
UNKNOWN = re.compile(
    r"Could not locate \w+ '([^']+)'|Cannot deserialize object of type `([^`]+)`|"
    r"Could not interpret [\w ]+: \{'module': [^,]+, 'class_name': '([^']+)'"
)
BY_FLAG = "in plugins, or by --plugin"  # which the verbs that take files have
OWN_CLASSES = "let get_config of its own classes return all that their __init__ takes"


def load_model(path: str | Path) -> keras.Model:
    """Load a `.keras` file with Keras' safe mode on, computing in float32, without its training state.

    Raises:
        MissingError: there is no such file, it is no `.keras` file or damaged, it needs a class
            that is not known, a Lambda layer, whose code safe mode refuses to run, or names that
            TensorFlow refuses.
    """
    path = Path(path)
    if not path.exists():
        raise MissingError(f"there is no model at {path}; correct the path")
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise MissingError(f"{path} is no .keras file, or was cut short; write it again by model.save('model.keras')")
    # A subclassed model stores some layers under the names Keras counts up for them in a process:
    # the file loads again only where the count starts anew.
    fresh_names()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever a file of any origin makes Keras, h5py or zipfile raise
        raise MissingError(f"{path} cannot be loaded: {explain(error, BY_FLAG)}") from error
    if not isinstance(model, keras.Model):
        raise MissingError(f"{path} holds a {type(model).__name__}, not a keras.Model")
    if reason := untraceable(model):
        raise MissingError(f"{path} cannot be run: {reason}")
    return in_float32(scoped(model))


def refuse_unloadable(model: keras.Model, whose: str) -> None:
    """Check, by its description alone, that a model that code has built can be loaded again once it is stored.

    Args:
        model: the model.
        whose: what messages call it.

    Raises:
        UsageError: it needs a class that is not known, or code that safe mode refuses to run.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a lambda, which is refused here
            description = json.dumps(keras.saving.serialize_keras_object(model))
        keras.saving.deserialize_keras_object(json.loads(description), safe_mode=True)
    except Exception as error:  # whatever a class of any origin makes of its description
        reason = explain(error, otherwise=OWN_CLASSES)
        raise UsageError(f"{whose} '{model.name}' could not be loaded again once it is stored: {reason}") from error


def compiled_loss(path: str | Path) -> str | None:
    """Return the name of the loss a `.keras` file was compiled with, or None where it says nothing."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    loss = (config.get("compile_config") or {}).get("loss")
    while isinstance(loss, Mapping):  # an object, or a function inside one
        inner = loss.get("config")
        fn = inner.get("fn") if isinstance(inner, Mapping) else inner
        loss = fn if isinstance(fn, Mapping | str) else loss.get("class_name")
    return None if loss is None else str(loss)


def explain(error: Exception, plugins: str = "in plugins", otherwise: str = SAVE_AGAIN) -> str:
    """Return in one sentence why Keras could not build a model, and what to do.

    Args:
        error: what Keras has raised.
        plugins: where modules are named.
        otherwise: what to do where nothing better is known.
    """
    said = str(error)
    # Of a Lambda around a named function Keras says only that it does not know the function.
    if "'class_name': 'Lambda'" in said or ("Lambda" in said and "safe_mode" in said):
        return (
            "it holds a Lambda layer, whose code Keras' safe mode does not run; write it as a "
            f"layer class under @keras.saving.register_keras_serializable() and name its module {plugins}"
        )
    # The second is what Keras says of one that it has stored as a layer's activation.
    if "Python lambda" in said or re.search(r"Could not interpret [\w ]+: \{'value':", said):
        return (
            "it holds a lambda, whose code Keras' safe mode does not run; write it as a named function under "
            f"@keras.saving.register_keras_serializable() in a module and name the module {plugins}"
        )
    if unknown := UNKNOWN.search(said):
        return (
            f"it needs '{unknown[unknown.lastindex or 0]}', which is not known; put it under "
            f"@keras.saving.register_keras_serializable() in a module and name the module {plugins}"
        )
    innermost = said.rpartition("Exception encountered: ")[2]  # Keras puts each error into that of what holds it
    first = innermost.strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {first}; {otherwise}"


def build_from(builder: str, arguments: tuple[Any, ...]) -> keras.Model:
    """Call ``package.module:function`` with ``arguments``, or with nothing if it takes nothing.

    ``arguments`` are a task's: the shape of the input, the number of outputs and, of tokens, how many there are.

    What it returns computes in float32, as a loaded file does.

    Raises:
        UsageError: it is not there, takes other arguments, fails, or returns something else.
    """
    function = resolve(builder, "builder")
    try:
        signature = inspect.signature(function)
        arguments = arguments if signature.parameters else ()
        signature.bind(*arguments)
    except (TypeError, ValueError) as error:
        names = ", ".join(("input_shape", "outputs", "vocabulary")[: len(arguments)])
        raise UsageError(f"builder: {builder} must take ({names}) or no arguments ({error})") from error
    try:
        model = function(*arguments)
    except Exception as error:
        raise UsageError(f"builder: {builder} failed ({type(error).__name__}: {error})") from error
    if not isinstance(model, keras.Model):
        raise UsageError(f"builder: {builder} returned {type(model).__name__}; it must return a keras.Model")
    if reason := untraceable(model):
        raise UsageError(f"builder: {builder} returned a model that cannot be run: {reason}")
    return in_float32(scoped(model))
