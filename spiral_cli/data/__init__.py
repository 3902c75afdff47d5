"""Datasets: one file a format in `formats`, one shared preparation, augmentation."""

from __future__ import annotations

from spiral_cli.data.load import load_dataset
from spiral_cli.data.preprocessing import Preprocessing
from spiral_cli.data.splits import Dataset, Split

__all__ = ["Dataset", "Preprocessing", "Split", "load_dataset"]
