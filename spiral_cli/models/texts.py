"""What the models of texts share: where a row holds pieces, and which."""

from __future__ import annotations

import keras


def there(tokens: keras.KerasTensor) -> keras.KerasTensor:
    """Return 1 for each piece of ``tokens`` (batch, length) and 0 for padding, (batch, length, 1) float32."""
    real = keras.ops.cast(keras.ops.not_equal(tokens, 0), "float32")
    return keras.ops.expand_dims(real, -1)


def read(tokens: keras.KerasTensor) -> keras.KerasTensor:
    """Return where ``tokens`` (batch, length) are pieces, (batch, length) bool; of a row of nothing its first place.

    A mean over them is a number then, whatever is asked.
    """
    return keras.ops.logical_or(keras.ops.not_equal(tokens, 0), keras.ops.equal(positions(tokens), 0))


def earlier(tokens: keras.KerasTensor) -> keras.KerasTensor:
    """Return which pieces each may look at, itself and those before it, (batch, length, length) bool.

    What Keras makes of ``use_causal_mask`` LiteRT cannot convert where lengths are open.
    """
    place = positions(tokens)
    return keras.ops.greater_equal(keras.ops.expand_dims(place, 2), keras.ops.expand_dims(place, 1))


def positions(tokens: keras.KerasTensor) -> keras.KerasTensor:
    """Return the place of every piece, counted from 0, (batch, length) int32."""
    return keras.ops.cumsum(keras.ops.ones_like(tokens), axis=1) - 1
