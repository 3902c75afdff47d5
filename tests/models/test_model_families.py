"""The built-in models: their exact sizes, their outputs, what they refuse."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from spiral_cli.errors import MissingError, UsageError
from spiral_cli.models.application import application
from spiral_cli.registry import models


def trainable(model: keras.Model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def resnet_weights(n: int) -> int:
    """The trainable weights for 10 classes and 3 channels, stage by stage."""
    convolutions = 9 * (
        3 * 16  # stem
        + 2 * n * 16 * 16
        + 16 * 32 + (2 * n - 1) * 32 * 32
        + 32 * 64 + (2 * n - 1) * 64 * 64
    )  # fmt: skip
    shortcuts = 16 * 32 + 32 * 64
    normalised = 16 * (2 * n + 1) + (32 + 64) * (2 * n + 1)  # channels after stem, branches and shortcuts
    return convolutions + shortcuts + 2 * normalised + 64 * 10 + 10


@pytest.mark.parametrize(
    ("name", "input_shape", "weights"),
    [
        ("lenet300", (28, 28, 1), 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10),
        ("lenet300", (28, 28, 1), 266_610),
        ("lenet5", (28, 28, 1), 520 + 25_050 + 400_500 + 5_010),
        ("lenet5", (28, 28, 1), 431_080),
        ("resnet20", (32, 32, 3), resnet_weights(3)),
        ("resnet20", (32, 32, 3), 272_474),
        ("resnet32", (32, 32, 3), resnet_weights(5)),
        ("resnet56", (32, 32, 3), resnet_weights(9)),
    ],
)
def test_exact_number_of_trainable_weights(name, input_shape, weights):
    assert trainable(models.get(name)(input_shape, 10)) == weights


@pytest.mark.parametrize(
    "name", [name for name, part in models.parts().items() if part.facts.get("takes", "images") == "images"]
)
@pytest.mark.parametrize(("input_shape", "outputs"), [((16, 20, 1), 1), ((32, 32, 3), 7)])
def test_every_family_gives_linear_logits_and_saves(name, input_shape, outputs, tmp_path):
    model = models.get(name)(input_shape, outputs)
    last = model.layers[-1]
    assert isinstance(last, keras.layers.Dense) and last.name == "logits"
    assert last.activation is keras.activations.linear
    x = np.random.default_rng(0).random((2, *input_shape), np.float32)
    y = model(x, training=False).numpy()
    assert y.shape == (2, outputs)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x, training=False).numpy(), y)


@pytest.mark.parametrize("name", ["mlp", "resnet20", "mobilenet_small"])
def test_small_digits_fit(name):
    assert models.get(name)((8, 8, 1), 10).output.shape == (None, 10)


@pytest.mark.parametrize("input_shape", [(8, 8, 1), (28, 15, 1)])
def test_lenet5_refuses_images_too_small_for_its_convolutions(input_shape):
    with pytest.raises(UsageError, match=f"{input_shape[0]}x{input_shape[1]}.*needs 16x16"):
        models.get("lenet5")(input_shape, 10)
    assert models.get("lenet5")((16, 16, 1), 10).output.shape == (None, 10)


def test_resnet_starts_as_he_et_al_2015():
    kernel = models.get("resnet20")((32, 32, 3), 10).get_layer("stage3_block2_conv1").kernel.numpy()
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.02)


@pytest.mark.parametrize(("name", "layer"), [("mobilenet_small", "block5_depthwise"), ("ds_cnn", "block4_depthwise")])
def test_a_filter_of_one_channel_starts_by_the_values_it_sees(name, layer):
    kernel = models.get(name)((32, 32, 1), 10).get_layer(layer).kernel.numpy()
    assert kernel.std() == pytest.approx(np.sqrt(2 / 9), rel=0.1)


def test_an_application_by_name_in_any_case():
    model = application("mobilenetv2", (32, 32, 3), 5)
    assert model.layers[-1].name == "logits" and model.output.shape == (None, 5)
    trunk = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    assert model.count_params() == trunk.count_params() + 1280 * 5 + 5


def test_an_application_starts_from_a_weights_file(tmp_path):
    trunk = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    path = tmp_path / "trunk.weights.h5"
    trunk.save_weights(path)
    model = application("MobileNet", (32, 32, 3), 2, str(path))
    for expected, weight in zip(trunk.get_weights(), model.get_weights(), strict=False):
        np.testing.assert_array_equal(weight, expected)
    with pytest.raises(MissingError, match="holds no weights for mobilenetv2"):
        application("MobileNetV2", (32, 32, 3), 2, str(path))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("MobilNetV2", (32, 32, 3), 2), UsageError, "there are ConvNeXtBase.*did you mean 'mobilenetv2'"),
        (("MobileNetV2", (8, 8, 3), 2), UsageError, r"does not take images of shape \(8, 8, 3\)"),
        (("MobileNetV2", (32, 32, 1), 2, "imagenet"), UsageError, "no imagenet weights.*3 channels"),
        (("MobileNetV2", (32, 32, 3), 2, "/nowhere.h5"), MissingError, "no weights file /nowhere.h5"),
    ],
)
def test_what_an_application_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        application(*arguments)


def test_a_failed_download_says_what_to_do(monkeypatch):
    def fail(*args, weights=None, **kwargs):
        if weights == "imagenet":
            raise Exception("URL fetch failure")
        return keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D()])

    monkeypatch.setattr(keras.applications, "MobileNetV2", fail)
    with pytest.raises(
        MissingError, match=r"imagenet weights of MobileNetV2.*URL fetch failure.*connect to the network"
    ):
        application("MobileNetV2", (32, 32, 3), 2, "imagenet")
