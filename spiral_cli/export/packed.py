"""The student as the smallest file."""

from __future__ import annotations

from pathlib import Path

from spiral_cli.export.artifact import Chosen
from spiral_cli.export.shared_values import shared_student
from spiral_cli.packed.model_file import write_packed
from spiral_cli.registry import exporters


@exporters.register("packed", file="exports/packed.spiral", beside="keras")
def packed(chosen: Chosen, path: Path) -> None:
    """The smallest file, entropy coded, for download or flash; spiral unpack makes a .keras file of it."""
    shared = chosen.settings.packed.values == "shared"
    write_packed(path, shared_student(chosen) if shared else chosen.model)
