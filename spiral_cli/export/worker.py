"""The other process of `spiral_cli.export.apart`: a JSON request a line in, an answer a line out."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from spiral_cli.registry import load_plugins

LONGEST = 400  # characters of a reason; LiteRT's converter tells pages


def main() -> None:
    """Serve requests until there are no more. What anything prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    load_plugins(json.loads(sys.argv[1]), Path(sys.argv[2]))
    for line in sys.stdin:
        print(json.dumps({"error": attempt(json.loads(line))}), file=answers, flush=True)


def attempt(request: dict[str, Any]) -> str | None:
    """Do what is asked; return the reason why it failed, or None."""
    try:
        serve(**request)
    except Exception as error:  # whatever converters and runtimes raise
        return reason(error)
    return None


def serve(function: str, model: str, path: str, example: str, options: dict[str, Any]) -> None:
    """Call ``function`` on the model, and run the file it wrote on ``example``."""
    import numpy as np

    from spiral_cli.export.serving import Serving
    from spiral_cli.models.load import load_model
    from spiral_cli.runtimes.session import open_model

    module, _, name = function.partition(":")
    inputs = tuple(np.load(example).values())
    getattr(importlib.import_module(module), name)(Serving(load_model(model), inputs), Path(path), **options)
    open_model(Path(path), 1).run(inputs)


def reason(error: Exception) -> str:
    """Return in one line what went wrong: the first error that a converter's or a traceback's pages name."""
    text = str(error).strip()
    named = re.search(r"error: (.+)", text) or re.search(r"^\s*\w+Error: (.+)", text, re.MULTILINE)
    return (named[1] if named else text.partition("\n")[0] or type(error).__name__)[:LONGEST]


if __name__ == "__main__":
    main()
