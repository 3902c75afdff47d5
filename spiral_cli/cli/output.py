"""Where results, human text and errors go, and how an error looks."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True)
class Output:
    """The two streams of one command.

    Attributes:
        json: the machine result alone goes to stdout, human text to stderr.
        verbose: say more.
    """

    json: bool = False
    verbose: bool = False

    @property
    def human(self) -> TextIO:
        """The stream of human text."""
        return sys.stderr if self.json else sys.stdout

    @property
    def width(self) -> int:
        """Columns of the human's terminal; 80 where there is none."""
        return shutil.get_terminal_size((80, 24)).columns if self.human.isatty() else 80

    def say(self, text: str) -> None:
        """Write human text."""
        print(text, file=self.human, flush=True)

    def result(self, value: Any) -> None:
        """Write the machine result where it is asked for."""
        if self.json:
            print(json.dumps(value, indent=2), flush=True)

    def complain(self, message: str) -> None:
        """Write one error block to stderr; it is red only on a terminal that has colours."""
        label = "\033[1;31merror:\033[0m" if coloured(sys.stderr) else "error:"
        first, *rest = message.split("\n")
        print("\n".join([f"{label} {first}", *(f"  {line}" for line in rest)]), file=sys.stderr, flush=True)


def coloured(stream: TextIO) -> bool:
    """Say whether ``stream`` shows colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
