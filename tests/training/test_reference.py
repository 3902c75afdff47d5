"""The compiled step against a plain eager reference, for every combination of what it does."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import LOGITS, PREPROCESSING, WEIGHT, N, X, Y, half_masks, small_model

from spiral_cli.data.augmentation import augmenter
from spiral_cli.data.pipeline import Views, materialised
from spiral_cli.distillation.features import pair_layers
from spiral_cli.distillation.losses.kl import kl
from spiral_cli.distillation.places import Sample
from spiral_cli.models.precision import computing_in
from spiral_cli.pruning.pressure import l1
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.recipe.schema import Feature
from spiral_cli.tasks.classification import Head
from spiral_cli.training.arrays import TrainingData
from spiral_cli.training.build import on_each
from spiral_cli.training.objective import Objective
from spiral_cli.training.optimizers import make_optimizer
from spiral_cli.training.plan import epoch_rows
from spiral_cli.training.program import Program
from spiral_cli.training.targets import cached_features, energies, online_features

BATCH, STEPS, VIEWS = 10, 20, 3
SCALE = 256.0  # of the loss in float16: no gradient of these models overflows
OFTEN = {"optimizer": "adam", "normalised": True, "precision": "float32", "net": "plain"}
EVERY = [
    {"masks": masks, "kd": kd, "features": features, "augmented": augmented, "jit": jit, **OFTEN}
    for masks, kd, features, augmented, jit in itertools.product(
        [True, False], [True, False], ["none", "cached"], [False, True], [False, True]
    )
]
ALL_ON = {"masks": True, "kd": True, "features": "cached", "augmented": True, "jit": False, **OFTEN}
MORE = [
    {**ALL_ON, **changed}
    for changed in (
        {"optimizer": "adamw"},
        {"optimizer": "sgd"},
        {"features": "online"},
        {"features": "online", "jit": True},
        {"features": "none", "net": "pooled"},
        {"features": "none", "net": "encoder"},
        {"normalised": False},  # batch normalisation keeps a step whole; without it the step runs in halves
        {"normalised": False, "features": "online"},
        {"precision": "mixed_bfloat16", "features": "none"},
        {"precision": "mixed_bfloat16", "features": "online"},
        {"precision": "mixed_bfloat16", "normalised": False, "optimizer": "adamw"},
        {"precision": "mixed_bfloat16", "jit": True},
        {"precision": "mixed_float16"},
        {"precision": "mixed_float16", "normalised": False, "features": "none", "optimizer": "sgd"},
        {"precision": "mixed_float16", "jit": True, "features": "none"},
    )
]


def reference(model, images, masks, objective, targets, projections, optimizer, rates, strengths, plan, scale):
    """Some lines of eager Keras that do the same, one step at a time; return the mean loss of each step."""
    prunable = find_prunable(model)[0]
    trainable = [*model.trainable_variables, *projections]
    forward, losses = model, []
    if objective.hints:
        forward = keras.Model(
            model.inputs[0], [model.outputs[0], *(model.get_layer(h.student).output for h in objective.hints)]
        )
    optimizer.build(trainable)
    for one in prunable:
        one.variable.assign(one.variable * masks[one.name])
    for (rows, valid), rate, strength in zip(plan, rates, strengths, strict=True):
        example = rows % N
        inputs = images[rows].astype(np.float32) / 255
        with tf.GradientTape() as tape:
            outputs = forward(inputs, training=True)
            outputs = [tf.cast(one, tf.float32) for one in (outputs if isinstance(outputs, list) else [outputs])]
            here = {k: tf.gather(v, rows) if np.ndim(v) else v for k, v in targets.items()}
            total = objective.per_example(outputs, tf.constant(Y[example]), here, projections)[0]
            w = WEIGHT[example] * (valid > 0)
            mean = tf.reduce_sum(w * total) / w.sum()
            loss = scale * (mean + sum(model.losses))
        gradients = [g / scale for g in tape.gradient(loss, [v.value for v in trainable])]
        names = {id(one.variable) for one in prunable}
        gradients = [
            g + strength * np.sign(v.numpy()) if id(v) in names else g
            for g, v in zip(gradients, trainable, strict=True)
        ]
        optimizer.learning_rate = float(rate)
        optimizer.apply(gradients, trainable)
        for one in prunable:
            one.variable.assign(one.variable * masks[one.name])
        losses.append(float(mean))
    return losses


@pytest.mark.parametrize("way", [*EVERY, *MORE], ids=lambda way: "-".join(map(str, way.values())))
def test_twenty_compiled_steps_equal_plain_eager_ones(way):
    precision, online = way["precision"], way["features"] == "online"
    teacher = small_model(width=5, seed=9)
    fast, plain = (
        small_model(normalised=way["normalised"], precision=p, net=way["net"]) for p in ("float32", precision)
    )
    pairs = [Feature(teacher="hidden", student="hidden", weight=0.5), Feature(teacher="conv", student="conv")]
    hints = pair_layers(
        pairs if way["features"] != "none" else [], teacher, fast, Sample(X[:1], PREPROCESSING, padded=False)
    )
    objective = Objective(Head(exclusive=True, probabilities=False), kl, 0.7 if way["kd"] else 0.0, 3.0, hints)
    views = VIEWS if way["augmented"] else 1
    inputs = Views(X, views, augmenter([{"translate": 0.2}], X, 0, "0-1")) if way["augmented"] else X
    images = materialised(inputs)
    targets: dict[str, np.ndarray] = {"logits": np.concatenate([LOGITS + view for view in range(views)])}
    cached: dict[str, np.ndarray] = {}
    if hints:
        with computing_in(teacher, precision if online else "float32"):
            cached = cached_features(teacher, hints, images, PREPROCESSING)
        targets |= energies(teacher, hints, images, PREPROCESSING)
    # Augmented images are made while the step computes; the reference has them all made ahead.
    data = TrainingData(
        inputs if way["augmented"] else tf.constant(X), tf.constant(Y), tf.constant(WEIGHT), PREPROCESSING
    )
    prunable = find_prunable(fast)[0]
    program = Program(
        fast, data, objective, make_optimizer(way["optimizer"], 0.01, precision),
        prunable=prunable, pressure=on_each(l1),
        online=online_features(teacher, hints, precision) if online else None, jit=way["jit"], precision=precision,
        seed=4,
    )  # fmt: skip
    if precision == "mixed_float16":
        program.optimizer.dynamic_scale.assign(SCALE)
    program.set_targets(targets if online else targets | cached)
    masks = half_masks(fast) if way["masks"] else {one.name: np.ones(one.variable.shape, bool) for one in prunable}
    program.cut(masks)
    program.hold(masks)
    rates = np.linspace(0.01, 0.001, STEPS).astype(np.float32)
    strengths = np.linspace(0, 1e-2, STEPS).astype(np.float32)
    gains = np.zeros(STEPS, np.float32)
    epochs = [epoch_rows(N, BATCH, (0,), epoch, views) for epoch in range(STEPS * BATCH // N)]
    rows, valid = (np.concatenate(part) for part in zip(*epochs, strict=True))
    fed = program.feed(rows)
    parts = (slice(0, 1), slice(1, 13), slice(13, STEPS))
    sums = [program.run(rows[p], valid[p], rates[p], strengths[p], gains[p], fed) for p in parts]

    same = Program(plain, data, objective, make_optimizer(way["optimizer"], 0.01), seed=4).projections
    losses = reference(
        plain, images, masks, objective, targets | cached, same, make_optimizer(way["optimizer"], 0.01), rates,
        strengths, list(zip(rows, valid, strict=True)), SCALE if precision == "mixed_float16" else 1.0,
    )  # fmt: skip
    weights = (WEIGHT[rows % N] * valid).sum(axis=1)
    ours, theirs = np.sum(sums, axis=0)[0] / weights.sum(), np.average(losses, weights=weights)
    if precision != "float32":  # XLA, halves and processors with 16-bit instructions round at other places
        assert ours == pytest.approx(theirs, rel=0.02)
        assert distance(fast, plain) < 0.1 * distance(plain, small_model(normalised=way["normalised"]))
        return
    assert ours == pytest.approx(theirs, rel=1e-5)
    for one, other in zip(fast.variables, plain.variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=5e-5, err_msg=one.path)


def distance(one: keras.Model, other: keras.Model) -> float:
    """Return the Euclidean distance of two models' weights."""
    pairs = zip(one.trainable_variables, other.trainable_variables, strict=True)
    return float(np.sqrt(sum(np.sum(np.square(a.numpy() - b.numpy())) for a, b in pairs)))
