"""Every kind of file of every kind of net, through its real runtime: the same outputs, the same zeros."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from small_nets import NETS, answers, inputs, pruned

from spiral_cli.export.litert_converter import write_litert
from spiral_cli.export.onnx_file import write_onnx
from spiral_cli.export.saved_model import write_saved_model
from spiral_cli.export.serving import Serving
from spiral_cli.export.zeros import zeros_kept
from spiral_cli.pruning.prunable import find_prunable
from spiral_cli.runtimes.session import open_model
from spiral_cli.training.saving import deflate

SAMPLES = 64


def write_keras(serving: Serving, path: Path) -> None:
    serving.model.save(path)
    deflate(path)


def write_int8(serving: Serving, path: Path, full_integer: bool = False) -> None:
    np.savez(path.with_name("samples.npz"), *inputs(serving.model, SAMPLES))
    samples = str(path.with_name("samples.npz"))
    write_litert(serving, path, weights="int8", samples=samples, full_integer=full_integer)


# How to write a kind, under which name, and how far outputs of about 1 may be off.
KINDS = {
    "keras": (write_keras, "m.keras", 1e-6),
    "saved_model": (write_saved_model, "m", 1e-6),
    "litert": (write_litert, "m.tflite", 2e-6),
    "float16": (lambda serving, path: write_litert(serving, path, weights="float16"), "m.tflite", 2e-3),
    "dynamic": (lambda serving, path: write_litert(serving, path, weights="int8"), "m.tflite", 0.05),
    "int8": (write_int8, "m.tflite", 0.1),
    "full int8": (lambda serving, path: write_int8(serving, path, True), "m.tflite", 0.1),
    "onnx": (write_onnx, "m.onnx", 2e-6),
}


# Every kind of two nets; of the others float32 and int8 alone, which tell of the graph that all kinds share.
RARE = [
    (net, kind)
    for net in NETS
    for kind in KINDS
    if net not in ("depthwise", "two_by_two") and kind not in ("litert", "int8", "onnx")
]


@pytest.mark.parametrize(
    ("net", "kind"),
    [
        pytest.param(net, kind, marks=[pytest.mark.slow] if (net, kind) in RARE else [])
        for net in NETS
        for kind in KINDS
    ],
)
def test_a_file_gives_the_students_outputs_and_keeps_its_zeros(tmp_path, net, kind):
    write, name, tolerance = KINDS[kind]
    model = pruned(net)
    few, one = inputs(model, 5), tuple(array[:1] for array in inputs(model, 5))
    wanted = answers(model, few)
    if net == "bilstm_of_any_length" and "int8" in kind:
        with pytest.raises(ValueError, match="Cannot unroll a RNN"):
            write(Serving(model, few), tmp_path / name)
        return
    write(Serving(model, few), tmp_path / name)
    session = open_model(tmp_path / name, threads=1)
    for given, outputs in ((few, wanted), (one, [output[:1] for output in wanted])):
        session.ready(given)()  # what is timed: it computes, and changes nothing
        made = session.run(given)
        assert [output.dtype for output in made] == [np.float32] * len(wanted)
        for output, expected in zip(made, outputs, strict=True):
            np.testing.assert_allclose(output, expected, atol=tolerance)
    weights = [one.variable.numpy() for one in find_prunable(pruned(net))[0]]
    assert zeros_kept(weights, session.weights()) is True


@pytest.mark.parametrize("kind", ["litert", "onnx"])
def test_a_length_that_is_open_stays_open(tmp_path, kind):
    write, name, tolerance = KINDS[kind]
    model = pruned("bilstm_of_any_length")
    write(Serving(model, inputs(model, 2)), tmp_path / name)
    session = open_model(tmp_path / name, threads=1)
    for length in (4, 11):
        x = np.random.default_rng(length).normal(size=(2, length, 5)).astype(np.float32)
        np.testing.assert_allclose(session.run((x,))[0], answers(model, (x,))[0], atol=tolerance)


@keras.saving.register_keras_serializable("export_tests")
class Halves(keras.Model):
    """A model without a graph: what it takes is known from examples alone."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(3)

    def call(self, x):
        return self.dense(x) / 2.0


@pytest.mark.parametrize("activation", ["celu", "gelu"])
def test_functions_that_onnx_lacks_are_made_of_others(tmp_path, activation):
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((6,)), dense(8, activation=activation), dense(3)])
    few = inputs(model, 4)
    write_onnx(Serving(model, few), tmp_path / "m.onnx")
    [found] = open_model(tmp_path / "m.onnx", threads=1).run(few)
    np.testing.assert_allclose(found, answers(model, few)[0], atol=1e-6)


def test_a_model_without_a_graph_takes_what_its_examples_are(tmp_path):
    model, x = Halves(), np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    wanted = model(x).numpy()
    for kind in ("keras", "saved_model", "litert", "onnx"):
        write, name, tolerance = KINDS[kind]
        write(Serving(model, (x[:2],)), tmp_path / name)
        np.testing.assert_allclose(open_model(tmp_path / name, threads=1).run((x,))[0], wanted, atol=tolerance)


def test_integer_ends_are_integers(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model = pruned("cnn")
    write_int8(Serving(model, inputs(model, 2)), tmp_path / "m.tflite", full_integer=True)
    interpreter = Interpreter(str(tmp_path / "m.tflite"))
    ends = interpreter.get_input_details() + interpreter.get_output_details()
    assert [one["dtype"] for one in ends] == [np.int8, np.int8]


def test_a_saved_model_holds_each_variable_once(tmp_path):
    model = pruned("cnn")
    write_saved_model(Serving(model, inputs(model, 2)), tmp_path / "m")
    held = sum(array.size for array in open_model(tmp_path / "m", threads=1).weights())
    assert held == model.count_params()


def test_a_keras_file_is_compressed_and_without_training_state(tmp_path):
    model = pruned("cnn", density=0.05)
    model.compile("adam", "mse")
    model.train_on_batch(inputs(model, 2)[0], np.zeros((2, 3)))
    model.save(tmp_path / "trained.keras")
    loaded = keras.models.load_model(tmp_path / "trained.keras", compile=False)
    write_keras(Serving(loaded, ()), tmp_path / "m.keras")
    assert getattr(keras.models.load_model(tmp_path / "m.keras"), "optimizer", None) is None
    assert (tmp_path / "m.keras").stat().st_size < (tmp_path / "trained.keras").stat().st_size / 2
