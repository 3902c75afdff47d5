"""What may be pruned, on a zoo of real layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from spiral_cli.errors import UsageError
from spiral_cli.pruning.prunable import find_prunable

layers = keras.layers


def names(model, *args) -> set[str]:
    return {one.name for one in find_prunable(model, *args)[0]}


def built(layer, shape, dtype="float32"):
    inputs = keras.Input(shape, dtype=dtype)
    return keras.Model(inputs, layer(inputs))


@pytest.mark.parametrize(
    ("layer", "shape", "kernels"),
    [
        (lambda: layers.Dense(3), (4,), {(4, 3): (0,)}),
        (lambda: layers.Conv1D(3, 2), (8, 4), {(2, 4, 3): (0, 1)}),
        (lambda: layers.Conv2D(3, 2), (8, 8, 4), {(2, 2, 4, 3): (0, 1, 2)}),
        (lambda: layers.Conv3D(3, 2), (4, 4, 4, 1), {(2, 2, 2, 1, 3): (0, 1, 2, 3)}),
        (lambda: layers.DepthwiseConv2D(2), (8, 8, 4), {(2, 2, 4, 1): (0, 1, 2)}),
        (lambda: layers.SeparableConv2D(3, 2), (8, 8, 4), {(2, 2, 4, 1): (0, 1, 2), (1, 1, 4, 3): (0, 1, 2)}),
        (lambda: layers.Conv2DTranspose(3, 2), (8, 8, 4), {(2, 2, 3, 4): (0, 1, 3)}),
        (lambda: layers.LSTM(3), (5, 4), {(4, 12): (0,), (3, 12): (0,)}),
        (lambda: layers.GRU(3), (5, 4), {(4, 9): (0,), (3, 9): (0,)}),  # and its bias of rank 2, see below
        (lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 3)), (5, 4), {(4, 2, 3): (0,)}),
    ],
)
def test_kernels_are_found_with_their_input_axes(layer, shape, kernels):
    prunable, _ = find_prunable(built(layer(), shape))
    assert {tuple(one.variable.shape): one.input_axes for one in prunable} == kernels


def test_an_embedding_is_pruned_by_token():
    prunable, _ = find_prunable(built(layers.Embedding(7, 3), (5,), "int32"))
    assert [(tuple(one.variable.shape), one.input_axes) for one in prunable] == [((7, 3), (0,))]


def test_attention_projections_are_four_kernels():
    inputs = keras.Input((5, 8))
    model = keras.Model(inputs, layers.MultiHeadAttention(2, 4)(inputs, inputs))
    axes = {one.variable.path.split("/")[-2]: one.input_axes for one in find_prunable(model)[0]}
    assert axes == {"query": (0,), "key": (0,), "value": (0,), "attention_output": (0, 1)}


def test_both_directions_and_nested_models_are_entered():
    inner = keras.Sequential([layers.Input((4,)), layers.Dense(3, name="deep")], name="inner")
    inputs = keras.Input((5, 4))
    x = layers.Bidirectional(layers.LSTM(4))(inputs)
    model = keras.Model(inputs, inner(layers.Dense(4, name="shallow")(x)))
    found = find_prunable(model)[0]
    assert len(found) == 6
    assert {one.layer for one in found} >= {"inner/deep", "shallow"}


def test_norms_biases_and_frozen_layers_are_skipped_with_their_reason():
    model = keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(5, name="first", trainable=False),
            layers.LayerNormalization(name="norm"),
            layers.Dense(2, name="last"),
        ]
    )
    prunable, skipped = find_prunable(model)
    assert [one.layer for one in prunable] == ["last"]
    reasons = {(one.layer, one.name.split("/")[-1]): one.reason for one in skipped}
    assert "frozen" in reasons["first", "kernel"]
    assert "normalisation" in reasons["norm", "gamma"]
    assert "rank 1" in reasons["last", "bias"]


def test_slopes_of_an_activation_are_skipped_whatever_their_rank():
    for shared in (None, (1, 2)):
        prunable, skipped = find_prunable(built(layers.PReLU(shared_axes=shared), (4, 4, 3)))
        assert not prunable
        assert [one.reason.split(":")[0] for one in skipped] == ["slopes of an activation"]


@keras.saving.register_keras_serializable("test")
class Mixer(layers.Layer):
    """A layer of one's own with two matrices and a position table."""

    def build(self, shape):
        self.mix = self.add_weight(shape=(shape[-1], 3), name="mix")
        self.position = self.add_weight(shape=(4, 3), name="position_table")

    def call(self, x):
        return keras.ops.matmul(x, self.mix) + self.position


def test_custom_layers_count_and_positions_do_not():
    prunable, skipped = find_prunable(built(Mixer(), (4, 5)))
    assert [one.variable.name for one in prunable] == ["mix"]
    assert [one.reason.split(":")[0] for one in skipped] == ["positions"]


def test_a_shared_layer_counts_once_and_equal_names_are_told_apart():
    shared = layers.Dense(4)
    inputs = keras.Input((4,))
    assert len(names(keras.Model(inputs, shared(shared(inputs))))) == 1

    class Twin(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = layers.Dense(3, name="same"), layers.Dense(3, name="same")

        def call(self, x):
            return self.two(self.one(x))

    twin = Twin()
    twin(np.zeros((1, 3), np.float32))
    assert len(names(twin)) == 2


def test_targets_and_ignore_are_globs_or_expressions():
    model = keras.Sequential([layers.Input((4,)), *(layers.Dense(4, name=f"block{i}_dense") for i in range(3))])

    def short(found):
        return sorted(name.split("/")[-2] for name in found)

    assert short(names(model, ["block[01]_*"])) == ["block0_dense", "block1_dense"]
    assert short(names(model, ["re:[12]_dense$"], ["block2*"])) == ["block1_dense"]
    reasons = {one.layer: one.reason for one in find_prunable(model, ["*"], ["block2*"])[1] if "kernel" in one.name}
    assert reasons == {"block2_dense": "ignored by 'block2*'"}
    with pytest.raises(UsageError, match=r"'blok0_dense' matches no layer.*did you mean 'block0_dense'"):
        find_prunable(model, ["blok0_dense"])
    with pytest.raises(UsageError, match=r"prune.ignore: 'x' matches no layer"):
        find_prunable(model, ["*"], ["x"])
    with pytest.raises(UsageError, match="no regular expression"):
        find_prunable(model, ["re:("])
