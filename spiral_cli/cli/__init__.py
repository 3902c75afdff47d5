"""The command line. Here, and in `spiral_cli.console`, text is written; everything below raises."""

from __future__ import annotations

from spiral_cli.cli.main import main
from spiral_cli.cli.verbs import app

__all__ = ["app", "main"]
