"""What `spiral sensitivity` refuses before anything is loaded. No TensorFlow."""

from __future__ import annotations

from pathlib import Path

from spiral_cli.errors import UsageError


def refuse_existing(path: Path) -> None:
    """Keep a person's file from being overwritten.

    Raises:
        UsageError: something lies there already.
    """
    if path.exists():
        raise UsageError(f"--write {path} exists and is not overwritten; give another path")
