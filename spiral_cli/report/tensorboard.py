"""TensorBoard scalars: a curve per stage, and a curve of the rounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from spiral_cli.events import EpochDone, Event, RoundDone

# What TensorBoard looks for in a tag's metadata. Writing it by hand needs no TensorBoard installed.
SCALARS = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
    data_class=1,  # DATA_CLASS_SCALAR
)


class TensorBoard:
    """A listener that writes event files below ``root``: one folder a stage, and ``rounds``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def __call__(self, event: Event) -> None:
        """Write what ``event`` measured; steps are epochs, or rounds."""
        match event:
            case EpochDone():
                measured = {f"validation_{name}": value for name, value in event.metrics.items()}
                self._write(event.title, {**event.losses, **measured}, event.epoch)
            case RoundDone(reused=False):
                row = event.row
                measured = {f"validation_{name}": value for name, value in row["metrics"]["validation"].items()}
                facts = {name: row[name] for name in ("sparsity", "density", "nonzero", "drop", "accepted", "seconds")}
                self._write("rounds", {**facts, **measured}, row["round"])

    def _write(self, name: str, scalars: Mapping[str, float], step: int) -> None:
        folder = re.sub(r"\W+", "-", name)
        if folder not in self._writers:
            self._writers[folder] = tf.summary.create_file_writer(str(self.root / folder))
        writer = self._writers[folder]
        with writer.as_default():
            for tag, value in scalars.items():
                tf.summary.write(tag, tf.constant(float(value), tf.float32), step=step, metadata=SCALARS)
        writer.flush()
