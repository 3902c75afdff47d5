"""``python -m spiral_cli``."""

from __future__ import annotations

import sys

from spiral_cli.cli import main

sys.exit(main())
