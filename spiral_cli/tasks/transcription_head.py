"""How the output of a recogniser is read: CTC, transcripts, word and character error rates by jiwer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import tensorflow as tf

from spiral_cli.data.frames import Frames
from spiral_cli.data.pipeline import Inputs
from spiral_cli.data.tokenizer import PAD
from spiral_cli.extras import needed
from spiral_cli.tasks.head import DistillationLoss, Forward
from spiral_cli.tasks.piece_head import PieceHead
from spiral_cli.tasks.sequences import at_every_place, mean_of_real

BLANK = PAD  # what is said where nothing new is: no transcript holds padding
SPIKES = 0.5  # part of the distillation loss that is of frames where the teacher says something
NO_FRAME = -1e4  # the logit of everything but the blank in frames of padding


@dataclass(frozen=True)
class Transcripts:
    """What a model says (n,)."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class TranscriptionHead(PieceHead):
    """Reads logits (batch, frames, vocabulary) of connectionist temporal classification (CTC, Graves et al. 2006).

    A model gives fewer frames than it is given: one for every ``stride``. Behind the end of an utterance it
    must say blank, by logits of `NO_FRAME` for all else, so that frames of padding tell themselves.

    Attributes:
        frames: how utterances are given and transcripts are written.
    """

    frames: Frames

    def task_loss(self, logits: tf.Tensor, y: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
        """Return -log p(transcript) a piece (batch,), the sum over all alignments (CTC).

        Args:
            logits: (batch, frames, vocabulary).
            y: pieces (batch, longest) int32, filled up with 0.
            smoothing: part of the loss that draws every frame towards all pieces alike (Kim et al. 2018).
        """
        here = said_in(logits)
        frames = tf.cast(tf.reduce_sum(here, axis=1), tf.int32)
        counts = tf.math.count_nonzero(y, axis=1, dtype=tf.float32)
        losses = ctc(logits, y, frames) / tf.maximum(counts, 1.0)
        if not smoothing:
            return losses
        even = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)
        return (1.0 - smoothing) * losses + smoothing * mean_of_real(even, here)

    def distillation_loss(
        self, loss: DistillationLoss, logits: tf.Tensor, taught: tf.Tensor, temperature: float, y: tf.Tensor
    ) -> tf.Tensor:
        """Return ``loss`` of every frame, half of it over the frames where the teacher says something.

        A CTC model says a piece in a spike of a frame or two and blank elsewhere. Frame by frame a student
        learns to spike where its teacher does (Kurata and Audhkhasi 2019), which a plain mean drowns in blanks.
        """
        taught = taught[:, : tf.shape(logits)[1]]
        losses, here = at_every_place(loss, logits, taught, temperature, True), said_in(taught)
        spikes = here * (1.0 - tf.nn.softmax(taught)[..., BLANK])
        weighted = tf.reduce_sum(losses * spikes, axis=1) / tf.maximum(tf.reduce_sum(spikes, axis=1), 1e-6)
        return (1.0 - SPIKES) * mean_of_real(losses, here) + SPIKES * weighted

    def say(self, forward: Forward, x: Inputs) -> Transcripts:
        """Return the likeliest alignment's transcript of every row."""
        best = forward(x).argmax(axis=-1)
        return Transcripts(tuple(self.frames.text(collapsed(row)) for row in best))

    def measures(self, y: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the metrics."""
        return ("wer", "cer")

    def metrics(
        self, said: Transcripts, y: Sequence[str], weight: np.ndarray, only: str | None = None
    ) -> dict[str, float]:
        """Return word and character error rates: edits by words, or characters, of the references (n,)."""
        counted = weight @ errors(said.texts, tuple(y))
        return {"wer": float(counted[0] / counted[1]), "cer": float(counted[2] / counted[3])}


def said_in(logits: tf.Tensor) -> tf.Tensor:
    """Return 1 for frames of an utterance and 0 for those of padding, (batch, frames) float32."""
    others = tf.reduce_max(tf.concat([logits[..., :BLANK], logits[..., BLANK + 1 :]], axis=-1), axis=-1)
    return tf.cast(others - logits[..., BLANK] > NO_FRAME / 2, tf.float32)


def ctc(logits: tf.Tensor, y: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
    """Return the CTC loss (batch,); an utterance with too few frames for its transcript gives 0.

    TensorFlow's own kernel wants labels without padding, and at least one of each; it has none for a TPU, where
    the sums are a graph's.
    """
    if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        counts = tf.math.count_nonzero(y, axis=1, dtype=tf.int32)
        losses = tf.nn.ctc_loss(y, logits, counts, frames, logits_time_major=False, blank_index=BLANK)
        return tf.where(losses < 1e6, losses, 0.0)
    blank_last = tf.roll(logits, -1 - BLANK, axis=-1)
    silent = tf.equal(y[:, :1], PAD)
    labels = tf.sparse.from_dense(tf.concat([tf.where(silent, 1, y[:, :1]), y[:, 1:]], axis=1))
    shifted = tf.SparseTensor(labels.indices, labels.values - 1, labels.dense_shape)
    losses = tf.compat.v1.nn.ctc_loss(
        shifted, blank_last, frames, time_major=False, ignore_longer_outputs_than_inputs=True
    )
    blanks = -tf.nn.log_softmax(logits)[..., BLANK] * tf.sequence_mask(frames, tf.shape(logits)[1], tf.float32)
    losses = tf.where(silent[:, 0], tf.reduce_sum(blanks, axis=1), losses)  # of nothing said there is one alignment
    return tf.where(tf.math.is_finite(losses), losses, 0.0)


def frames_for(y: np.ndarray) -> np.ndarray:
    """Return how many frames (n,) pieces (n, longest) take: one each, and a blank between two that are alike."""
    again = (y[:, 1:] == y[:, :-1]) & (y[:, 1:] != PAD)
    return np.count_nonzero(y, axis=1) + np.count_nonzero(again, axis=1)


def collapsed(best: np.ndarray) -> np.ndarray:
    """Return the pieces of an alignment (frames,): repetitions are one, blanks none."""
    first = np.concatenate([[True], best[1:] != best[:-1]])
    return best[first & (best != BLANK)]


@lru_cache(maxsize=8)
def errors(texts: tuple[str, ...], references: tuple[str, ...]) -> np.ndarray:
    """Return word edits, words, character edits and characters of each utterance, (n, 4) float64."""
    jiwer = needed("jiwer", "asr")
    rows = []
    for text, reference in zip(texts, references, strict=True):
        row: list[int] = []
        for found in (jiwer.process_words(reference, text), jiwer.process_characters(reference, text)):
            edits = found.substitutions + found.deletions + found.insertions
            row += [edits, found.hits + found.substitutions + found.deletions]
        rows.append(row)
    return np.array(rows, np.float64)
