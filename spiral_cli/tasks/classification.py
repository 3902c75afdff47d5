"""What every classification shares, whatever it looks at: outputs, losses and metrics."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import expit, softmax

from spiral_cli.data.pipeline import Inputs
from spiral_cli.errors import UsageError
from spiral_cli.tasks.head import DistillationLoss, Forward
from spiral_cli.tasks.once import Once
from spiral_cli.tasks.sequences import crossentropy

CHANCE_MARGIN = 0.1


@dataclass(frozen=True)
class Head:
    """How a model's output is read.

    Attributes:
        exclusive: classes exclude each other (softmax); otherwise each output is a label of its
            own (sigmoid), binary classification being one such label.
        probabilities: the model already ends in softmax or sigmoid.
    """

    exclusive: bool
    probabilities: bool

    @property
    def facts(self) -> dict[str, Any]:
        """Plain data that make it again."""
        return asdict(self)

    def logits(self, output: tf.Tensor) -> tf.Tensor:
        """Return float32 logits of shape (batch, outputs).

        A model that ends in softmax or sigmoid is read at its pre-activation, which Keras keeps
        on the tensor; where it does not, log-probabilities are logits up to a constant.
        """
        kept = getattr(output, "_keras_logits", None) if self.probabilities else output
        if kept is not None:
            return tf.cast(kept, tf.float32)
        p = tf.clip_by_value(tf.cast(output, tf.float32), 1e-7, 1.0)
        return tf.math.log(p) if self.exclusive else tf.math.log(p) - tf.math.log1p(-tf.minimum(p, 1.0 - 1e-7))

    def task_loss(self, logits: tf.Tensor, y: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
        """Cross-entropy against the labels.

        Args:
            logits: (batch, outputs).
            y: (batch,) class indices, or (batch, outputs) probabilities or 0/1 labels.
            smoothing: part of the probability that is spread over all classes alike (Szegedy et al. 2016).

        Returns:
            (batch,): categorical cross-entropy, or the mean over labels of binary ones.
        """
        if not self.exclusive:
            y = y * (1.0 - smoothing) + 0.5 * smoothing if smoothing else y
            return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(y, logits), axis=-1)
        if len(y.shape) == 1:
            return crossentropy(logits, y, smoothing)
        y = y * (1.0 - smoothing) + smoothing / y.shape[-1] if smoothing else y
        return tf.nn.softmax_cross_entropy_with_logits(y, logits)

    def distillation_loss(
        self, loss: DistillationLoss, logits: tf.Tensor, taught: tf.Tensor, temperature: float, y: tf.Tensor
    ) -> tf.Tensor:
        """Return ``loss`` (batch,) of logits (batch, outputs) against a teacher's."""
        return loss(logits, taught, temperature, self.exclusive)

    def say(self, forward: Forward, x: Inputs) -> Said:
        """Return what a model says of stored rows ``x``."""
        return Said(self, forward(x))

    def measures(self, y: np.ndarray) -> tuple[str, ...]:
        """Return the names of the metrics there are for labels ``y``."""
        several = not self.exclusive and y.shape[-1] > 1
        return ("accuracy", "balanced_accuracy", "f1", "loss", *(("exact_match",) if several else ()))

    def agreement(self, ours: Said, theirs: Said) -> float:
        """Return the fraction of decisions in which two models agree."""
        return float(np.mean(ours.decided == theirs.decided))

    def metrics(self, said: Said, y: np.ndarray, weight: np.ndarray, only: str | None = None) -> dict[str, float]:
        """Measure logits (n, outputs) against labels (n,) or (n, outputs) weighted by (n,).

        Returns:
            Fractions ``accuracy``, ``balanced_accuracy`` and ``f1`` (macro), and ``loss``, the
            cross-entropy. With several labels per example, accuracy is the mean over labels and
            ``exact_match`` counts examples with every label right. With ``only`` at least that one.
        """
        if only == "accuracy":
            right = (said.decided == truth(y, self)).reshape(len(y), -1).mean(axis=-1)
            return {only: float(np.average(right, weights=weight))}
        logits = said.logits
        measured = {}
        if only in (None, "loss"):
            measured = {"loss": float(np.average(said.losses(y), weights=weight))}
        if only == "loss":
            return measured
        if self.exclusive:
            return measured | class_metrics(truth(y, self), logits.argmax(axis=-1), weight)
        decided = (logits > 0).astype(np.int64)
        if y.shape[-1] == 1:
            return measured | class_metrics(y[:, 0].astype(np.int64), decided[:, 0], weight)
        return measured | label_metrics(y.astype(np.int64), decided, weight)


@dataclass(frozen=True)
class Said:
    """What a model says of a split: logits (n, outputs), and the head that reads them."""

    head: Head
    logits: np.ndarray
    _losses: Once[np.ndarray] = field(default_factory=Once, repr=False, compare=False)

    def losses(self, y: np.ndarray) -> np.ndarray:
        """Return the task loss (n,) against labels, as `Head.task_loss` reads them; once for the same labels."""
        return self._losses(y, lambda y: self.head.task_loss(tf.constant(self.logits), tf.constant(y)).numpy())

    @property
    def decided(self) -> np.ndarray:
        """Class indices (n,), or 0/1 of every label (n, labels)."""
        if self.head.exclusive:
            return self.logits.argmax(axis=-1)
        labels = (self.logits > 0).astype(np.int64)
        return labels[:, 0] if labels.shape[-1] == 1 else labels

    @property
    def probabilities(self) -> np.ndarray:
        """Of each class, or of each label, (n, outputs)."""
        logits = self.logits.astype(np.float64)
        return softmax(logits, axis=-1) if self.head.exclusive else expit(logits)

    @property
    def confidence(self) -> np.ndarray:
        """The probability (n,) it gives its decision; of several labels that of the least certain one."""
        chances = self.probabilities
        return chances.max(axis=-1) if self.head.exclusive else np.maximum(chances, 1.0 - chances).min(axis=-1)


def truth(labels: np.ndarray, head: Head) -> np.ndarray:
    """Return labels, as `Head.task_loss` reads them, in the form of `Said.decided`."""
    if labels.ndim == 1:
        return labels
    if head.exclusive:
        return labels.argmax(axis=-1)
    return labels[:, 0].astype(np.int64) if labels.shape[-1] == 1 else labels.astype(np.int64)


def class_metrics(truth: np.ndarray, decided: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """Return accuracy, balanced accuracy and macro F1 of class indices (n,) with weights (n,)."""
    from sklearn.metrics import f1_score

    right = truth == decided
    recalls = [np.average(right[truth == one], weights=weight[truth == one]) for one in present(truth, weight)]
    f1 = f1_score(truth, decided, sample_weight=weight, average="macro", zero_division=0.0)
    return {
        "accuracy": float(np.average(right, weights=weight)),
        "balanced_accuracy": float(np.mean(recalls)),
        "f1": float(f1),
    }


def label_metrics(truth: np.ndarray, decided: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """Return accuracy, exact match, balanced accuracy and macro F1 of 0/1 labels (n, labels)."""
    columns = [class_metrics(truth[:, k], decided[:, k], weight) for k in range(truth.shape[-1])]
    from sklearn.metrics import f1_score

    return {
        "accuracy": float(np.mean([column["accuracy"] for column in columns])),
        "balanced_accuracy": float(np.mean([column["balanced_accuracy"] for column in columns])),
        "exact_match": float(np.average((truth == decided).all(axis=-1), weights=weight)),
        "f1": float(f1_score(truth, decided, sample_weight=weight, average="macro", zero_division=0.0)),
    }


def present(truth: np.ndarray, weight: np.ndarray) -> list[int]:
    """Return the classes that carry any weight."""
    return [int(one) for one in np.unique(truth) if weight[truth == one].sum() > 0]


def near_chance(balanced_accuracy: float, classes: int) -> bool:
    """Say whether a model is hardly better than guessing: within a tenth of the way up from 1/classes."""
    chance = 1.0 / classes
    return balanced_accuracy < chance + CHANCE_MARGIN * (1.0 - chance)


def read_head(model: keras.Model, sample: np.ndarray, labels: str, classes: int, declared: str = "auto") -> Head:
    """Find out how to read ``model``: its outputs must fit the labels.

    Args:
        model: a Keras model with one output of shape (batch, outputs).
        sample: a few model inputs (n, …), scaled.
        labels: ``sparse``, ``one_hot``, ``binary`` or ``multi_label``.
        classes: number of classes of the data.
        declared: ``logits`` or ``probabilities`` where the recipe says so, or ``auto``.

    Raises:
        UsageError: several inputs or outputs, a wrong input shape, or as many outputs as do not fit.
    """
    refuse_other_precision(model)
    if len(getattr(model, "inputs", None) or ()) > 1:
        raise UsageError(f"model '{model.name}' has several inputs; spiral feeds one image: wrap it to take one")
    try:
        output = model(sample, training=False)
    except Exception as error:
        raise UsageError(
            f"model '{model.name}' cannot take the data's inputs of shape {sample.shape[1:]} "
            f"({str(error).strip().splitlines()[0]}); set data.image_size and data.channels to what it expects"
        ) from error
    if isinstance(output, dict | list | tuple) and len(output) == 1:
        raise UsageError(
            f"model '{model.name}' gives its one output inside a {type(output).__name__}; "
            "save keras.Model(model.inputs, model.outputs[0]) instead"
        )
    if not tf.is_tensor(output):
        raise UsageError(
            f"model '{model.name}' has several outputs; spiral compresses models with one: "
            "wrap the output to keep with keras.Model(model.inputs, output)"
        )
    if len(output.shape) != 2:
        raise UsageError(f"model '{model.name}' gives {tuple(output.shape)}; classification needs (batch, classes)")
    width = int(output.shape[-1])
    binary = labels == "binary" or (labels == "sparse" and classes == 2 and width == 1)
    expected = 1 if binary else classes
    if width != expected:
        raise UsageError(
            f"model '{model.name}' has {width} outputs, the data {classes} classes ({labels} labels), which needs "
            f"{expected}; check data.classes and data.labels, or use a model of that width"
        )
    exclusive = not binary and labels != "multi_label"
    if declared == "auto":
        return Head(exclusive, gives_probabilities(model, output, exclusive))
    refuse_wrong_output(model, output, declared)
    return Head(exclusive, declared == "probabilities")


def refuse_wrong_output(model: keras.Model, output: tf.Tensor, declared: str) -> None:
    """Check that ``teacher.output`` is not plainly wrong: a visible softmax, or values outside 0 to 1.

    Raises:
        UsageError: it is.
    """
    values = np.asarray(output)
    if declared == "logits" and hasattr(output, "_keras_logits"):
        raise UsageError(
            f"teacher.output is logits, but model '{model.name}' ends in softmax or sigmoid; "
            "leave the key out, or say probabilities"
        )
    if declared == "probabilities" and ((values < 0) | (values > 1)).any():
        raise UsageError(
            f"teacher.output is probabilities, but model '{model.name}' gives values from {values.min():.3g} to "
            f"{values.max():.3g}; leave the key out, or say logits"
        )


def refuse_other_precision(model: keras.Model) -> None:
    """Check that every layer computes in float32: steps of mixed precision start from such a model.

    Raises:
        UsageError: one does not.
    """
    for layer in model._flatten_layers():
        if layer.compute_dtype not in ("float32", None):
            raise UsageError(
                f"model '{model.name}' computes in {layer.compute_dtype} (layer '{layer.name}'); spiral takes models "
                "with float32 weights, whatever precision training computes in: build it again under "
                "keras.config.set_dtype_policy('float32') and load its weights there"
            )


def gives_probabilities(model: keras.Model, output: tf.Tensor, exclusive: bool) -> bool:
    """Tell logits from probabilities: by the last activation where it can be seen, else by the values.

    Args:
        model: the model.
        output: (n, outputs), what it gave for some examples.
        exclusive: rows of probabilities sum to one.
    """
    if hasattr(output, "_keras_logits"):
        return True
    layers = getattr(model, "layers", [])
    activation = getattr(layers[-1], "activation", None) if layers else None
    if activation is keras.activations.linear:
        return False
    values = np.asarray(output)
    bounded = bool((values >= 0).all() and (values <= 1).all())
    return bounded and (not exclusive or bool(np.allclose(values.sum(axis=-1), 1.0, atol=1e-3)))
