"""Standard augmentation of images by Keras layers, as a fixed number of views of each image.

An augmentation is a function from the recipe's value (None where it stands alone) and a `Canvas`
to a Keras layer. It may declare what it ``takes``, so that `spiral validate` can tell: the lowest
and highest number (None: the images decide), or None for no value. Its random numbers come from
the layer's seed generators, which `augmenter` makes a function of (seed, sample, view).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spiral_cli.data.pipeline import Augment
from spiral_cli.data.pixels import stored_range
from spiral_cli.data.stream import Images
from spiral_cli.errors import UsageError
from spiral_cli.hooks import hooked
from spiral_cli.recipe.augment import name_and_value
from spiral_cli.registry import augmentations


@dataclass(frozen=True)
class Canvas:
    """The images to augment: their size in pixels and the (lowest, highest) value they are stored in."""

    height: int
    width: int
    value_range: tuple[float, float]


@augmentations.register("flip", takes=None)
def flip(value: Any, canvas: Canvas) -> keras.layers.Layer:
    """Mirror left and right, for half of the images; takes no value."""
    no_value("flip", value)
    return keras.layers.RandomFlip("horizontal")


@augmentations.register("flip_vertical", takes=None)
def flip_vertical(value: Any, canvas: Canvas) -> keras.layers.Layer:
    """Mirror top and bottom, for half of the images; takes no value."""
    no_value("flip_vertical", value)
    return keras.layers.RandomFlip("vertical")


@augmentations.register("crop", takes=(1, None))
def crop(value: Any, canvas: Canvas) -> keras.layers.Layer:
    """Pad by so many pixels of the lowest value, then crop to size at a random place (He et al. 2016)."""
    most = min(canvas.height, canvas.width) - 1
    pixels = number("crop", value, 1, most, "pixels, for example crop: 4")
    # Padding by p and cropping is shifting by -p to p whole pixels. Keras' RandomCrop draws one place
    # for a whole batch; a translation to the nearest pixel draws one an image, and the half pixel
    # added makes the outermost shifts as likely as the others.
    reach = np.floor(pixels) + 0.5
    return keras.layers.RandomTranslation(
        float(reach / canvas.height),
        float(reach / canvas.width),
        fill_mode="constant",
        fill_value=canvas.value_range[0],
        interpolation="nearest",
    )


@augmentations.register("rotate", takes=(0, 180))
def rotate(value: Any, canvas: Canvas) -> keras.layers.Layer:
    """Turn by up to so many degrees either way; the corners are filled by reflection."""
    degrees = number("rotate", value, 0, 180, "degrees, for example rotate: 15")
    return keras.layers.RandomRotation(degrees / 360)


@augmentations.register("zoom", takes=(0, 0.99))
def zoom(value: Any, canvas: Canvas) -> keras.layers.Layer:
    """Zoom in or out by up to this fraction, keeping the aspect."""
    return keras.layers.RandomZoom(number("zoom", value, 0, 0.99, "a fraction, for example zoom: 0.1"))


@augmentations.register("translate", takes=(0, 1))
def translate(value: Any, canvas: Canvas) -> keras.layers.Layer:
    """Shift by up to this fraction of height and width; the border is filled by reflection."""
    fraction = number("translate", value, 0, 1, "a fraction, for example translate: 0.1")
    return keras.layers.RandomTranslation(fraction, fraction)


@augmentations.register("contrast", takes=(0, 1))
def contrast(value: Any, canvas: Canvas) -> keras.layers.Layer:
    """Stretch values about their mean by a factor of up to this much above or below 1."""
    fraction = number("contrast", value, 0, 1, "a fraction, for example contrast: 0.2")
    # One number alone would only raise the contrast in Keras: both ends are stated.
    return keras.layers.RandomContrast((fraction, fraction), value_range=canvas.value_range)


@augmentations.register("brightness", takes=(0, 1))
def brightness(value: Any, canvas: Canvas) -> keras.layers.Layer:
    """Add up to this fraction of the value range to all pixels, or take it away."""
    fraction = number("brightness", value, 0, 1, "a fraction, for example brightness: 0.2")
    return keras.layers.RandomBrightness(fraction, value_range=canvas.value_range)


def no_value(name: str, value: Any) -> None:
    """Refuse a value.

    Raises:
        UsageError: there is one.
    """
    if value is not None:
        raise UsageError(f"data.augment: {name} takes no value, received {value!r}; write - {name}")


def number(name: str, value: Any, low: float, high: float, unit: str) -> float:
    """Return ``value`` if it is a number above 0 in [low, high].

    Raises:
        UsageError: it is not.
    """
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if not (numeric and value > 0 and low <= value <= high):
        raise UsageError(f"data.augment: {name} received {value!r}; allowed are {low:g} to {high:g} {unit}")
    return float(value)


def build_layers(augment: Sequence[str | dict[str, Any]], canvas: Canvas) -> list[keras.layers.Layer]:
    """Return the layers of the recipe's `data.augment`, in its order.

    Raises:
        UsageError: an unknown name, or a value out of range.
    """
    layers = []
    for item in augment:
        if isinstance(item, dict) and len(item) != 1:
            raise UsageError(f"data.augment: received {item!r}; an item is one name, or one name with its value")
        name, value = name_and_value(item)
        layers.append(augmentations.get(name)(value, canvas))
    return layers


def augmenter(augment: Sequence[str | dict[str, Any]], images: Images, seed: int, scale: str) -> Augment:
    """Return what makes a view: the same bytes for the same seed, sample, view and image, whatever else there is.

    Args:
        augment: the recipe's `data.augment`.
        images: (n, height, width, channels) to come, for their size and type.
        seed: of all views.
        scale: the recipe's `data.scale`; it bounds the values of float images.

    Raises:
        UsageError: an unknown augmentation, or a value out of range.
    """
    dtype = images.dtype
    _, height, width, _ = images.shape
    layers = build_layers(augment, Canvas(height, width, stored_range(dtype, scale)))
    generators = [generator for layer in layers for generator in layer._seed_generators]

    def view_of(image: tf.Tensor, sample: tf.Tensor, view: tf.Tensor) -> tf.Tensor:
        drawn = itertools.count()

        def next_seed(ordered: bool = True) -> tf.Tensor:
            # Counter-based generators: any two different pairs give independent numbers.
            return tf.stack([tf.constant((seed << 16) + next(drawn), tf.int64), view * 2**40 + sample])

        batch = tf.cast(image[None], tf.float32)
        with hooked(dict.fromkeys(generators, next_seed), "next"):
            for layer in layers:
                batch = layer(batch, training=True)
        if dtype == np.uint8:
            batch = tf.clip_by_value(tf.round(batch), 0, 255)
        return tf.ensure_shape(tf.cast(batch[0], dtype), image.shape)

    return view_of
