"""Translation: a sentence in another language, piece by piece, by an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from spiral_cli import registry
from spiral_cli.data import Split
from spiral_cli.data.pairs import PairRows
from spiral_cli.data.parallel import load_pairs, retold
from spiral_cli.data.pipeline import Inputs
from spiral_cli.data.tokenizer import BEGIN
from spiral_cli.data.tokens import refuse_empty
from spiral_cli.errors import UsageError
from spiral_cli.models.encoder_decoder import take_apart
from spiral_cli.recipe.schema import Recipe
from spiral_cli.tasks.classification import refuse_other_precision
from spiral_cli.tasks.decoding import beam_search
from spiral_cli.tasks.finite import refuse_broken
from spiral_cli.tasks.piece_head import differing
from spiral_cli.tasks.plain import PlainTask
from spiral_cli.tasks.translation_head import TranslationHead, Translations

BATCH = 64
Speaker = Callable[[Inputs], Translations]
LEAST_BLEU = 0.1  # of a teacher


@registry.tasks.register(
    "translation",
    data="pairs",
    loss="crossentropy",
    metrics=("bleu", "chrf"),
    sequences=True,
    unused=("labels", "class_weights", "classes"),
    lower=False,
)
class Translation(PlainTask):
    """Say in one language what a sentence says in another."""

    preprocessing: PairRows
    preprocessing_type = PairRows

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe, load_pairs(recipe.data, recipe.seed))

    @property
    def output_shape(self) -> tuple[int, int]:
        """(target, vocabulary)."""
        return self.preprocessing.lengths[1], self.preprocessing.vocabulary

    @property
    def model_arguments(self) -> tuple[Any, ...]:
        """(source, target), the longest rows, and the number of different pieces."""
        return self.preprocessing.lengths, self.preprocessing.vocabulary

    def head(self, model: keras.Model, declared: str = "auto") -> TranslationHead:
        """Return how to read ``model``'s output.

        Raises:
            UsageError: it is no encoder and decoder of these pieces.
        """
        refuse_other_precision(model)
        take_apart(model)
        width = model.outputs[0].shape[-1]
        if len(model.outputs[0].shape) != 3 or width != self.preprocessing.vocabulary:
            raise UsageError(
                f"model '{model.name}' gives {tuple(model.outputs[0].shape)}; translation into "
                f"{self.preprocessing.vocabulary} pieces needs (batch, target, {self.preprocessing.vocabulary})"
            )
        return TranslationHead(self.preprocessing, probabilities=declared == "probabilities")

    def doubt(self, model: keras.Model, head: TranslationHead, metrics: Mapping[str, float]) -> str | None:
        """Return why a teacher that hardly gets a word right has nothing to teach, or None."""
        if metrics["bleu"] >= LEAST_BLEU:
            return None
        return (
            f"BLEU {metrics['bleu']:.2f} on validation; nothing can be learnt from it. More teacher.epochs may help, "
            "or where it is good elsewhere the vocabulary it was trained with (data.tokens)"
        )

    def speaker(self, model: keras.Model, head: TranslationHead, beams: int = 1) -> Speaker | None:
        """Return what translates stored rows by ``model``: every sentence is read once, then said piece by piece.

        It raises DivergedError where the model gives NaN or infinity.
        """
        halves, source = take_apart(model), head.rows.lengths[0]
        if halves is None:
            return None
        pieces = tf.TensorSpec((None, None), tf.int32)
        held = [tf.TensorSpec(one.shape, one.dtype) for one in halves.memory]

        @tf.function(input_signature=[pieces])
        def encode(rows: tf.Tensor) -> list[tf.Tensor]:
            return halves.encode(rows)

        @tf.function(input_signature=[held, tf.TensorSpec((None,), tf.int64), pieces])
        def following(memory: Sequence[tf.Tensor], owners: tf.Tensor, said: tf.Tensor) -> tf.Tensor:
            here = [tf.gather(one, owners) for one in memory]
            return tf.nn.log_softmax(head.logits(halves.decode(here, said)))

        def speak(x: Inputs) -> Translations:
            rows = np.asarray(x)[:, :source]
            lengths = np.count_nonzero(rows, axis=1)
            said = np.zeros((len(rows), head.rows.lengths[1]), np.int32)
            order = np.argsort(lengths, kind="stable")
            for start in range(0, len(order), BATCH):
                here = order[start : start + BATCH]
                memory = encode(tf.constant(rows[here, : lengths[here].max()]))

                def step(beginnings: np.ndarray, owners: np.ndarray, memory=memory) -> np.ndarray:
                    told = following(memory, tf.constant(owners), tf.constant(beginnings)).numpy()
                    refuse_broken(model.name, told, "beginnings of translations")
                    return told

                said[here] = beam_search(step, len(here), BEGIN, said.shape[1], beams)
            return Translations(tuple(head.rows.text(row) for row in said), said)

        return speak

    def taught(self, texts: Sequence[str]) -> Translation:
        """Return the task with translations ``texts`` (n,) to learn in place of the train part's own."""
        other, train = copy(self), self.dataset.train
        other.dataset = replace(self.dataset, train=retold(self.preprocessing, train, texts))
        return other

    def samples(self, split: Split, teacher: Translations, student: Translations, most: int) -> list[dict[str, Any]]:
        """Return the first ``most`` sentences that the two translate differently."""
        references, rows = self.truth(split, TranslationHead(self.preprocessing)), np.asarray(split.x)
        return [
            {
                "shown": {"kind": "text", "source": self.preprocessing.sentence(rows[row])},
                "truth": references[row],
                "teacher": {"answer": teacher.texts[row], "confidence": None},
                "student": {"answer": student.texts[row], "confidence": None},
            }
            for row in differing(teacher, student, most)
        ]

    @classmethod
    def head_from(cls, preprocessing: PairRows, facts: Mapping[str, Any]) -> TranslationHead:
        """Return the head whose `facts` these are."""
        return TranslationHead(preprocessing, **facts)

    @classmethod
    def rows_from(cls, preprocessing: PairRows, inputs: Sequence[str]) -> np.ndarray:
        """Return sentences as rows of which nothing is translated yet; raises as `refuse_empty`."""
        pieces = preprocessing.pieces(inputs)
        refuse_empty(map(len, pieces))
        return preprocessing.rows_of(pieces, [()] * len(pieces))

    @classmethod
    def tell(cls, preprocessing: PairRows, said: Translations) -> list[dict[str, Any]]:
        """Return the translation of every sentence."""
        return [{"answer": text, "confidence": None} for text in said.texts]
