"""Models begun anew: what is drawn, what stays, and that a seed decides."""

from __future__ import annotations

import keras
import numpy as np

from spiral_cli.models.fresh import begin_anew

layers = keras.layers


def nested() -> keras.Model:
    """Return a model with a nested one, a frozen layer, statistics, dropout and a layer used twice."""
    part = keras.Sequential([layers.Input((8, 8, 4)), layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization()])
    inputs = keras.Input((8, 8, 4))
    twice = layers.Conv2D(4, 1, name="twice")
    x = twice(layers.Dropout(0.2)(part(twice(inputs))))
    frozen = layers.Dense(5, name="frozen")
    frozen.trainable = False
    return keras.Model(inputs, layers.Dense(400, name="wide")(frozen(layers.Flatten()(x))))


def test_what_is_trained_is_drawn_by_its_own_initializers_and_the_rest_stays():
    model = nested()
    for variable in model.variables:
        if "float" in str(variable.dtype):
            variable.assign(variable + 7.0)
    before = {id(v): v.numpy() for v in model.variables}
    begin_anew(model, 3)
    trained = {id(v) for v in model.trainable_variables}
    for variable in model.variables:
        if id(variable) not in trained:
            np.testing.assert_array_equal(variable.numpy(), before[id(variable)])
    assert np.abs(model.get_layer("twice").kernel.numpy()).max() <= np.sqrt(6 / 8)  # Glorot's limit
    wide = model.get_layer("wide").kernel.numpy()
    np.testing.assert_allclose(wide.std(), np.sqrt(2 / 405), rtol=0.05)
    assert (model.get_layer("wide").bias.numpy() == 0).all()


def test_a_seed_gives_the_same_values_whatever_the_weights_were():
    model = nested()
    begin_anew(model, 3)
    first = [v.numpy() for v in model.trainable_variables]
    begin_anew(model, 3)
    for variable, value in zip(model.trainable_variables, first, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    begin_anew(model, 4)
    assert any((v.numpy() != value).any() for v, value in zip(model.trainable_variables, first, strict=True))
