"""Models from files and functions, and exact copies."""

from __future__ import annotations

import re
import sys
import types
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from spiral_cli.errors import MissingError, UsageError
from spiral_cli.models.load import build_from, load_model


@keras.saving.register_keras_serializable("spiral_tests")
class Tied(keras.Model):
    """A subclassed model whose one kernel is used forwards and backwards."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(3, use_bias=False)

    def call(self, x):
        return self.inner(x) @ keras.ops.transpose(self.inner.kernel)


@keras.saving.register_keras_serializable("spiral_tests")
class Halved(keras.layers.Layer):
    """A custom layer."""

    def call(self, x):
        return x / 2


def doubled(x):
    return x * 2


def small() -> keras.Model:
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(2, name="logits")(inputs))


def named(model: str, layer: str) -> keras.Model:
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(2, name=layer)(inputs), name=model)


def renamed(source, target, old: bytes, new: bytes) -> None:
    """Copy a .keras file with a class name changed in its configuration."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as write:
        for name in read.namelist():
            data = read.read(name)
            write.writestr(name, data.replace(old, new) if name == "config.json" else data)


def test_a_saved_model_comes_back_uncompiled(tmp_path):
    model = small()
    model.compile("adam", "mse")
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert not again.compiled
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize("function", [lambda x: x * 2, doubled])
def test_a_lambda_layer_is_refused_by_safe_mode(function, tmp_path):
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Lambda(function)(inputs)).save(tmp_path / "model.keras")
    with pytest.raises(MissingError, match=r"holds a Lambda layer.*safe mode.*plugins"):
        load_model(tmp_path / "model.keras")


def test_an_unknown_class_is_named_with_plugins_as_the_way_out(tmp_path):
    inputs = keras.Input((4,))
    keras.Model(inputs, Halved()(inputs)).save(tmp_path / "layer.keras")
    renamed(tmp_path / "layer.keras", tmp_path / "gone.keras", b"Halved", b"Vanished")
    with pytest.raises(MissingError, match=r"needs 'Vanished'.*plugins"):
        load_model(tmp_path / "gone.keras")
    model = Tied()
    model(np.zeros((1, 4), np.float32))
    model.save(tmp_path / "model.keras")
    renamed(tmp_path / "model.keras", tmp_path / "lost.keras", b"Tied", b"Loosened")
    with pytest.raises(MissingError, match=r"needs 'Loosened'.*plugins"):
        load_model(tmp_path / "lost.keras")


def test_what_is_no_keras_file(tmp_path):
    small().save(tmp_path / "good.keras")
    whole = (tmp_path / "good.keras").read_bytes()
    (tmp_path / "short.keras").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "model.h5").write_bytes(whole)
    (tmp_path / "text.keras").write_text("weights")
    (tmp_path / "folder.keras").mkdir()
    for name in ("short.keras", "model.h5", "text.keras", "folder.keras"):
        with pytest.raises(MissingError, match=rf"{name} is no \.keras file"):
            load_model(tmp_path / name)
    with pytest.raises(MissingError, match="there is no model at"):
        load_model(tmp_path / "none.keras")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("a.txt", "b")
    with pytest.raises(MissingError, match=r"other.keras cannot be loaded.*config.json"):
        load_model(tmp_path / "other.keras")


def test_every_damaged_byte_range_is_an_error_or_harmless(tmp_path):
    small().save(tmp_path / "good.keras")
    whole = (tmp_path / "good.keras").read_bytes()
    expected = load_model(tmp_path / "good.keras").get_weights()
    for place in range(0, len(whole), len(whole) // 40):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (tmp_path / "bad.keras").write_bytes(damaged)
        try:
            weights = load_model(tmp_path / "bad.keras").get_weights()
        except MissingError as error:
            assert "bad.keras" in str(error)
        else:
            for one, other in zip(weights, expected, strict=True):
                np.testing.assert_array_equal(one, other)


@pytest.fixture
def module(monkeypatch):
    module = types.ModuleType("spiral_test_models")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_builders_with_and_without_arguments(module):
    def shaped(input_shape, outputs):
        inputs = keras.Input(input_shape)
        return keras.Model(inputs, keras.layers.Dense(outputs)(keras.layers.Flatten()(inputs)))

    module.shaped, module.plain, module.optional = (
        shaped,
        small,
        lambda shape, outputs, width=3: shaped(shape, outputs),
    )
    for name in ("shaped", "optional"):
        assert build_from(f"spiral_test_models:{name}", ((2, 3, 1), 5)).output.shape == (None, 5)
    assert build_from("spiral_test_models:plain", ((2, 3, 1), 5)).input_shape == (None, 4)


def test_what_builders_may_not_do(module):
    module.one, module.text, module.number = (lambda shape: small()), (lambda: "model"), 3
    module.broken = lambda: 1 / 0
    for name, message in {
        "one": r"must take \(input_shape, outputs\) or no arguments",
        "text": "returned str; it must return a keras.Model",
        "number": "has no function 'number'",
        "absent": "has no function 'absent'",
        "broken": "failed .ZeroDivisionError",
    }.items():
        with pytest.raises(UsageError, match=message):
            build_from(f"spiral_test_models:{name}", ((2, 2, 1), 2))
    with pytest.raises(UsageError, match="'no_such_module' cannot be imported"):
        build_from("no_such_module:build", ((2, 2, 1), 2))


@pytest.mark.parametrize("name", ["my model", "Größe", "_m", "LeNet 5 <b>"])
def test_a_model_whose_name_tensorflow_refuses_gets_another_and_runs(name, tmp_path):
    model = named(name, "logits")
    model.save(tmp_path / "model.keras")
    x = np.ones((2, 4), np.float32)
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(tf.function(loaded)(x), model(x))
    loaded.save(tmp_path / "again.keras")
    assert load_model(tmp_path / "again.keras").name == loaded.name


@pytest.mark.parametrize("name", ["my layer", "schicht_größe", "a\\b", "x:0"])
def test_a_layer_whose_name_tensorflow_refuses_is_named_before_anything_runs(name, tmp_path, monkeypatch):
    module = types.ModuleType("unscoped")
    module.build = lambda: named("net", name)
    monkeypatch.setitem(sys.modules, "unscoped", module)
    said = "TensorFlow takes only letters .* rename " + re.escape(f"'{name}'")
    with pytest.raises(UsageError, match=said):
        build_from("unscoped:build", ())
    named("net", name).save(tmp_path / "model.keras")
    with pytest.raises(MissingError, match=said):
        load_model(tmp_path / "model.keras")
