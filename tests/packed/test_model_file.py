"""Real models, packed and unpacked: every variable, and what they say."""

from __future__ import annotations

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from spiral_cli.errors import MissingError, UsageError
from spiral_cli.packed.container import Packed, from_bytes, read_packed, to_bytes
from spiral_cli.packed.model_file import built, pack_model, unpack_model, write_packed
from spiral_cli.runtimes.session import open_model

layers = keras.layers


def dense() -> keras.Model:
    return keras.Sequential([layers.Input((9,)), layers.Dense(7, "relu"), layers.Dropout(0.3), layers.Dense(3)])


def convolution() -> keras.Model:
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Add()([layers.SeparableConv2D(4, 3, padding="same")(x), layers.DepthwiseConv2D(3, padding="same")(x)])
    return keras.Model(inputs, [layers.Dense(3)(layers.GlobalAveragePooling2D()(x)), layers.Flatten()(x)])


def recurrent() -> keras.Model:
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(11, 6)(inputs)
    return keras.Model(
        inputs, layers.Dense(2)(layers.Bidirectional(layers.LSTM(4))(layers.GRU(3, return_sequences=True)(x)))
    )


def attention() -> keras.Model:
    inputs = keras.Input((6, 8))
    x = layers.LayerNormalization()(inputs + layers.MultiHeadAttention(2, 4)(inputs, inputs))
    return keras.Model(inputs, layers.GlobalAveragePooling1D()(x))


def nested() -> keras.Model:
    shared = keras.Sequential([layers.Input((4,)), layers.Dense(3, name="inner")], name="branch")
    left, right = keras.Input((4,)), keras.Input((4,))
    return keras.Model([left, right], layers.Dense(1)(layers.Concatenate()([shared(left), shared(right)])))


def namesakes() -> keras.Model:
    inputs = keras.Input((4,))
    towers = [keras.Sequential([layers.Input((4,)), layers.Dense(3, name="inner")]) for _ in range(3)]
    return keras.Model(inputs, layers.Dense(1)(layers.Concatenate()([tower(inputs) for tower in towers])))


def half() -> keras.Model:
    return keras.Sequential([layers.Input((9,)), layers.Dense(8, dtype="float16"), layers.Dense(2, dtype="bfloat16")])


def normalised() -> keras.Model:
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(2).normal(3.0, 2.0, (50, 9)))
    return keras.Sequential([layers.Input((9,)), adapted, layers.Dense(2)])


MODELS = [dense, convolution, recurrent, attention, nested, namesakes, half]


def sparse(model: keras.Model) -> keras.Model:
    """Give every variable values that are none's by default, kernels many zeros."""
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if "float" in variable.dtype:
            values = rng.normal(size=variable.shape) + 0.1
            variable.assign(np.where(rng.random(variable.shape) < 0.7, 0, values) if values.ndim > 1 else values)
    return model


def description(model: keras.Model) -> dict:
    """Return a model's configuration as a file holds it: without tuples."""
    return json.loads(json.dumps(pack_model(model).model))


def assert_same(ours: keras.Model, theirs: keras.Model) -> None:
    assert description(theirs) == description(ours)
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        assert (other.name, other.dtype) == (one.name, one.dtype)
        assert other.numpy().tobytes() == one.numpy().tobytes()


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_a_model_comes_back_to_the_last_bit_and_loads_with_keras_alone(build, tmp_path):
    keras.utils.clear_session()
    model = sparse(build())
    write_packed(tmp_path / "it.spiral", model)
    first, second = (unpack_model(read_packed(tmp_path / "it.spiral"), "it") for _ in range(2))
    assert_same(model, first)
    assert_same(model, second)
    assert to_bytes(pack_model(first)) == (tmp_path / "it.spiral").read_bytes()
    first.save(tmp_path / "it.keras")
    loaded = keras.models.load_model(tmp_path / "it.keras")
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):  # Keras' files hold no states of dropout
        assert theirs.numpy().tobytes() == ours.numpy().tobytes()
    shapes = [(2, *one.shape[1:]) for one in model.inputs]
    x = [np.ones(shape, one.dtype) for shape, one in zip(shapes, model.inputs, strict=True)]
    for ours, theirs in zip(model(x), loaded(x), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_layers_of_zeros_or_of_a_single_value_take_next_to_nothing(value):
    model = keras.Sequential([layers.Input((300,), name="image"), layers.Dense(200, name="hidden")], name="net")
    for variable in model.variables:
        variable.assign(np.full(variable.shape, value))
    content = to_bytes(pack_model(model))
    assert len(content) < 300
    assert_same(model, unpack_model(from_bytes(content, "it"), "it"))


def test_a_layer_without_weights_left_beside_others():
    model = sparse(dense())
    model.layers[0].kernel.assign(np.zeros((9, 7)))
    assert_same(model, unpack_model(from_bytes(to_bytes(pack_model(model)), "it"), "it"))


def test_constants_that_keras_makes_of_variables_come_back(tmp_path):
    model = normalised()
    write_packed(tmp_path / "it.spiral", model)
    x = np.random.default_rng(0).normal(3.0, 2.0, (4, 9)).astype(np.float32)
    [found] = open_model(tmp_path / "it.spiral", threads=1).run([x])
    np.testing.assert_allclose(found, model(x), atol=1e-6)


def test_the_runtime_gives_what_the_model_gives(tmp_path):
    model = sparse(convolution())
    write_packed(tmp_path / "it.spiral", model)
    session = open_model(tmp_path / "it.spiral", threads=1)
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype(np.float32)
    for ours, theirs in zip(model.predict(x, verbose=0), session.run([x]), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert session.weights is not None
    assert sum(np.count_nonzero(one) for one in session.weights()) == sum(
        np.count_nonzero(one.numpy()) for one in model.weights
    )


def test_a_class_that_is_not_known_is_named_and_its_arrays_can_still_be_read(tmp_path):
    @keras.saving.register_keras_serializable("packed-test")
    class Doubling(layers.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    model = keras.Sequential([layers.Input((4,)), Doubling(3)])
    write_packed(tmp_path / "it.spiral", model)
    packed = read_packed(tmp_path / "it.spiral")
    assert_same(model, unpack_model(packed, "it"))
    keras.saving.get_custom_objects().pop("packed-test>Doubling")  # as a process that never heard of it
    with pytest.raises(
        MissingError, match=r"the model in it cannot be built: it needs '.*Doubling', which is not known"
    ):
        unpack_model(packed, "it")
    np.testing.assert_array_equal(next(iter(packed.arrays.values())), model.weights[0].numpy())


def test_seeds_of_dropout_which_are_new_in_every_process_are_not_held_and_those_of_older_files_are_read():
    model = dense()
    packed = pack_model(model)
    state = model.variables[2]
    assert "seed" in state.path and not any("seed" in path for path in packed.arrays)
    state.assign(state + 1)
    assert to_bytes(pack_model(model)) == to_bytes(packed)
    older = Packed(packed.keras, packed.model, {**packed.arrays, pack_path(model, state): state.numpy()})
    read = unpack_model(older, "it")
    assert_same(model, read)
    np.testing.assert_array_equal(read.variables[2], state)


def pack_path(model: keras.Model, variable: keras.Variable) -> str:
    """Return the path of a variable in the model that is built from the description of ``model``."""
    place = next(index for index, one in enumerate(model.variables) if one is variable)
    return built(pack_model(model).model).variables[place].path


def test_a_model_that_keras_builds_otherwise_is_refused():
    packed = pack_model(dense())
    assert len(packed.arrays) == 4
    changed = {path.replace("kernel", "matrix"): array for path, array in packed.arrays.items()}
    with pytest.raises(MissingError, match=r"packed with Keras 9.9, .* missing .*matrix.*; new .*kernel"):
        unpack_model(Packed("9.9", packed.model, changed), "it")


def test_a_model_without_a_description_is_refused():
    class Nameless(keras.Model):
        def __init__(self, function):
            super().__init__()
            self.inner, self.function = layers.Dense(3), function

        def call(self, inputs):
            return self.function(self.inner(inputs))

    model = Nameless(lambda x: x)  # Keras describes no function without a name
    model(np.zeros((1, 2), np.float32))
    with pytest.raises(UsageError, match="non-serializable argument"):
        pack_model(model)


def test_arrays_are_read_without_keras_or_tensorflow(tmp_path):
    write_packed(tmp_path / "it.spiral", sparse(dense()))
    code = (
        "import sys, pathlib; from spiral_cli.packed.container import read_packed;"
        f"packed = read_packed(pathlib.Path({str(tmp_path / 'it.spiral')!r}));"
        "assert len(packed.arrays) == 4, list(packed.arrays);"
        "assert not {'keras', 'tensorflow', 'sklearn', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
