"""``.tflite`` files in LiteRT, formerly TensorFlow Lite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.chatter import held_back_stderr
from spiral_cli.registry import runtimes
from spiral_cli.runtimes.litert_constants import stored
from spiral_cli.runtimes.session import Arrays, Input, Session, in_order

Details = Mapping[str, Any]
SIGNATURE = "serving_default"


@runtimes.register("litert", opens=".tflite")
def open_litert(path: Path, threads: int) -> Session:
    """LiteRT's interpreter with XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter

    with held_back_stderr():  # it announces its delegate
        interpreter = Interpreter(str(path), num_threads=threads)
        inputs, outputs = ends(interpreter)
        interpreter.allocate_tensors()

    def set_inputs(arrays: Sequence[np.ndarray]) -> None:
        fit(interpreter, inputs, arrays)
        for one, array in zip(inputs, arrays, strict=True):
            interpreter.set_tensor(one["index"], quantised(array, one))

    def run_once(arrays: Sequence[np.ndarray]) -> Arrays:
        set_inputs(arrays)
        interpreter.invoke()
        return tuple(dequantised(interpreter.get_tensor(one["index"]), one) for one in outputs)

    def run(arrays: Sequence[np.ndarray]) -> Arrays:
        held = inputs[0]["shape_signature"][0]  # -1: any; a file of a fixed batch is run piece by piece
        if held in (-1, len(arrays[0])):
            return run_once(arrays)
        pieces = [run_once([array[at : at + held] for array in arrays]) for at in range(0, len(arrays[0]), held)]
        return tuple(np.concatenate(column) for column in zip(*pieces, strict=True))

    def prepare(arrays: Sequence[np.ndarray]) -> Callable[[], object]:
        if inputs[0]["shape_signature"][0] not in (-1, len(arrays[0])):
            return partial(run, arrays)
        set_inputs(arrays)
        return interpreter.invoke

    runtime = f"ai-edge-litert {version('ai-edge-litert')}"
    return Session(runtime, threads, run, lambda: stored(path), tuple(map(described, inputs)), prepare)


def ends(interpreter: Any) -> tuple[list[Details], list[Details]]:
    """Return the details of inputs and outputs in the model's order, which only a signature keeps."""
    if SIGNATURE not in interpreter.get_signature_list():
        return interpreter.get_input_details(), interpreter.get_output_details()
    runner = interpreter.get_signature_runner(SIGNATURE)
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    return [inputs[name] for name in in_order(inputs)], [outputs[name] for name in in_order(outputs)]


def described(one: Details) -> Input:
    """Return what an input takes: floats also where the file's own are integers that stand for such."""
    shape = tuple(None if length == -1 else int(length) for length in one["shape_signature"][1:])
    return Input(shape, "float32" if one["quantization"][0] else np.dtype(one["dtype"]).name)


def fit(interpreter: Any, inputs: Sequence[Details], arrays: Sequence[np.ndarray]) -> None:
    """Give the interpreter the shapes of ``arrays``, where it has others."""
    now = {one["index"]: tuple(one["shape"]) for one in interpreter.get_input_details()}
    changed = [(one, array) for one, array in zip(inputs, arrays, strict=True) if now[one["index"]] != array.shape]
    for one, array in changed:
        interpreter.resize_tensor_input(one["index"], array.shape, strict=True)
    if changed:
        interpreter.allocate_tensors()


def quantised(array: np.ndarray, details: Details) -> np.ndarray:
    """Return floats as the integers an input takes, where it takes such."""
    scale, zero = details["quantization"]
    if not scale or array.dtype.kind != "f":
        return array
    limits = np.iinfo(details["dtype"])
    return np.clip(np.round(array / scale) + zero, limits.min, limits.max).astype(details["dtype"])


def dequantised(array: np.ndarray, details: Details) -> np.ndarray:
    """Return the integers of an output as the floats they stand for, where they stand for such."""
    scale, zero = details["quantization"]
    return (array.astype(np.float32) - zero) * np.float32(scale) if scale else array
