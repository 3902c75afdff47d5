"""The student as a plain ``.keras`` file."""

from __future__ import annotations

from pathlib import Path

from spiral_cli.export.artifact import Chosen
from spiral_cli.registry import exporters
from spiral_cli.training.saving import save_compressed


@exporters.register("keras", file="student.keras", beside="keras")
def keras_file(chosen: Chosen, path: Path) -> None:
    """A compressed ``.keras`` file without training state, which Keras alone loads."""
    save_compressed(chosen.model, path)
