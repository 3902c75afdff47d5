"""The verbs that show what runs have left on disk: no TensorFlow, nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from spiral_cli.cli.output import Output
from spiral_cli.console.side_by_side import side_by_side
from spiral_cli.errors import UsageError
from spiral_cli.run import RunFolder, write_text


def report(folder: Path, output: Output) -> int:
    """Write a run's page again and say where it lies; return 0."""
    from spiral_cli.report.cautions import cautions
    from spiral_cli.report.page import rebuild

    run = RunFolder(folder)
    told = rebuild(run)
    found = cautions(told.report)
    output.say("\n".join([str(run.page), *told.missing, *(f"warning: {caution.short}" for caution in found)]))
    warnings = [asdict(caution) for caution in found]
    output.result({"path": str(run.page), "missing": list(told.missing), "warnings": warnings})
    return 0


def compare(folders: Sequence[Path], page: Path | None, output: Output) -> int:
    """Show runs side by side, and write a page of them where asked; return 0.

    Raises:
        UsageError: there is one run only, or one is named twice.
        MissingError: a folder is no run.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        named = " ".join(map(str, folders))
        raise UsageError(f"received {named}; allowed: two different runs or more, such as runs/a runs/b")
    from spiral_cli.report.beside import beside, names_of
    from spiral_cli.report.beside_lines import group_lines, lines
    from spiral_cli.report.page import comparison_page
    from spiral_cli.report.read import read_run

    names = names_of(folders)
    comparison = beside({name: read_run(RunFolder(folder)) for name, folder in zip(names, folders, strict=True)})
    parts = [side_by_side(names, lines(comparison), output.width)]
    groups, of_groups = group_lines(comparison)
    if groups:
        parts += ["over seeds, mean ± standard deviation:", side_by_side(groups, of_groups, output.width)]
    parts += [f"warning: {caution['text']}" for caution in comparison["warnings"]]
    if page is not None:
        write_text(page, comparison_page(comparison))
        parts.append(str(page))
    output.say("\n\n".join(parts))
    output.result({**comparison, "path": str(page) if page is not None else None})
    return 0
