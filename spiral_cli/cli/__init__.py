"""The command line. Here, and in `spiral_cli.console`, text is written; everything below raises."""

from __future__ import annotations

import os


def main() -> int:
    """Run the command line in ``sys.argv`` and return its exit code.

    Signals are taken over before anything slow is imported, so that Ctrl-C is quiet at any time.
    """
    from spiral_cli.cli.stop import stop

    stop.install()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for them costs a tenth of `spiral ls`
    from spiral_cli.cli.entry import run

    return run()
