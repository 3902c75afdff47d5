"""The built-in models of texts, utterances and pairs as files: the same logits, whatever the length."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from small_nets import answers

from spiral_cli import registry
from spiral_cli.export.litert_converter import write_litert
from spiral_cli.export.onnx_file import write_onnx
from spiral_cli.export.serving import Serving
from spiral_cli.runtimes.session import open_model

pytestmark = pytest.mark.slow
PIECES, MELS = 50, 8
MODELS = {
    "text_cnn": ((24,), 5, PIECES),
    "text_gru": ((24,), 5, PIECES),
    "text_transformer": ((24,), 5, PIECES),
    "speech_gru": ((40, MELS), 7),
    "speech_conformer": ((40, MELS), 7),
    "translation_transformer": ((24, 24), PIECES),
}
WRITERS = {"litert": (write_litert, "m.tflite"), "onnx": (write_onnx, "m.onnx")}
LENGTHS = {"text": (9, 24), "speech": (37, 60), "translation": (9, 24)}  # frames: also more than any of the data


def built(name: str) -> keras.Model:
    """Return a model whose weights are all away from what they start as."""
    keras.utils.set_random_seed(1)
    model, rng = registry.models.get(name)(*MODELS[name]), np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign(variable + rng.normal(0, 0.05, variable.shape).astype(np.float32))
    return model


def rows(model: keras.Model, length: int, count: int = 3) -> tuple[np.ndarray, ...]:
    """Return examples of a length, every third of them with padding."""
    rng, made = np.random.default_rng(length), []
    for one in model.inputs:
        whole = "int" in one.dtype
        array = rng.integers(4, PIECES, (count, length)) if whole else rng.normal(size=(count, length, MELS))
        array[2::3, length - 5 :] = 0
        made.append(array.astype(one.dtype))
    return tuple(made)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", MODELS)
def test_a_file_says_what_the_model_says_at_every_length(name, kind, tmp_path):
    model, (write, file) = built(name), WRITERS[kind]
    write(Serving(model, rows(model, 12)), tmp_path / file)
    session = open_model(tmp_path / file, threads=1)
    for length in LENGTHS[name.partition("_")[0]]:
        given = rows(model, length)
        [found], [wanted] = session.run(given), answers(model, given)
        np.testing.assert_allclose(found, wanted, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["text_cnn", "text_transformer", "speech_conformer", "translation_transformer"])
def test_a_file_of_integers_says_nearly_the_same(name, tmp_path):
    """Masks and padding take none of the steps that int8 has for what is there."""
    model, length = built(name), LENGTHS[name.partition("_")[0]][1]
    given = rows(model, length, 60)
    np.savez(tmp_path / "samples.npz", *given)
    write_litert(Serving(model, given), tmp_path / "m.tflite", weights="int8", samples=str(tmp_path / "samples.npz"))
    [found], [wanted] = open_model(tmp_path / "m.tflite", threads=1).run(given), answers(model, given)
    real = np.abs(wanted).max(axis=-1) < 1e3  # frames of padding say blank, of which the file is as sure as it can be
    assert np.corrcoef(found[real].ravel(), wanted[real].ravel())[0, 1] > 0.98
    np.testing.assert_array_equal(found[~real].argmax(axis=-1), wanted[~real].argmax(axis=-1))


@pytest.mark.parametrize("name", ["text_gru", "speech_gru"])
def test_of_recurrent_models_there_is_no_file_of_integers(name, tmp_path):
    """LiteRT's int8 needs them unrolled, which an open length cannot be; all else they become."""
    model = built(name)
    np.savez(tmp_path / "samples.npz", *rows(model, 12))
    with pytest.raises(ValueError, match="Cannot unroll a RNN"):
        samples = str(tmp_path / "samples.npz")
        write_litert(Serving(model, rows(model, 12)), tmp_path / "m.tflite", weights="int8", samples=samples)
