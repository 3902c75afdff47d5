"""The networks of keras.applications, by name, with a head for one's own classes."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import keras

from spiral_cli.errors import MissingError, UsageError, did_you_mean


def application_names() -> list[str]:
    """Return the names of the networks in `keras.applications`."""
    return sorted(name for name, part in vars(keras.applications).items() if inspect.isfunction(part))


def application(name: str, input_shape: tuple[int, int, int], outputs: int, weights: str | None = None) -> keras.Model:
    """Build a network of `keras.applications`: its trunk, average pooling and a dense layer ``logits``.

    ``imagenet`` weights expect the values that the network's own ``preprocess_input`` gives: state
    the matching `data.scale`.

    Args:
        name: of the network, in any case, such as ``MobileNetV2``.
        input_shape: (height, width, channels).
        outputs: number of logits.
        weights: None for random ones, ``imagenet`` (downloaded once by Keras), or a weights file
            of the trunk.

    Returns:
        A model from (batch, *input_shape) to logits (batch, outputs).

    Raises:
        UsageError: an unknown name, or a network that does not take this shape.
        MissingError: the weights are not there or do not fit.
    """
    known = {name.lower(): name for name in application_names()}
    if name.lower() not in known:
        near = did_you_mean(name.lower(), list(known))
        raise UsageError(f"keras.applications has no '{name}'; there are {', '.join(known.values())}{near}")
    network = known[name.lower()]
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise MissingError(
            f"there is no weights file {weights}; correct the path, or use imagenet, or leave weights out"
        )
    build = getattr(keras.applications, network)
    try:
        trunk = build(include_top=False, weights=None, input_shape=input_shape, pooling="avg")
    except (ValueError, TypeError) as error:
        raise UsageError(f"{network} does not take images of shape {input_shape}: {error}") from error
    if weights == "imagenet":
        trunk = pretrained(network, input_shape)
    elif weights is not None:
        load_trunk(trunk, weights)
    logits = keras.layers.Dense(outputs, name="logits")(trunk.output)
    return keras.Model(trunk.input, logits, name=trunk.name)


def pretrained(name: str, input_shape: tuple[int, int, int]) -> keras.Model:
    """Build the trunk of ``name`` with ImageNet's weights.

    Raises:
        UsageError: there are none for this shape, such as one of a single channel.
        MissingError: they cannot be downloaded.
    """
    build = getattr(keras.applications, name)
    try:
        return build(include_top=False, weights="imagenet", input_shape=input_shape, pooling="avg")
    except (ValueError, TypeError) as error:
        raise UsageError(f"{name} has no imagenet weights for images of shape {input_shape}: {error}") from error
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise MissingError(
            f"the imagenet weights of {name} are not in Keras' cache and cannot be downloaded ({error}); "
            "connect to the network once, copy them into ~/.keras/models, or leave weights out"
        ) from error


def load_trunk(trunk: keras.Model, path: str) -> None:
    """Read the weights file at ``path`` into ``trunk``.

    Raises:
        MissingError: the file does not fit.
    """
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers the file does not hold, and leaves them random.
            warnings.filterwarnings("error", message="Skipping|A total of", category=UserWarning)
            trunk.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise MissingError(f"{path} holds no weights for {trunk.name} without its top ({error})") from error
