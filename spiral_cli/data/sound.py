"""One recording as text that a page can hold."""

from __future__ import annotations

import base64
import io

import numpy as np

from spiral_cli.extras import needed

LONGEST = 2.0  # seconds; a page holds many


def data_uri(samples: np.ndarray, rate: int) -> str:
    """Return the start of samples (n,) from -1 to 1 as a ``data:`` address holding a WAVE file of 16 bits."""
    held = io.BytesIO()
    needed("soundfile", "audio").write(held, samples[: round(LONGEST * rate)], rate, "PCM_16", format="WAV")
    return "data:audio/wav;base64," + base64.b64encode(held.getvalue()).decode("ascii")
