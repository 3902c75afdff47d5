"""The table of a finished run as a picture, drawn by Rich from the report alone."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import CONSOLE_SVG_FORMAT, Console

from spiral_cli.console.closing import report_text
from spiral_cli.console.table import rounds_table
from spiral_cli.console.texts import teacher_line
from spiral_cli.events import StageDone

WIDTH = 110
# A picture that loads nothing: the reader's own fixed-width font instead of one from the network.
FORMAT = re.sub(r"@font-face {{.*?}}\n\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace("Fira Code, ", "")


def report_svg(report: Mapping[str, Any], root: Path, title: str) -> str:
    """Return an SVG of what the terminal shows at the end of a run.

    Args:
        report: as `report.json`.
        root: the run folder, as it is to be shown.
        title: of the drawn window.
    """
    console = Console(
        record=True,
        file=io.StringIO(),
        width=WIDTH,
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        highlight=False,
        legacy_windows=False,
    )
    monitor = report["monitor"]
    teacher, seconds = report["teacher"]["metrics"]["validation"], report["cost"]["teacher_seconds"]
    console.print(teacher_line(StageDone("teacher", "teacher", teacher, seconds), monitor, report["max_drop"]))
    if report["rounds"]:
        console.print(rounds_table(report["rounds"], monitor, WIDTH))
    console.print(report_text(report, root), markup=False)
    return console.export_svg(title=title, unique_id="spiral", code_format=FORMAT)
