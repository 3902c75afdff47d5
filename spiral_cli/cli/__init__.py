"""The command line. Here, and in `spiral_cli.console`, text is written; everything below raises."""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """Run the command line in ``sys.argv`` and return its exit code.

    Signals are taken over before anything slow is imported, so that Ctrl-C is quiet at any time.
    """
    from spiral_cli.cli.stop import stop

    stop.install()
    # Looking for garbage, at start and at exit, and for pydantic's plugins is a third of the time of `spiral ls`.
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Before anything, for a plugin may import Keras before spiral does.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if "--verbose" not in sys.argv:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from spiral_cli.cli.entry import run

    code = run()
    gc.freeze()
    return code
