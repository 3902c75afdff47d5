"""How the output of a translation model is read: losses by pieces, answers as texts, BLEU and chrF by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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
ORDERS = 4  # of BLEU's n-grams


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
            only: ``bleu`` alone, which is quicker.
        """
        sums = np.round(weight @ bleu_counts(said.texts, tuple(y))).astype(np.int64).tolist()
        metric = needed("sacrebleu", "translation").BLEU
        bleu = metric.compute_bleu(sums[:ORDERS], sums[ORDERS : 2 * ORDERS], *sums[-2:], smooth_method="exp").score
        if only == "bleu":
            return {"bleu": float(bleu)}
        rows = np.repeat(np.arange(len(y)), np.round(weight).astype(np.int64)).tolist()
        chrf = needed("sacrebleu", "translation").CHRF()
        score = chrf.corpus_score([said.texts[row] for row in rows], [[y[row] for row in rows]]).score
        return {"bleu": float(bleu), "chrf": float(score)}


def real(labels: tf.Tensor) -> tf.Tensor:
    """Return 1 for pieces and 0 for padding, float32."""
    return tf.cast(tf.not_equal(labels, PAD), tf.float32)


@lru_cache(maxsize=8)
def bleu_counts(texts: tuple[str, ...], references: tuple[str, ...]) -> np.ndarray:
    """Return what BLEU adds up over sentences.

    Returns:
        (n, 10) float64: right n-grams of 1 to 4, n-grams of 1 to 4, words said, words of the reference.
    """
    bleu = needed("sacrebleu", "translation").BLEU(effective_order=True)
    scores = (bleu.sentence_score(text, [reference]) for text, reference in zip(texts, references, strict=True))
    return np.array([[*one.counts, *one.totals, one.sys_len, one.ref_len] for one in scores], np.float64)
