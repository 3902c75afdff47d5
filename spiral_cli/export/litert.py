"""The student for LiteRT, formerly TensorFlow Lite, at four precisions."""

from __future__ import annotations

from pathlib import Path

from spiral_cli.export.artifact import Chosen
from spiral_cli.export.litert_converter import write_litert
from spiral_cli.registry import exporters


@exporters.register("litert", file="exports/litert.tflite", beside="litert")
def litert(chosen: Chosen, path: Path) -> None:
    """LiteRT in float32."""
    chosen.convert(write_litert, path)


@exporters.register("litert_float16", file="exports/litert_float16.tflite", beside="litert")
def litert_float16(chosen: Chosen, path: Path) -> None:
    """LiteRT with weights in float16, half the bytes; a CPU computes in float32."""
    chosen.convert(write_litert, path, weights="float16")


@exporters.register("litert_dynamic", file="exports/litert_dynamic.tflite", beside="litert")
def litert_dynamic(chosen: Chosen, path: Path) -> None:
    """LiteRT with the larger weights in int8; activations are quantised on the way, by their own range."""
    chosen.convert(write_litert, path, weights="int8")


@exporters.register("litert_int8", file="exports/litert_int8.tflite", beside="litert")
def litert_int8(chosen: Chosen, path: Path) -> None:
    """LiteRT in int8, weights and activations, with ranges from training examples."""
    full = chosen.settings.full_integer
    chosen.convert(write_litert, path, weights="int8", samples=chosen.samples(), full_integer=full)
