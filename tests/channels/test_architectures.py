"""Whole networks lose half of their channels and still run, save, load and export, without spiral too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from architectures import ARCHITECTURES, OTHERS, small_resnet, transformer
from removals import difference, masked, outputs_of, random_inputs, randomize

from spiral_cli.channels.choice import Limits, channels_of, choose, ranked, sizes_of
from spiral_cli.channels.criteria.norms import l2
from spiral_cli.channels.graph import Channels, find_channels
from spiral_cli.channels.removal import remove
from spiral_cli.channels.scoring import relative
from spiral_cli.export.litert_converter import write_litert
from spiral_cli.export.onnx_file import write_onnx
from spiral_cli.export.serving import Serving
from spiral_cli.flops import total_flops
from spiral_cli.models.application import application
from spiral_cli.runtimes.session import open_model

WITHOUT_SPIRAL = """
import sys
sys.modules["spiral_cli"] = None  # any import of it fails
import keras, numpy as np
model = keras.saving.load_model(sys.argv[1])
given = np.load(sys.argv[2])
found = model([given[name] for name in given.files] if len(given.files) > 1 else given["arr_0"])
np.save(sys.argv[3], keras.ops.convert_to_numpy(found))
"""


def channels_left(channels: Channels, kept: np.ndarray) -> float:
    """Return the part of the channels that may leave which is there."""
    return channels_of(channels, kept) / channels.weight.sum()


def half(channels: Channels, model: Any, allocation: str) -> np.ndarray:
    """Return which groups stay when half of the channels leave, by l2."""
    weights = [variable.numpy() if len(variable.shape) > 1 else None for variable in model.variables]
    sizes = sizes_of(channels)
    steps = ranked(channels, relative(channels, l2(channels, weights)), Limits(), allocation, sizes)
    return choose(steps, np.ones(channels.count, bool), partial(channels_left, channels), 0.5)


@pytest.fixture
def float64() -> Iterator[None]:
    """Let models compute in float64.

    In float32 rounding alone, through a hundred layers of random weights, makes up to 3.4e-5 of the largest output
    (EfficientNetB0), which would hide a wrong small term; in float64 it makes 1e-13, and 1.4e-7 where a
    normalisation computes in float32 all the same.
    """
    before = keras.config.floatx(), keras.config.dtype_policy().name
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # which from the first layer on no longer follows the other
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


def pixels(model: Any, rng: np.random.Generator) -> Any:
    """Return random inputs, images as large as pixels: to a network that normalises these, small ones are all alike."""
    inputs = random_inputs(model, rng, batch=2)
    return 255 * inputs if isinstance(inputs, np.ndarray) and inputs.ndim == 4 else inputs


def halved(model: Any, allocation: str) -> Any:
    """Remove half of the channels, compare with masking, and return the smaller model.

    Outputs may differ by 1e-5 of the largest.
    """
    rng = np.random.default_rng(0)
    randomize(model, rng)
    channels = find_channels(model)
    assert channels.weight.sum() > 0.8 * channels.total, channels.held
    kept = half(channels, model, allocation)
    assert 0.45 < channels_left(channels, kept) <= 0.5
    small = remove(model, channels, kept)
    inputs = pixels(model, rng)
    with masked(model, channels, kept):
        expected = outputs_of(model, inputs)
    assert all(one.std(axis=0).max() > 1e-3 * np.abs(one).max() for one in expected)
    assert difference(outputs_of(small, inputs), expected) <= 1e-5
    assert total_flops(small) < 0.7 * total_flops(model)
    assert small.count_params() < 0.7 * model.count_params()
    return small


def same_after_loading(small: Any, folder: Path, apart: bool) -> None:
    """Save a model and load it again, in a process without spiral where ``apart``: its outputs are the same."""
    inputs = pixels(small, np.random.default_rng(1))
    expected = outputs_of(small, inputs)
    file, given, found = folder / "small.keras", folder / "given.npz", folder / "found.npy"
    small.save(file)
    if not apart:
        assert difference(outputs_of(keras.saving.load_model(file), inputs), expected) <= 1e-6
        return
    np.savez(given, *keras.tree.flatten(inputs))
    subprocess.run([sys.executable, "-c", WITHOUT_SPIRAL, file, given, found], check=True, capture_output=True)
    assert difference([np.load(found)], expected) <= 1e-5


def test_a_small_resnet_loses_half_and_loads_without_spiral(tmp_path: Path) -> None:
    same_after_loading(halved(small_resnet(), "uniform"), tmp_path, apart=True)


def test_a_transformer_loses_half() -> None:
    halved(transformer(), "global")


@pytest.mark.slow
@pytest.mark.parametrize("allocation", ["uniform", "global"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks_lose_half(name: str, allocation: str, tmp_path: Path, float64: None) -> None:
    same_after_loading(halved(ARCHITECTURES[name](), allocation), tmp_path, apart=allocation == "uniform")


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_more_networks_lose_half(name: str, tmp_path: Path, float64: None) -> None:
    size = 75 if name.startswith("Inception") else 32
    same_after_loading(halved(application(name, (size, size, 3), 10), "uniform"), tmp_path, apart=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet56", "DenseNet121", "Xception"])
def test_narrow_networks_are_the_same_in_other_runtimes(name: str, tmp_path: Path) -> None:
    """Of families whose files no test of exports has, with widths that no network has by itself."""
    small = halved(ARCHITECTURES[name](), "global")
    x = pixels(small, np.random.default_rng(1))
    expected = outputs_of(small, x)
    for write, file in ((write_litert, tmp_path / "small.tflite"), (write_onnx, tmp_path / "small.onnx")):
        write(Serving(small, (x,)), file)
        assert difference(list(open_model(file, threads=1).run((x,))), expected) <= 1e-5, file.suffix
