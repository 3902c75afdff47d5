"""The verb that makes a model of a packed file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spiral_cli.cli.output import Output
from spiral_cli.cli.work import working
from spiral_cli.console.texts import size
from spiral_cli.errors import UsageError
from spiral_cli.packed.container import read_packed
from spiral_cli.registry import load_plugins


def unpack(file: Path, target: Path, force: bool, plugins: Sequence[str], output: Output) -> None:
    """Write the model of a packed file to ``target``.

    Raises:
        UsageError: the target is no ``.keras`` file, or is there already and not to be replaced.
        MissingError: there is no such packed file, it is damaged, or its model cannot be built.
    """
    if target.suffix != ".keras":
        raise UsageError(f"--output {target}: Keras loads models only from files that end in .keras; name it so")
    packed = read_packed(file)  # first: of a wrong file, the name it would have is beside the point
    if target.exists() and not force:
        raise UsageError(f"{target} is there already and not replaced; give another --output, or --force")
    with working(output):
        load_plugins(plugins, Path.cwd())
        from spiral_cli.packed.model_file import unpack_model
        from spiral_cli.training.saving import save_compressed

        save_compressed(unpack_model(packed, str(file)), target)
    weights = sum(array.size for array in packed.arrays.values())
    nonzero = sum(int(np.count_nonzero(array)) for array in packed.arrays.values())
    sizes = file.stat().st_size, target.stat().st_size
    output.say(
        f"wrote {target} ({size(sizes[1])}) from {file} ({size(sizes[0])}): "
        f"{len(packed.arrays)} variables, {weights:,} weights, {nonzero:,} of them not zero"
    )
    facts = {"variables": len(packed.arrays), "parameters": weights, "nonzero": nonzero, "keras": packed.keras}
    output.result({"path": str(target), "bytes": sizes[1], "packed_bytes": sizes[0], **facts})
