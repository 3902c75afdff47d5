"""Group regularisation: its gradient is that of the penalty it names, and touches nothing that stays."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from removals import masks_of
from small_models import small_model

from spiral_cli.channels.graph import find_channels
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.training.group_pressure import GroupPressure


def pushed(model: keras.Model):
    """Return channels, places of the kernels, and the pressure on them."""
    channels = find_channels(model)
    index = {id(variable): place for place, variable in enumerate(model.variables)}
    places = [index[id(one.variable)] for one in find_prunable(model)[0]]
    return channels, places, GroupPressure(channels, places)


def test_the_push_is_the_gradient_of_the_sum_of_group_norms():
    model = small_model()
    channels, places, pressure = pushed(model)
    leaving = np.arange(channels.count) % 3 == 0
    pressure.leaving.assign(leaving)
    weights = [tf.Variable(model.variables[place].numpy()) for place in places]
    with tf.GradientTape() as tape:
        penalty = tf.constant(0.0)
        for group in np.flatnonzero(leaving):
            alone = np.arange(channels.count) != group
            masks = [masks_of(channels, alone)[place] for place in places]
            belongs = [np.broadcast_to(~mask, weight.shape) for mask, weight in zip(masks, weights, strict=True)]
            count = sum(np.count_nonzero(one) for one in belongs)
            squares = tf.add_n([tf.reduce_sum(tf.where(b, w, 0.0) ** 2) for b, w in zip(belongs, weights, strict=True)])
            penalty += tf.sqrt(float(count) * squares)
    for ours, theirs in zip(pressure(weights), tape.gradient(penalty, weights), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_groups_that_stay_and_groups_of_zeros_are_not_pushed():
    model = small_model()
    channels, places, pressure = pushed(model)
    weights = [tf.constant(model.variables[place].numpy()) for place in places]
    assert all(not np.any(push) for push in pressure(weights))
    pressure.leaving.assign(np.ones(channels.count))
    assert all(not np.any(push) for push in pressure([tf.zeros_like(weight) for weight in weights]))
