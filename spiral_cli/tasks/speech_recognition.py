"""Speech recognition: what is said in a recording, by CTC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spiral_cli import registry
from spiral_cli.data import Split
from spiral_cli.data.audio_files import read_audio, sounding
from spiral_cli.data.frames import Frames
from spiral_cli.data.pipeline import Inputs
from spiral_cli.data.sound import data_uri
from spiral_cli.data.speech import Utterances, load_speech, weights
from spiral_cli.data.tokens import padded
from spiral_cli.errors import UsageError
from spiral_cli.recipe.schema import Recipe
from spiral_cli.tasks.classification import refuse_other_precision
from spiral_cli.tasks.piece_head import differing
from spiral_cli.tasks.plain import PlainTask
from spiral_cli.tasks.transcription_head import TranscriptionHead, Transcripts, frames_for

USELESS = 0.95  # of all characters wrong


@registry.tasks.register(
    "speech_recognition",
    data="speech",
    metrics=("wer", "cer"),
    sequences=True,
    unused=("labels", "class_weights", "classes"),
)
class SpeechRecognition(PlainTask):
    """Write down what is said."""

    preprocessing: Frames
    preprocessing_type = Frames

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, load_speech(recipe.data, recipe.seed))

    @property
    def output_shape(self) -> tuple[int, int]:
        """(frames, vocabulary); a model gives fewer frames than it is given, how many is its own."""
        return self.preprocessing.input_shape[0] // 2 + 1, self.preprocessing.vocabulary

    def head(self, model: keras.Model, declared: str = "auto") -> TranscriptionHead:
        """Return how to read ``model``'s output.

        Raises:
            UsageError: it does not take these frames, or gives something else than pieces frame by frame.
        """
        refuse_other_precision(model)
        sample = np.zeros((2, *self.preprocessing.input_shape), np.float32)
        try:
            output = model(sample, training=False)
        except Exception as error:
            raise UsageError(
                f"model '{model.name}' cannot take frames of shape {sample.shape[1:]} "
                f"({str(error).strip().splitlines()[0]}); it needs (batch, frames, data.audio.mels)"
            ) from error
        width = self.preprocessing.vocabulary
        if not hasattr(output, "shape") or len(output.shape) != 3 or output.shape[-1] != width:
            raise UsageError(
                f"model '{model.name}' gives {getattr(output, 'shape', type(output).__name__)}; recognition of "
                f"{width - 1} pieces and the blank needs (batch, frames, {width})"
            )
        return TranscriptionHead(self.preprocessing, probabilities=declared == "probabilities")

    def unlearnable(self, model: keras.Model) -> list[str]:
        """Return how many training utterances have no alignment, for ``model`` gives too few frames."""
        sample = np.zeros((1, *self.preprocessing.input_shape), np.float32)
        stride = -(-sample.shape[1] // model(sample, training=False).shape[1])
        train, speeds = self._train, (1.0, *self.recipe.data.audio.speeds)
        given = -(-train.view_lengths.reshape(len(speeds), -1) // stride)
        counts = (frames_for(train.y) > given).sum(axis=1)
        if not counts.any():
            return []
        said = ", ".join(f"{count} at speed {speed:g}" for speed, count in zip(speeds, counts, strict=True) if count)
        return [
            f"of {len(train.y)} train utterances {said} have fewer frames than their transcripts take, of which the "
            f"model gives one for every {stride}, and teach nothing"
        ]

    def doubt(self, model: keras.Model, head: TranscriptionHead, metrics: Mapping[str, float]) -> str | None:
        """Return why a teacher that hardly gets a character right has nothing to teach, or None."""
        if metrics["cer"] < USELESS:
            return None
        return (
            f"a character error rate of {metrics['cer']:.3f} on validation; nothing can be learnt from it. More "
            "teacher.epochs may help, or where it is good elsewhere the data.audio and data.tokens it was trained with"
        )

    def taught(self, texts: Sequence[str]) -> SpeechRecognition:
        """Return the task with transcripts ``texts`` (n,) to learn in place of the train part's own."""
        other, train = copy(self), self.dataset.train
        y, counts = padded(self.preprocessing.pieces(texts), train.y.shape[1])
        other.dataset = replace(self.dataset, train=replace(train, y=y, weight=weights(counts)))
        return other

    def samples(self, split: Split, teacher: Transcripts, student: Transcripts, most: int) -> list[dict[str, Any]]:
        """Return the first ``most`` utterances that the two transcribe differently."""
        assert isinstance(split, Utterances)
        rate, truth = self.preprocessing.sample_rate, split.references or ()

        def sound(row: int) -> np.ndarray:
            return read_audio(Path(split.files[row]), rate, split.cuts[row]).samples

        return [
            {
                "shown": {"kind": "audio", "source": data_uri(sound(row), rate)},
                "truth": truth[row],
                "teacher": {"answer": teacher.texts[row], "confidence": None},
                "student": {"answer": student.texts[row], "confidence": None},
            }
            for row in differing(teacher, student, most)
        ]

    @property
    def views(self) -> int:
        """At how many speeds each training utterance is heard."""
        return 1 + len(self.recipe.data.audio.speeds)

    @property
    def train_inputs(self) -> Inputs:
        """Stored training rows (speeds · n, frames, mels), one speed after the other."""
        return self._train.views

    @property
    def train_lengths(self) -> np.ndarray:
        """Frames of these rows that are not padding (speeds · n, 1)."""
        return self._train.view_lengths

    @property
    def _train(self) -> Utterances:
        assert isinstance(self.dataset.train, Utterances)
        return self.dataset.train

    @classmethod
    def head_from(cls, preprocessing: Frames, facts: Mapping[str, Any]) -> TranscriptionHead:
        """Return the head whose `facts` these are."""
        return TranscriptionHead(preprocessing, **facts)

    @classmethod
    def rows_from(cls, preprocessing: Frames, inputs: Sequence[str]) -> np.ndarray:
        """Return the recordings in files as stored rows (n, frames, mels) float32; raises as `sounding`."""
        return preprocessing.rows(sounding(inputs, preprocessing.sample_rate))

    @classmethod
    def tell(cls, preprocessing: Frames, said: Transcripts) -> list[dict[str, Any]]:
        """Return the transcript of every recording."""
        return [{"answer": text, "confidence": None} for text in said.texts]
