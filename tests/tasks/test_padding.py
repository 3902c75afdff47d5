"""Built-in models of texts, utterances and pairs: what is padding changes nothing of what they say."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from spiral_cli import registry
from spiral_cli.models.encoder_decoder import take_apart
from spiral_cli.models.graph import stock
from spiral_cli.models.speech import waves

RNG = np.random.default_rng(0)


def built(name: str, *arguments) -> keras.Model:
    """Return a model whose weights are all away from what they start as."""
    keras.utils.set_random_seed(1)
    model, rng = registry.models.get(name)(*arguments), np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(variable + rng.normal(0, 0.05, variable.shape).astype(np.float32))
    return model


@pytest.mark.parametrize("name", ["text_cnn", "text_gru", "text_transformer"])
def test_a_text_says_the_same_whatever_fills_its_row(name):
    model = built(name, (24,), 5, 50)
    texts = RNG.integers(1, 50, (3, 24)).astype(np.int32)
    texts[:, 13:] = 0
    np.testing.assert_allclose(model(texts[:, :13]), model(texts), atol=1e-5)
    assert not np.allclose(model(texts[:, :12]), model(texts), atol=1e-3)


@pytest.mark.parametrize("name", ["text_cnn", "text_gru", "text_transformer"])
def test_a_row_of_nothing_says_something_finite_and_changes_no_other(name):
    model = built(name, (24,), 5, 50)
    texts = RNG.integers(1, 50, (3, 24)).astype(np.int32)
    alone = model(texts[:2]).numpy()
    texts[2] = 0
    said = model(texts).numpy()
    assert np.isfinite(said).all()
    np.testing.assert_allclose(said[:2], alone, atol=1e-5)


@pytest.mark.parametrize("name", ["speech_gru", "speech_conformer"])
@pytest.mark.parametrize("length", [37, 40])
def test_an_utterance_says_the_same_whatever_fills_its_row(name, length):
    model = built(name, (64, 8), 7)
    frames = RNG.normal(size=(2, 64, 8)).astype(np.float32)
    frames[:, length:] = 0
    alone, filled = model(frames[:, :length]).numpy(), model(frames).numpy()
    assert alone.shape == (2, -(-length // 4), 7) and filled.shape == (2, 16, 7)
    np.testing.assert_allclose(filled[:, : alone.shape[1]], alone, atol=2e-5)
    assert (filled[:, alone.shape[1] :].argmax(-1) == 0).all()  # blank, and so sure of it that it counts as padding
    assert (filled[:, alone.shape[1] :, 0] > 5000).all()


def test_an_utterance_may_be_longer_than_any_a_model_was_built_for():
    model = built("speech_conformer", (40, 8), 7)
    frames = RNG.normal(size=(1, 60, 8)).astype(np.float32)
    said = model(frames).numpy()
    assert said.shape == (1, 15, 7) and np.isfinite(said).all()


@pytest.mark.parametrize("width", [4, 5])
def test_waves_tell_every_place_apart(width):
    found = waves(keras.ops.expand_dims(keras.ops.arange(2000), 0), width).numpy()[0]
    rates = [1.0, 1e-2] if width == 4 else [1.0, 1e4 ** (-1 / 3), 1e4 ** (-2 / 3)]
    angles = np.arange(2000)[:, None] * np.array(rates)
    np.testing.assert_allclose(found, np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :width], atol=2e-4)
    assert np.linalg.norm(found[1:] - found[:-1], axis=1).min() > 0.01


def test_a_translation_is_the_same_whatever_fills_its_rows_and_hears_no_later_piece():
    model = built("translation_transformer", (16, 18), 30)
    source, target = RNG.integers(1, 30, (3, 16)).astype(np.int32), RNG.integers(1, 30, (3, 18)).astype(np.int32)
    source[:, 9:] = 0
    whole = model([source, target]).numpy()
    np.testing.assert_allclose(whole[:, :7], model([source[:, :9], target[:, :7]]), atol=2e-5)
    other = target.copy()
    other[:, 7:] = 1
    np.testing.assert_allclose(whole[:, :7], model([source, other])[:, :7], atol=2e-5)


def test_a_model_taken_apart_says_what_it_says_whole():
    model = built("translation_transformer", (16, 18), 30)
    source, target = RNG.integers(1, 30, (4, 16)).astype(np.int32), RNG.integers(1, 30, (4, 18)).astype(np.int32)
    halves = take_apart(model)
    assert halves is not None and halves.last is not None
    memory = halves.encode(source)
    for length in (1, 5, 18):
        last = halves.decode(memory, target[:, :length])
        np.testing.assert_allclose(last, model([source, target[:, :length]])[:, -1], atol=2e-5)
    assert sum(len(one.shape) == 3 and one.shape[-1] == 256 for one in halves.memory) == 1  # the memory, read once


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("text_cnn", ((24,), 5, 50)),
        ("text_gru", ((24,), 5, 50)),
        ("text_transformer", ((24,), 5, 50)),
        ("speech_gru", ((64, 8), 7)),
        ("speech_conformer", ((64, 8), 7)),
        ("translation_transformer", ((16, 18), 30)),
    ],
)
def test_models_are_made_of_keras_own_layers_and_load_as_they_were(name, arguments, tmp_path):
    model = built(name, *arguments)
    assert all(stock(layer) for layer in model._flatten_layers(include_self=False))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one, other)
