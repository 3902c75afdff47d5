"""What decides the bytes of a run beside its recipe and data."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from spiral_cli import __version__


def versions() -> dict[str, str]:
    """Return the versions of what decides the result."""
    found = {"python": platform.python_version(), "spiral": __version__}
    for package in ("tensorflow", "keras", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
