"""How the output of a translation model is read: losses by pieces, answers as texts, BLEU and chrF by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

from spiral_cli.data.pairs import PairRows
from spiral_cli.data.pipeline import Inputs
from spiral_cli.data.tokenizer import BEGIN, PAD
from spiral_cli.data.tokens import cut_lengths
from spiral_cli.extras import needed
from spiral_cli.tasks.decoding import beam_search
from spiral_cli.tasks.head import DistillationLoss, Forward
from spiral_cli.tasks.piece_head import PieceHead
from spiral_cli.tasks.sequences import at_every_place, crossentropy, mean_of_real

ROWS = 64  # translated side by side where a whole model runs for every piece


@dataclass(frozen=True)
class Translations:
    """What a model says: texts (n,), and as pieces (n, target) up to the end, filled up with 0."""

    texts: tuple[str, ...]
    pieces: np.ndarray


@dataclass(frozen=True)
class TranslationHead(PieceHead):
    """Reads logits (batch, target, vocabulary) of every next piece.

    Attributes:
        rows: of what sentences and translations are made.
    """

    rows: PairRows

    def task_loss(self, logits: tf.Tensor, y: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
        """Return the mean cross-entropy (batch,) over the pieces of each translation, its end among them.

        Args:
            logits: (batch, places, vocabulary), maybe cut.
            y: pieces (batch, target) int32, 0 for padding.
            smoothing: part of the probability that is spread over all pieces.
        """
        labels = y[:, : tf.shape(logits)[1]]
        return mean_of_real(crossentropy(logits, labels, smoothing), real(labels))

    def distillation_loss(
        self, loss: DistillationLoss, logits: tf.Tensor, taught: tf.Tensor, temperature: float, y: tf.Tensor
    ) -> tf.Tensor:
        """Return ``loss`` at every piece, its mean over a translation (word-level, Kim and Rush 2016)."""
        places = tf.shape(logits)[1]
        losses = at_every_place(loss, logits, taught[:, :places], temperature, True)
        return mean_of_real(losses, real(y[:, :places]))

    def say(self, forward: Forward, x: Inputs) -> Translations:
        """Translate stored rows, a whole forward pass for every piece; sentences of like length together."""
        source, most = self.rows.lengths
        stored = np.asarray(x)
        said = np.zeros((len(stored), most), np.int32)
        lengths = np.count_nonzero(stored[:, :source], axis=1)
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), ROWS):
            here = order[start : start + ROWS]

            def step(beginnings: np.ndarray, owners: np.ndarray, here: np.ndarray = here) -> np.ndarray:
                place = beginnings.shape[1]
                given = stored[here[owners]]
                given[:, source:] = PAD
                given[:, source : source + place] = beginnings
                cut = np.array([[lengths[here].max(), place]])
                logits = forward(given, cut_lengths(cut, np.array(self.rows.lengths))[0])[:, place - 1]
                return tf.nn.log_softmax(logits).numpy()

            said[here] = beam_search(step, len(here), BEGIN, most)
        return Translations(tuple(self.rows.text(row) for row in said), said)

    def measures(self, y: Sequence[str]) -> tuple[str, ...]:
        """Return the names of the metrics."""
        return ("bleu", "chrf")

    def metrics(
        self, said: Translations, y: Sequence[str], weight: np.ndarray, only: str | None = None
    ) -> dict[str, float]:
        """Return BLEU (Papineni et al. 2002) and chrF (Popović 2015), 0 to 100, of detokenised texts by sacrebleu.

        Args:
            said: translations.
            y: references (n,).
            weight: (n,) how often a sentence counts, a whole number.
            only: the name of the one that is asked for.
        """
        names = self.measures(y) if only is None else (only,)
        return {name: score(name, np.round(weight) @ counts(name, said.texts, tuple(y))) for name in names}


def real(labels: tf.Tensor) -> tf.Tensor:
    """Return 1 for pieces and 0 for padding, float32."""
    return tf.cast(tf.not_equal(labels, PAD), tf.float32)


@cache
def measure(name: str) -> Any:
    """Return sacrebleu's ``bleu`` or ``chrf``, as it is by default, without its doubts about texts that end in " ."."""
    library = needed("sacrebleu", "translation")
    return library.BLEU(force=True) if name == "bleu" else library.CHRF()


def score(name: str, sums: np.ndarray) -> float:
    """Return a measure, 0 to 100, of what `counts` gives added up over sentences."""
    return float(measure(name)._compute_score_from_stats(sums.astype(np.int64).tolist()).score)


@lru_cache(maxsize=8)
def counts(name: str, texts: tuple[str, ...], references: tuple[str, ...]) -> np.ndarray:
    """Return what a measure adds up over sentences, (n, numbers) float64: lengths, n-grams, and those that are right.

    A measure of drawn sentences is then that of their sum. It is what sacrebleu's own bootstrap works with, of which
    there is no public way for single draws.
    """
    return np.array(measure(name)._extract_corpus_statistics(list(texts), [list(references)]), np.float64)
