"""Packages that only some tasks need: imported when they are used, with the command that installs them."""

from __future__ import annotations

import importlib
from typing import Any

from spiral_cli.errors import MissingError


def needed(module: str, extra: str) -> Any:
    """Import a module that an extra of spiral installs.

    Raises:
        MissingError: it is not installed; the message is the command.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingError(
            f"the package '{module}' is not installed ({error}); run: pip install 'spiral-cli[{extra}]'"
        ) from error
