"""What is not covered is left whole with what depends on it, named with the reason, and the rest still leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import Input, layers, ops
from removals import check_removal, difference, masked, outputs_of, random_inputs, random_kept, randomize

from spiral_cli.channels.graph import find_channels
from spiral_cli.channels.removal import remove
from spiral_cli.channels.trace import RULES
from spiral_cli.errors import UsageError


@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Layer):
    """A layer of a user's own with a weight of its own."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor + ops.flip(inputs, axis=-1)


@keras.saving.register_keras_serializable("tests")
class Inner(keras.Model):
    """A subclassed model."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.dense = layers.Dense(6)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


@keras.saving.register_keras_serializable("tests")
class Graph(keras.Model):
    """A functional model of a user's own class, which may do with its graph what it likes."""


@keras.saving.register_keras_serializable("tests")
def mirrored(x: Any) -> Any:
    """An activation function that mixes channels."""
    return x + ops.flip(x, axis=-1)


def graph_model(width: int) -> Any:
    inputs = Input((width,))
    return Graph(inputs, layers.Dense(6)(inputs), name="nested")


def with_lora(x: Any) -> Any:
    layer = layers.Dense(6, name="middle")
    y = layer(x)
    layer.enable_lora(2)
    return y


def quantized(x: Any) -> Any:
    layer = layers.Dense(6, name="middle")
    y = layer(x)
    layer.quantize("int8")
    return y


CASES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "custom layer": (lambda x: Doubled(name="middle")(x), "middle"),
    "subclassed model": (lambda x: Inner(name="middle")(x), "middle"),
    "functional model of an own class": (lambda x: graph_model(x.shape[-1])(x), "nested"),
    "custom activation": (lambda x: layers.Dense(6, activation=mirrored, name="middle")(x), "middle"),
    "custom activation layer": (lambda x: layers.Activation(mirrored, name="middle")(x), "middle"),
    "softmax": (lambda x: layers.Dense(6, activation="softmax", name="middle")(x), "middle"),
    "spectral normalization": (lambda x: layers.SpectralNormalization(layers.Dense(6), name="middle")(x), "middle"),
    "adapter": (with_lora, "middle"),
    "quantised": (quantized, "middle"),
    "normalization": (lambda x: layers.Normalization(mean=[0.1] * 8, variance=[2.0] * 8, name="middle")(x), "middle"),
    "dropout of given shape": (lambda x: layers.Dropout(0.5, noise_shape=(None, 8), name="middle")(x), "middle"),
    "masking": (lambda x: layers.Masking(name="middle")(layers.Reshape((1, 8))(x)), "middle"),
    "cell": (lambda x: layers.RNN(layers.LSTMCell(5), name="middle")(layers.Reshape((1, 8))(x)), "middle"),
    "convolutional recurrence": (
        lambda x: layers.ConvLSTM1D(5, 1, name="middle")(layers.Reshape((1, 1, 8))(x)),
        "middle",
    ),
    "dot normalised": (lambda x: layers.Dot(1, normalize=True, name="middle")([x, ops.relu(x)]), "middle"),
    "mean over channels": (lambda x: ops.mean(x, axis=-1, keepdims=True), "before"),
    "piece of channels": (lambda x: x[:, 2:5], "before"),
    "split at places": (lambda x: ops.split(x, [3], axis=-1)[0], "split"),
    "constant array": (lambda x: x * np.linspace(0.5, 2.0, 8, dtype=np.float32), "multiply"),
    "padded channels": (lambda x: ops.pad(x, ((0, 0), (1, 2))), "pad"),
    "repeated": (lambda x: ops.repeat(x, 2, axis=-1), "repeat"),
    "flipped": (lambda x: ops.flip(x, axis=-1), "flip"),
    "einsum with ellipsis": (lambda x: ops.einsum("...a,...a->...a", x, x), "einsum"),
    "matmul by a constant": (lambda x: ops.matmul(x, np.ones((8, 4), np.float32)), "matmul"),
    "sorted": (lambda x: ops.sort(x, axis=-1), "sort"),
    "cumulated": (lambda x: ops.cumsum(x, axis=-1), "cumsum"),
    "convolution over channels": (
        lambda x: layers.Conv1D(4, 3, name="middle")(layers.Reshape((8, 1))(x)),
        "before",
    ),
    "attention over channels": (
        lambda x: layers.MultiHeadAttention(2, 3, name="middle")(*[layers.Reshape((8, 1))(x)] * 2),
        "before",
    ),
    "recurrence over channels": (lambda x: layers.LSTM(4, name="middle")(layers.Reshape((8, 1))(x)), "middle"),
    "group normalization over channels": (
        lambda x: layers.Flatten()(layers.GroupNormalization(2, axis=-1, name="middle")(layers.RepeatVector(2)(x))),
        "",
    ),
    "statistics over channels": (
        lambda x: layers.Flatten()(layers.GroupNormalization(2, axis=1, name="middle")(layers.RepeatVector(2)(x))),
        "before",
    ),
    "batch normalization of a row": (
        lambda x: layers.Flatten()(layers.LayerNormalization(axis=(1, 2), name="middle")(layers.RepeatVector(2)(x))),
        "middle",
    ),
    "a mask made of channels": (
        lambda x: layers.LSTM(4, name="middle")(layers.Reshape((8, 1))(layers.Dense(8)(x)), mask=x > 0),
        "greater",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_covered_is_left_whole_and_named(case: str) -> None:
    middle, named = CASES[case]
    inputs = Input((4,))
    x = middle(layers.Dense(8, name="before")(layers.Dense(7, activation="tanh", name="first")(inputs)))
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(9, activation="tanh", name="last")(x)))
    small, channels = check_removal(model, seed=len(case))
    assert {"first", "last"} <= {name for space in channels.spaces for name in space.layers}
    assert any(one.startswith(named) for one in channels.held), channels.held
    assert all(channels.held.values())
    for layer in small.layers:
        before = model.get_layer(layer.name)
        assert layer.trainable == before.trainable and layer.dtype_policy.name == before.dtype_policy.name


def test_a_rule_that_fails_leaves_its_layer_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(trace: Any, layer: Any, *_: Any, **__: Any) -> Any:
        trace.bind(layer.gamma, trace.fresh(layer, 8))
        raise IndexError("list index out of range")

    find_channels(keras.Sequential([Input((4,)), layers.Dense(8), layers.Dense(3)]))
    monkeypatch.setitem(RULES, "BatchNormalization", broken)
    inputs = Input((4,))
    x = layers.BatchNormalization(name="norm")(layers.Dense(8, name="before")(layers.Dense(7)(inputs)))
    _, channels = check_removal(keras.Model(inputs, layers.Dense(3)(x)))
    assert "IndexError" in channels.held["norm"] and "norm" in channels.held["before"]


def test_a_layer_refused_at_one_call_is_whole_at_all() -> None:
    inputs = Input((4,))
    shared = layers.Dense(8, activation="tanh", name="shared")
    first = shared(layers.Dense(6, name="first")(inputs))
    second = shared(layers.Activation(mirrored)(layers.Dense(6, name="second")(inputs)))
    model = keras.Model(inputs, layers.Dense(3)(layers.Concatenate()([layers.Dense(5)(first), second])))
    _, channels = check_removal(model)
    assert {"first", "second"} <= {*channels.held}


def test_a_model_of_an_own_class_is_refused_with_the_reason() -> None:
    model = Inner()
    model.build((None, 4))
    with pytest.raises(UsageError, match=r"functional or sequential model.*is a Inner.*functional API"):
        find_channels(model)
    with pytest.raises(UsageError, match="is a Graph"):
        find_channels(graph_model(4))


def test_nothing_that_may_leave_is_an_error_with_reasons() -> None:
    inputs = Input((4,))
    with pytest.raises(UsageError, match=r"no channel .* can leave .*an output of the model"):
        find_channels(keras.Model(inputs, layers.Dense(3)(inputs)))


class Unregistered(keras.regularizers.Regularizer):
    """A regularizer that Keras does not find by the name it is saved under."""

    def __call__(self, x: Any) -> Any:
        return 0.1 * ops.sum(x)

    def get_config(self) -> dict[str, Any]:
        return {}


class Forgetful(layers.Layer):
    """A layer whose config lacks what its __init__ takes."""

    def __init__(self, factor: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def beside_a_lambda() -> Any:
    return keras.Sequential([layers.Dense(6), layers.Lambda(lambda x: 2 * x)])


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize(
    ("middle", "said"),
    [
        (lambda: layers.Lambda(lambda x: 2 * x), "holds a Lambda layer"),
        (beside_a_lambda, "holds a Lambda layer"),
        (lambda: layers.Activation(lambda x: 2 * x), "holds a lambda"),
        (lambda: layers.Dense(6, activation=lambda x: 2 * x), "holds a lambda"),
        (lambda: layers.Dense(6, kernel_regularizer=Unregistered()), "needs 'Unregistered', which is not known"),
        (lambda: Forgetful(2.0), "missing 1 required positional argument: 'factor'; let get_config"),
    ],
    ids=["layer", "nested layer", "activation", "activation of a layer", "regularizer", "config"],
)
def test_a_model_that_keras_cannot_build_again_is_refused_with_the_reason(middle: Any, said: str) -> None:
    model = keras.Sequential([Input((4,)), layers.Dense(8), middle(), layers.Dense(5), layers.Dense(3)])
    channels = find_channels(model)
    with pytest.raises(UsageError, match=rf"no channel of model '{model.name}' can leave: .*{said}"):
        remove(model, channels, np.ones(channels.count, bool))


def test_frozen_layers_stay_whole_but_their_normalisation_follows() -> None:
    inputs = Input((6, 6, 2))
    x = layers.Conv2D(8, 3, name="free")(inputs)
    x = layers.BatchNormalization(name="norm", trainable=False)(x)
    x = layers.Conv2D(7, 3, name="other")(x)
    x = layers.Conv2D(6, 1, name="frozen", trainable=False)(x)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(layers.Conv2D(5, 1, name="last")(x))))
    small, channels = check_removal(model)
    assert [space.name for space in channels.spaces] == ["free", "last"]
    assert "frozen (trainable is False)" in channels.held["frozen"]
    assert "frozen (trainable is False)" in channels.held["other"]
    assert small.get_layer("frozen").kernel.shape == (1, 1, 7, 6)
    assert not small.get_layer("frozen").trainable and not small.get_layer("norm").trainable


def test_a_frozen_nested_model_and_a_frozen_recurrence_stay_whole() -> None:
    inner = keras.Sequential([Input((7,)), layers.Dense(8), layers.Dense(6)], name="inner")
    inner.trainable = False
    inputs = Input((4,))
    x = inner(layers.Dense(7, name="before")(layers.Dense(6, name="first")(inputs)))
    x = layers.GRU(5, trainable=False, name="gru")(layers.Reshape((2, 3))(x))
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(9, name="last")(x)))
    _, channels = check_removal(model)
    assert [space.name for space in channels.spaces] == ["first", "last"]


def equals_masked(model: Any) -> None:
    """The smaller model computes what the masked one does, though it has a weight twice that was shared."""
    rng = np.random.default_rng(0)
    randomize(model, rng)
    channels = find_channels(model)
    kept = random_kept(channels, rng)
    given = random_inputs(model, rng)
    whole = outputs_of(model, given)
    with masked(model, channels, kept):
        expected = outputs_of(model, given)
    assert difference(whole, expected) > 1e-3
    assert difference(outputs_of(remove(model, channels, kept), given), expected) <= 1e-5


def test_one_kernel_in_two_layers() -> None:
    """Keras itself does not keep such a tie when it saves; the smaller model computes the same."""
    one, two = layers.Dense(8, name="one"), layers.Dense(8, name="two")
    inputs = Input((4,))
    x, y = one(inputs), two(inputs)
    two._untrack_variable(two._kernel)
    two._tracker.unlock()
    two._kernel = one._kernel
    two._trainable_variables.sort(key=lambda variable: variable.name, reverse=True)  # as it was: kernel, bias
    model = keras.Model(inputs, layers.Dense(3)(layers.Concatenate()([x, layers.Activation("tanh")(y)])))
    equals_masked(model)


def test_a_layer_in_two_models() -> None:
    shared = layers.Dense(8, activation="tanh", name="shared")
    a, b = Input((6,)), Input((6,))
    first = keras.Model(a, shared(a), name="first")
    second = keras.Model(b, layers.Dense(5)(shared(b)), name="second")
    inputs = Input((4,))
    x = layers.Dense(6)(inputs)
    equals_masked(keras.Model(inputs, layers.Dense(3)(layers.Concatenate()([first(x), second(x)]))))


def test_a_compiled_and_trained_model() -> None:
    model = keras.Sequential([Input((4,)), layers.Dense(8, "relu"), layers.Dropout(0.5, seed=3), layers.Dense(3)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
    check_removal(model)


def test_targets_and_ignored_layers_keep_their_channels() -> None:
    model = keras.Sequential([Input((4,)), *(layers.Dense(8, name=name) for name in "abc"), layers.Dense(3, name="d")])
    assert [space.name for space in find_channels(model, ["a", "b"], ["b"]).spaces] == ["a"]
    held = find_channels(model, ["a", "b"], ["b"]).held
    assert held["b"] == "ignored by 'b'" and held["c"] == "not among prune.targets"
    with pytest.raises(UsageError, match=r"prune\.targets"):
        find_channels(model, ["nothing"])
