"""How channels pass through each kind of layer, one family of layers a file; all are found here."""

from __future__ import annotations

import importlib
import pkgutil


def load_rules() -> None:
    """Import every file of this folder, so that its rules are registered."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
