"""Features of open length: places are told from padding, and what stands there counts for nothing."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli import registry
from spiral_cli.data.frames import Frames
from spiral_cli.data.pairs import PairRows
from spiral_cli.data.tokens import TokenRows
from spiral_cli.distillation.features import hint_loss, pair_layers, with_features
from spiral_cli.distillation.places import Places, Sample
from spiral_cli.errors import UsageError
from spiral_cli.recipe.schema import Feature
from spiral_cli.training.targets import energies, feature_bytes, feature_targets

RNG = np.random.default_rng(0)
BANDS = {"sample_rate": 8000, "mels": 8, "window": 0.032, "hop": 0.016, "low": 20.0, "high": None}
TOKENS = TokenRows((24,), ("a", "b"), 50, "")
FRAMES = Frames(input_shape=(64, 8), **BANDS, mean=(0.0,) * 8, std=(1.0,) * 8, vocabulary=7, tokenizer="")
PAIRS = PairRows((16, 18), 30, "", "en", "de")
MODELS = {
    "text_cnn": (((24,), 2, 50), TOKENS),
    "speech_gru": (((64, 8), 7), FRAMES),
    "translation_transformer": (((16, 18), 30), PAIRS),
}


def made(name: str) -> tuple[keras.Model, Sample]:
    """Return a model and a row of ones for it."""
    arguments, preprocessing = MODELS[name]
    row = np.ones((1, *preprocessing.input_shape), preprocessing.dtype)
    return registry.models.get(name)(*arguments), Sample(row, preprocessing, padded=True)


def pair(model: keras.Model, sample: Sample, layer: str):
    """Return the hint of one layer with itself."""
    (hint,) = pair_layers([Feature(teacher=layer, student=layer)], model, model, sample)
    return hint


@pytest.mark.parametrize(
    ("name", "layer", "shape", "places"),
    [
        ("text_cnn", "conv_3", (24, 100), Places(0, 1)),
        ("text_cnn", "features", (300,), None),
        ("speech_gru", "conv_1", (32, 192), Places(0, 2)),
        ("speech_gru", "gru_2", (16, 256), Places(0, 4)),
        ("translation_transformer", "encoded", (16, 256), Places(0, 1)),
        ("translation_transformer", "decoded", (18, 256), Places(1, 1)),
    ],
)
def test_a_layers_places_follow_the_part_of_the_row_that_they_are_of(name, layer, shape, places):
    model, sample = made(name)
    hint = pair(model, sample, layer)
    assert (hint.teacher_shape, hint.places) == (shape, places)
    assert feature_bytes([hint], 10) == 40 * np.prod(shape)


@given(st.integers(1, 4), st.integers(1, 300))
def test_as_many_places_are_real_as_a_layer_gives_the_row_alone(halvings, length):
    stride = 2**halvings
    places = length
    for _ in range(halvings):
        places = -(-places // 2)  # as padding "same" does
    (found,) = Places(1, stride).real(np.array([[7, length]], np.int32))
    assert found == places


def test_layers_that_follow_different_parts_are_no_pair():
    model, sample = made("translation_transformer")
    with pytest.raises(UsageError, match=r"'encoded' gives \(16, 256\) and student layer 'decoded' \(18, 256\)"):
        pair_layers([Feature(teacher="encoded", student="decoded")], model, model, sample)


def test_what_is_as_long_as_both_parts_is_refused():
    source, target = (keras.Input((None,), dtype="int32") for _ in range(2))
    embedded = keras.layers.Embedding(30, 4)(keras.ops.concatenate([source, target], axis=1))
    both = keras.layers.Dense(4, name="both")(embedded)
    model = keras.Model([source, target], both)
    with pytest.raises(UsageError, match="as long as several inputs together"):
        pair(model, Sample(np.ones((1, 34), np.int32), PAIRS, padded=True), "both")


def test_what_is_open_behind_its_first_axis_is_refused_where_rows_are_padded():
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(50, 4)(tokens)
    scores = keras.layers.Dot(axes=2, name="scores")([x, x])
    model = keras.Model(tokens, keras.layers.GlobalAveragePooling1D()(keras.layers.Dense(2)(x)))
    whole = keras.Model(tokens, [model.outputs[0], scores])
    with pytest.raises(UsageError, match=r"open in more than its first axis.*\(places, channels\)"):
        pair(keras.Model(tokens, whole.outputs[1]), Sample(np.ones((1, 24), np.int32), TOKENS, True), "scores")


def test_a_picture_of_open_size_has_no_padding():
    pixels = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(pixels)
    model = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x))
    sample = Sample(np.ones((1, 9, 7, 3), np.float32), SimpleNamespace(inputs=lambda stored, cut: stored), False)
    hint = pair(model, sample, "conv")
    assert (hint.teacher_shape, hint.places) == ((5, 4, 4), None)


@given(st.integers(0, 1000), st.booleans())
def test_the_loss_is_the_mean_over_real_places_alone(seed, wide):
    rng = np.random.default_rng(seed)
    student, teacher = rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 7, 3 if wide else 2))
    projection = SimpleNamespace(value=tf.constant(rng.normal(size=(2, 3)), tf.float32)) if wide else None
    places = rng.integers(1, 6, 3)
    said = student @ projection.value.numpy() if wide else student
    wanted = [np.mean((said[i, :n] - teacher[i, :n]) ** 2) / 0.7 for i, n in enumerate(places)]
    energy = tf.constant(0.7)
    found = hint_loss(tf.constant(student), tf.constant(teacher), projection, energy, tf.constant(places, tf.int32))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_cached_features_count_places_of_every_view_and_no_padding():
    model, sample = made("speech_gru")
    lengths = np.array([[64], [37], [9], [50]], np.int32)
    rows = RNG.normal(size=(4, 64, 8)).astype(np.float32)
    rows[np.arange(64) >= lengths] = 0
    task = SimpleNamespace(train_inputs=rows, train_lengths=lengths[:2], preprocessing=FRAMES)  # two views of two
    hints = [pair(model, sample, "gru_1")]
    found = feature_targets(model, hints, task, online=False)
    np.testing.assert_array_equal(found["places/0"], [16, 10, 16, 10])
    assert found["feature/0"].shape == (4, 16, 256) and "feature/0" not in feature_targets(model, hints, task, True)
    said = with_features(model, ["gru_1"])(rows)[1].numpy()
    real = np.concatenate([row[:n] for row, n in zip(said, (16, 10, 16, 10), strict=True)])
    np.testing.assert_allclose(found["energy/0"], np.mean(real**2), rtol=1e-5)
    unmasked = energies(model, hints, rows, FRAMES)["energy/0"]
    assert not np.isclose(unmasked, found["energy/0"], rtol=1e-3)
