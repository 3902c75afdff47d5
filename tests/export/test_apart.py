"""Converters in another process: what goes wrong there is a reason here, and the next one works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_nets import answers, inputs, pruned

from spiral_cli.errors import ExportError
from spiral_cli.export.apart import Apart, ending
from spiral_cli.export.litert_converter import write_litert
from spiral_cli.recipe import load_recipe
from spiral_cli.runtimes.session import open_model

ODD = """
import os, signal

def crash(serving, path):
    print("what is printed is no answer")
    os.kill(os.getpid(), signal.SIGSEGV)

def fail(serving, path, reason):
    raise ValueError(reason)

def shorten(serving, path):
    from spiral_cli.export.litert_converter import write_litert
    write_litert(serving, path)
    path.write_bytes(path.read_bytes()[:-400])

def misscale(serving, path, samples):
    '''Give the output a scale for which no kernel can compute: the file opens, and its first inference fails.'''
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
    from spiral_cli.export.litert_converter import write_litert
    write_litert(serving, path, weights="int8", samples=samples, full_integer=True)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    graph = model.subgraphs[0]
    graph.tensors[graph.outputs[0]].quantization.scale = [1e-9]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
"""


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Iterator[tuple[Apart, Path]]:
    """Yield a process whose plugin has functions that go wrong, and the file of a model."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "odd_converters.py").write_text(ODD)
    recipe = folder / "r.yaml"
    recipe.write_text("data: {format: digits}\nteacher: {model: mlp}\nplugins: [odd_converters]\n")
    model = pruned("cnn")
    model.save(folder / "m.keras")
    with Apart(load_recipe(recipe), inputs(model, 2)) as apart:
        yield apart, folder / "m.keras"


def test_a_crash_is_a_reason_and_the_next_conversion_works(odd, tmp_path):
    import odd_converters

    apart, model = odd
    with pytest.raises(ExportError, match=r"the converter crashed \(SIGSEGV\)"):
        apart(odd_converters.crash, model, tmp_path / "m.tflite")
    assert ending(3) == "exit code 3"
    apart(write_litert, model, tmp_path / "m.tflite")
    given = inputs(pruned("cnn"), 2)
    made = open_model(tmp_path / "m.tflite", threads=1).run(given)
    np.testing.assert_allclose(made[0], answers(pruned("cnn"), given)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("too large", "too large"),
        ("x.py:1:1: error: 'tf.Foo' op is not known\\nstack\\nerror: more", "'tf.Foo' op is not known"),
        ('in user code:\\n\\n  File "a.py", line 1\\n\\n    ValueError: no such axis', "no such axis"),
    ],
)
def test_the_reason_is_what_a_converters_pages_name_first(odd, tmp_path, said, reason):
    import odd_converters

    apart, model = odd
    with pytest.raises(ExportError) as error:
        apart(odd_converters.fail, model, tmp_path / "m.tflite", reason=said.replace("\\n", "\n"))
    assert str(error.value) == reason


def test_a_file_that_fails_at_its_first_inference_is_found_out_where_it_was_made(odd, tmp_path):
    import odd_converters

    apart, model = odd
    samples = apart.stored("samples", inputs(pruned("cnn"), 16))
    with pytest.raises(ExportError, match=r"XNNPACK|prepare"):
        apart(odd_converters.misscale, model, tmp_path / "m.tflite", samples=samples)
    with pytest.raises(ExportError):
        apart(odd_converters.shorten, model, tmp_path / "m.tflite")


def test_plugins_that_the_process_cannot_import_are_a_reason(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("data: {format: digits}\nteacher: {builder: 'nowhere_at_all:model'}\n")
    with Apart(load_recipe(recipe), ()) as apart, pytest.raises(ExportError, match="nowhere_at_all"):
        apart(write_litert, tmp_path / "m.keras", tmp_path / "m.tflite")
