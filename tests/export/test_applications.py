"""Large models of `keras.applications`, random weights half of which are zero: their files run, and agree."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from spiral_cli.export.litert_converter import write_litert
from spiral_cli.export.onnx_file import write_onnx
from spiral_cli.export.serving import Serving
from spiral_cli.export.zeros import zeros_kept
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.runtimes.session import open_model

RNG = np.random.default_rng(0)


def images(count: int) -> np.ndarray:
    return RNG.uniform(0.0, 1.0, (count, 64, 64, 3)).astype(np.float32)


def half_pruned(name: str) -> keras.Model:
    """Return a model whose batch statistics are those of its inputs: with others, random weights give a constant."""
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=10)
    for one in find_prunable(model)[0]:
        one.variable.assign(one.variable.numpy() * (RNG.random(one.variable.shape) < 0.5))
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    model(images(16), training=True)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetB0", "ResNet50", "ConvNeXtTiny"])
def test_files_of_large_models_run_and_agree(tmp_path, name):
    model, x = half_pruned(name), images(4)
    wanted = model.predict(x, verbose=0)
    spread = np.abs(wanted - wanted.mean()).max()
    np.savez(tmp_path / "samples.npz", images(16))
    write_litert(Serving(model, (x,)), tmp_path / "float.tflite")
    write_onnx(Serving(model, (x,)), tmp_path / "float.onnx")
    write_litert(Serving(model, (x,)), tmp_path / "int8.tflite", weights="int8", samples=str(tmp_path / "samples.npz"))
    weights = [one.variable.numpy() for one in find_prunable(model)[0]]
    for file, tolerance in (("float.tflite", 1e-3), ("float.onnx", 1e-3), ("int8.tflite", 1.0)):
        session = open_model(tmp_path / file, threads=1)
        assert np.abs(session.run((x,))[0] - wanted).max() < tolerance * spread, file
        assert zeros_kept(weights, session.weights()) is True, file
