"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine pauses any example for longer than a deadline of milliseconds allows.
settings.register_profile("spiral", deadline=None)
settings.load_profile("spiral")
