"""The command line. Here, and in `spiral_cli.console`, text is written; everything below raises."""

from __future__ import annotations

import gc
import os
import sys
import types


def main() -> int:
    """Run the command line in ``sys.argv`` and return its exit code.

    Signals are taken over before anything slow is imported, so that Ctrl-C is quiet at any time.
    """
    from spiral_cli.cli.stop import stop

    stop.install()
    # Looking for garbage, at start and at exit, and for pydantic's plugins is a third of the time of `spiral ls`.
    gc.disable()
    without_pydantic_plugins()
    # Before anything, for a plugin may import Keras before spiral does.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if "--verbose" not in sys.argv:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from spiral_cli.cli.entry import run

    code = run()
    gc.freeze()
    return code


def without_pydantic_plugins() -> None:
    """Keep pydantic from looking for plugins among all installed packages.

    Where they are disabled it still imports what looks for them, with e-mail, zip and socket behind
    it; a stand-in saves that.
    """
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    stand_in = types.ModuleType("pydantic.plugin._loader")
    vars(stand_in)["get_plugins"] = lambda: ()
    sys.modules.setdefault(stand_in.__name__, stand_in)
