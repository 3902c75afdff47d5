"""Names of weights are unique, readable and the same whenever a model is loaded."""

from __future__ import annotations

import keras
import pytest

from spiral_cli.errors import UsageError
from spiral_cli.pruning.patterns import matches, spellings
from spiral_cli.pruning.prunable import find_prunable

layers = keras.layers


@keras.saving.register_keras_serializable("spiral-test")
class Encoder(layers.Layer):
    """Layers without names, in attributes and in a list, and weights without names."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.token_emb, self.pos_emb = layers.Embedding(11, 4), layers.Embedding(5, 4)
        self.blocks = [layers.Dense(4), layers.Dense(4)]

    def build(self, shape):
        self.gate = self.add_weight(shape=(4, 4))
        super().build(shape)

    def call(self, tokens):
        x = self.token_emb(tokens) + self.pos_emb(keras.ops.arange(5))
        for block in self.blocks:
            x = block(x)
        return keras.ops.matmul(x, self.gate)


def encoder():
    inputs = keras.Input((5,), dtype="int32")
    x = Encoder(name="encoder")(inputs)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True), name="both")(x)
    x = layers.MultiHeadAttention(2, 2, name="attention")(x, x)
    x = layers.TimeDistributed(layers.Dense(2), name="each")(x)
    return keras.Model(inputs, x)


EXPECTED = {
    "encoder/token_emb/embeddings": (0,),
    "encoder/blocks/0/kernel": (0,),
    "encoder/blocks/1/kernel": (0,),
    "encoder/gate": (0,),
    "both/forward_layer/cell/kernel": (0,),
    "both/forward_layer/cell/recurrent_kernel": (0,),
    "both/backward_layer/cell/kernel": (0,),
    "both/backward_layer/cell/recurrent_kernel": (0,),
    "attention/query_dense/kernel": (0,),
    "attention/key_dense/kernel": (0,),
    "attention/value_dense/kernel": (0,),
    "attention/output_dense/kernel": (0, 1),
    "each/layer/kernel": (0,),
}


def test_names_follow_attributes_where_keras_counts():
    prunable, skipped = find_prunable(encoder())
    assert {one.name: one.input_axes for one in prunable} == EXPECTED
    assert all(one.layer == one.name.rpartition("/")[0] for one in prunable)
    reasons = {one.name: one.reason for one in skipped}
    assert reasons["encoder/pos_emb/embeddings"].startswith("positions")
    assert reasons["both/forward_layer/cell/bias"].startswith("bias")  # (2, 9): a GRU's has rank 2
    assert reasons["each/layer/bias"].startswith("rank 1")


def test_names_do_not_depend_on_what_was_built_before():
    first = [one.name for one in find_prunable(encoder())[0]]
    for _ in range(3):
        encoder()  # Keras goes on counting
    assert [one.name for one in find_prunable(encoder())[0]] == first


def test_names_survive_saving_and_loading(tmp_path):
    inputs = keras.Input((5, 4))
    nested = keras.Sequential([keras.Input((5, 4)), layers.Dense(4), layers.LSTM(4)], name="nested")
    model = keras.Model(inputs, layers.Dense(2)(nested(inputs)))
    model.save(tmp_path / "model.keras")
    loaded = [keras.models.load_model(tmp_path / "model.keras") for _ in range(2)]
    expected = [one.name for one in find_prunable(model)[0]]
    assert len(set(expected)) == 4
    for one in loaded:
        assert [found.name for found in find_prunable(one)[0]] == expected


def test_a_tied_weight_counts_once_and_belongs_to_the_inner_layer():
    class Tied(keras.Model):
        def __init__(self):
            super().__init__()
            self.embed = layers.Embedding(7, 3)

        def call(self, tokens):
            return keras.ops.matmul(self.embed(tokens), keras.ops.transpose(self.table))

        def build(self, shape):
            self.embed.build(shape)
            self.table = self.embed.embeddings  # the model holds its layer's variable as its own

    model = Tied()
    model.build((None, 2))
    assert [one.name for one in find_prunable(model)[0]] == ["embed/embeddings"]


def test_a_wrapper_that_normalises_leaves_the_kernel_prunable():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.SpectralNormalization(layers.Dense(3), name="spectral")(inputs))
    assert [one.name for one in find_prunable(model)[0]] == ["spectral/layer/kernel"]


def test_a_normalisation_over_two_axes_is_not_pruned():
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, layers.Dense(2, name="head")(layers.LayerNormalization(axis=(1, 2))(inputs)))
    prunable, skipped = find_prunable(model)
    assert [one.name for one in prunable] == ["head/kernel"]
    assert sum(one.reason.startswith("normalisation") for one in skipped) == 2


def test_a_frozen_part_of_a_nested_model_stays_out():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, name="deep"), layers.Dense(3, name="free")], name="inner"
    )
    inner.get_layer("deep").trainable = False
    inputs = keras.Input((4,))
    prunable, skipped = find_prunable(keras.Model(inputs, inner(inputs)))
    assert [one.name for one in prunable] == ["inner/free/kernel"]
    assert {one.name for one in skipped if one.reason.startswith("frozen")} == {"inner/deep/kernel", "inner/deep/bias"}


def test_what_is_prunable_is_what_the_optimizer_updates():
    model = encoder()
    trainable = {id(variable) for variable in model.trainable_variables}
    prunable, skipped = find_prunable(model)
    assert {id(one.variable) for one in prunable} <= trainable
    assert len(prunable) + len(skipped) == len(trainable)


def test_a_target_that_cannot_be_pruned_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.LayerNormalization(name="norm"), layers.Dense(2, name="head")])
    with pytest.raises(UsageError, match=r"prune.targets: 'norm' matches no layer; there are head"):
        find_prunable(model, ["norm"])
    assert len(find_prunable(model, ["*"], ["norm"])[0]) == 1


def test_a_weight_goes_by_its_path_its_layers_and_its_own_name():
    assert spellings("a/b/kernel") == ("a/b/kernel", "a/b", "a", "b", "kernel")
    assert matches("kern*", spellings("a/b/kernel"))
    assert matches("a/*", spellings("a/b/kernel"))
    assert not matches("a/c", spellings("a/b/kernel"))
    assert matches("re:^b$", spellings("a/b/kernel"))
    assert not matches("b.", spellings("a/b/kernel"))


def test_ignoring_a_nested_model_ignores_all_of_it():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(3)], name="inner")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2, name="head")(inner(inputs)))
    assert [one.name for one in find_prunable(model, ["*"], ["inner"])[0]] == ["head/kernel"]
    assert len(find_prunable(model, ["inner", "head"])[0]) == 3
