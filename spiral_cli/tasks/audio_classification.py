"""Audio classification, such as keyword spotting: one class a recording, from log-mel spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli import registry
from spiral_cli.data import Split
from spiral_cli.data.audio import Clips, load_audio
from spiral_cli.data.audio_files import read_audio, sounding
from spiral_cli.data.log_mel import samples
from spiral_cli.data.sound import data_uri
from spiral_cli.data.spectrogram import LogMel
from spiral_cli.recipe.schema import Recipe
from spiral_cli.tasks.classifier import Classifier


@registry.tasks.register(
    "audio_classification",
    data="audio",
    loss="crossentropy",
    metrics=("accuracy", "balanced_accuracy", "f1", "loss", "exact_match"),
)
class AudioClassification(Classifier):
    """Say which class, or which labels, a recording has."""

    preprocessing: LogMel
    preprocessing_type = LogMel

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, load_audio(recipe.data, recipe.seed))

    @property
    def model_arguments(self) -> tuple[Any, ...]:
        """Shape of a model's input, (frames, mels, 1), and number of outputs."""
        return (*self.preprocessing.input_shape, 1), self.output_shape[0]

    def shown(self, split: Split, rows: np.ndarray) -> list[dict[str, Any]]:
        """Return the recordings as ``data:`` addresses, as long as a model hears them."""
        assert isinstance(split, Clips)
        rate, most = self.preprocessing.sample_rate, samples(self.preprocessing.seconds, self.preprocessing)
        heard = (read_audio(Path(split.files[row]), rate, split.cuts[row]).samples[:most] for row in rows.tolist())
        return [{"kind": "audio", "source": data_uri(one, rate)} for one in heard]

    @classmethod
    def rows_from(cls, preprocessing: LogMel, inputs: Sequence[str]) -> np.ndarray:
        """Return the recordings in files as stored rows (n, frames, mels) float32; raises as `sounding`."""
        return preprocessing.rows(sounding(inputs, preprocessing.sample_rate))
