"""A person's own function, named in a recipe as `package.module:function`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from spiral_cli.errors import UsageError


def resolve(reference: str, key: str) -> Callable[..., Any]:
    """Import ``package.module:function`` and return the function; ``key`` names the recipe's key.

    Raises:
        UsageError: the module or the function is not there, or the name is not callable.
    """
    module_name, _, name = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UsageError(
            f"{key}: module '{module_name}' cannot be imported ({type(error).__name__}: {error}); "
            "it must be a module on the Python path or beside the recipe"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"{key}: '{module_name}' has no function '{name}'; write package.module:function")
    return function
