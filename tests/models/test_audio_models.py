"""The built-in models of spectrograms: sizes, stock layers, what they do with any shape, which channels may leave."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from removals import difference, masked, outputs_of, random_inputs, random_kept, randomize

from spiral_cli.channels.graph import find_channels
from spiral_cli.channels.removal import remove
from spiral_cli.flops import total_flops
from spiral_cli.models.graph import stock
from spiral_cli.registry import models

NAMES = [name for name, part in models.parts().items() if part.facts.get("takes") == "audio"]


def test_which_there_are():
    assert NAMES == ["bc_resnet", "ds_cnn"]


def bc_resnet_weights(outputs: int) -> int:
    """Count block by block, for BC-ResNet-2: kernels without bias, scale and shift of each normalisation."""
    total = 5 * 5 * 32 + 2 * 32
    entering = 32
    for blocks, channels in ((2, 16), (2, 24), (4, 32), (4, 40)):
        total += entering * channels + 2 * channels  # the first block's mixing
        total += blocks * (3 * channels + 2 * channels + 3 * channels + 2 * channels + channels * channels)
        entering = channels
    return total + 25 * 40 + 2 * 40 + 40 * 64 + 2 * 64 + 64 * outputs + outputs


def ds_cnn_weights(outputs: int) -> int:
    """Count block by block, for DS-CNN-S."""
    return 10 * 4 * 64 + 2 * 64 + 4 * (9 * 64 + 2 * 64 + 64 * 64 + 2 * 64) + 64 * outputs + outputs


@pytest.mark.parametrize(("name", "count"), [("bc_resnet", bc_resnet_weights), ("ds_cnn", ds_cnn_weights)])
def test_exact_number_of_trainable_weights(name, count):
    model = models.get(name)((98, 40, 1), 12)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == count(12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("input_shape", "outputs"), [((98, 40, 1), 10), ((49, 40, 1), 1), ((16, 20, 1), 3), ((8, 6, 1), 2)]
)
def test_logits_of_stock_layers_that_save(name, input_shape, outputs, tmp_path):
    model = models.get(name)(input_shape, outputs)
    assert all(stock(layer) for layer in model.layers)
    assert model.layers[-1].name == "logits" and model.layers[-1].activation is keras.activations.linear
    x = np.random.default_rng(0).normal(size=(2, *input_shape)).astype(np.float32)
    y = model(x, training=False).numpy()
    assert y.shape == (2, outputs) and np.isfinite(y).all()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(x, training=False).numpy(), y, rtol=1e-5, atol=1e-6)


def test_bc_resnet_broadcasts_over_bands_what_it_finds_over_time():
    model = models.get("bc_resnet")((30, 40, 1), 4)
    time, bands, added = (model.get_layer(f"stage3_block2_{name}").output for name in ("dropout", "bands_norm", "add"))
    assert bands.shape == added.shape == (None, 30, 5, 32)
    assert time.shape == (None, 30, 1, 32)


@pytest.mark.parametrize("name", NAMES)
def test_channels_leave_and_what_is_left_gives_what_masking_gives(name):
    model = models.get(name)((20, 16, 1), 4)
    rng = np.random.default_rng(0)
    randomize(model, rng)
    channels = find_channels(model)
    assert channels.weight.sum() > 0.8 * channels.total, channels.held
    kept = random_kept(channels, rng)
    small = remove(model, channels, kept)
    inputs = random_inputs(model, rng)
    with masked(model, channels, kept):
        expected = outputs_of(model, inputs)
    assert difference(outputs_of(small, inputs), expected) <= 1e-5
    assert small.count_params() < 0.7 * model.count_params()
    assert total_flops(small) < 0.8 * total_flops(model)
