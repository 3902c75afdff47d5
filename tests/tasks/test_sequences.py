"""Losses of sequences: against sums over all paths, loops in NumPy, and blind to padding."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, logsumexp

from spiral_cli.data.frames import Frames
from spiral_cli.data.pairs import PairRows
from spiral_cli.distillation.losses.kl import kl
from spiral_cli.tasks.classification import Head
from spiral_cli.tasks.sequences import crossentropy, mean_of_real
from spiral_cli.tasks.transcription_head import NO_FRAME, TranscriptionHead, collapsed, ctc, errors, said_in
from spiral_cli.tasks.translation_head import TranslationHead

RNG = np.random.default_rng(0)
BANDS = {"sample_rate": 8000, "mels": 2, "window": 0.032, "hop": 0.016, "low": 20.0, "high": None}
FRAMES = Frames(input_shape=(8, 2), **BANDS, mean=(0.0, 0.0), std=(1.0, 1.0), vocabulary=5, tokenizer="")
PAIRS = PairRows((4, 4), 9, "", "source", "target")


@pytest.mark.parametrize("label", [[], [1], [2, 1], [1, 1], [1, 2, 1], [2, 2, 2]])
def test_ctc_is_the_sum_over_all_paths_that_spell_the_label(label):
    frames, classes = 5, 3
    logits = RNG.normal(size=(frames, classes)).astype(np.float32)
    log_p = log_softmax(logits.astype(np.float64), axis=-1)
    paths = [
        path for path in itertools.product(range(classes), repeat=frames) if collapsed(np.array(path)).tolist() == label
    ]
    wanted = -logsumexp([sum(log_p[t, s] for t, s in enumerate(path)) for path in paths])
    y = np.zeros((2, 4), np.int32)
    y[:, : len(label)] = label
    padded = np.concatenate([logits, np.zeros((2, classes), np.float32)])  # what stands behind the end is not heard
    found = ctc(tf.constant(np.stack([padded, padded])), tf.constant(y), tf.constant([frames, frames])).numpy()
    np.testing.assert_allclose(found, [wanted, wanted], rtol=1e-5)


def test_ctc_of_too_few_frames_is_nothing_and_has_no_gradient():
    logits = tf.constant(RNG.normal(size=(2, 2, 4)).astype(np.float32))
    y = tf.constant([[1, 1, 2], [3, 0, 0]])  # three frames and a blank at least; one frame
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = ctc(logits, y, tf.constant([2, 2]))
    gradient = tape.gradient(losses, logits).numpy()
    assert losses[0] == 0 and losses[1] > 0
    assert (gradient[0] == 0).all() and np.isfinite(gradient).all() and np.abs(gradient[1]).max() > 0


@pytest.mark.parametrize(
    ("best", "wanted"), [([0, 1, 1, 0, 1], [1, 1]), ([2, 2, 2], [2]), ([0, 0], []), ([3, 0, 3, 2], [3, 3, 2])]
)
def test_repetitions_are_one_and_blanks_none(best, wanted):
    assert collapsed(np.array(best)).tolist() == wanted


def logits_of(frames: list[int], most: int, classes: int) -> np.ndarray:
    made = RNG.normal(size=(len(frames), most, classes)).astype(np.float32)
    for row, count in zip(made, frames, strict=True):
        row[count:, 0], row[count:, 1:] = -NO_FRAME, NO_FRAME  # NO_FRAME is far below zero
    return made


def test_frames_of_padding_tell_themselves_and_count_nothing():
    frames, classes = [6, 4], 5
    logits, taught = logits_of(frames, 8, classes), logits_of(frames, 8, classes)
    np.testing.assert_array_equal(said_in(tf.constant(logits)), [[1] * 6 + [0] * 2, [1] * 4 + [0] * 4])
    head, y = TranscriptionHead(FRAMES), tf.constant([[1, 2, 0], [3, 0, 0]])
    for smoothing in (0.0, 0.2):
        whole = head.task_loss(tf.constant(logits), y, smoothing).numpy()
        short = [
            head.task_loss(tf.constant(logits[i : i + 1, :n]), y[i : i + 1], smoothing)[0] for i, n in enumerate(frames)
        ]
        np.testing.assert_allclose(whole, short, rtol=1e-5)
    whole = head.distillation_loss(kl, tf.constant(logits), tf.constant(taught), 2.0, y).numpy()
    for row, count in enumerate(frames):
        rows = np.array(kl(tf.constant(logits[row, :count]), tf.constant(taught[row, :count]), 2.0, True))
        blank = np.exp(log_softmax(taught[row, :count].astype(np.float64), axis=-1))[:, 0]
        wanted = 0.5 * rows.mean() + 0.5 * np.average(rows, weights=1.0 - blank)
        np.testing.assert_allclose(whole[row], wanted, rtol=1e-4)
    same = head.distillation_loss(kl, tf.constant(taught), tf.constant(taught), 2.0, y).numpy()
    np.testing.assert_allclose(same, 0.0, atol=1e-6)


def test_a_translation_is_judged_on_its_pieces_alone_and_cutting_changes_nothing():
    head = TranslationHead(PAIRS)
    y = np.array([[4, 3, 0, 0], [5, 6, 7, 3]], np.int32)
    logits, taught = (RNG.normal(size=(2, 4, 9)).astype(np.float32) for _ in range(2))
    log_p = log_softmax(logits.astype(np.float64), axis=-1)
    hard = [-np.mean([log_p[row, place, piece] for place, piece in enumerate(y[row]) if piece]) for row in range(2)]
    np.testing.assert_allclose(head.task_loss(tf.constant(logits), tf.constant(y)), hard, rtol=1e-5)
    soft = [0.9 * hard[row] - 0.1 * log_p[row, : np.count_nonzero(y[row])].mean() for row in range(2)]
    np.testing.assert_allclose(head.task_loss(tf.constant(logits), tf.constant(y), 0.1), soft, rtol=1e-5)
    cut = head.task_loss(tf.constant(logits[:1, :2]), tf.constant(y[:1]))
    np.testing.assert_allclose(cut, hard[:1], rtol=1e-5)
    learnt = head.distillation_loss(kl, tf.constant(logits), tf.constant(taught), 1.5, tf.constant(y)).numpy()
    for row in range(2):
        count = np.count_nonzero(y[row])
        rows = kl(tf.constant(logits[row, :count]), tf.constant(taught[row, :count]), 1.5, True)
        np.testing.assert_allclose(learnt[row], np.mean(rows), rtol=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_labels_are_the_cross_entropy_against_smoothed_probabilities(smoothing):
    logits, y = RNG.normal(size=(6, 4)).astype(np.float32), RNG.integers(0, 4, 6).astype(np.int32)
    target = np.eye(4)[y] * (1 - smoothing) + smoothing / 4
    wanted = -(target * log_softmax(logits.astype(np.float64), axis=-1)).sum(axis=-1)
    np.testing.assert_allclose(crossentropy(tf.constant(logits), tf.constant(y), smoothing), wanted, rtol=1e-5)
    head = Head(exclusive=True, probabilities=False)
    for labels in (y, np.eye(4, dtype=np.float32)[y]):
        np.testing.assert_allclose(
            head.task_loss(tf.constant(logits), tf.constant(labels), smoothing), wanted, rtol=1e-5
        )


def test_a_mean_of_nothing_is_nothing():
    np.testing.assert_array_equal(
        mean_of_real(tf.ones((2, 3)), tf.constant([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])), [1, 0]
    )


def test_error_rates_are_those_of_the_library_on_all_utterances_together():
    jiwer = pytest.importorskip("jiwer")
    references = ("one two three", "a b c d", "yes")
    texts = ("one too three four", "a c d", "")
    head = TranscriptionHead(FRAMES)
    from spiral_cli.tasks.transcription_head import Transcripts

    found = head.metrics(Transcripts(texts), references, np.ones(3))
    assert found["wer"] == pytest.approx(jiwer.wer(list(references), list(texts)))
    assert found["cer"] == pytest.approx(jiwer.cer(list(references), list(texts)))
    twice = head.metrics(Transcripts(texts), references, np.array([2.0, 0.0, 1.0]))
    drawn = [references[0], references[0], references[2]], [texts[0], texts[0], texts[2]]
    assert twice["wer"] == pytest.approx(jiwer.wer(*drawn)) and errors(texts, references).shape == (3, 4)


def test_bleu_and_chrf_are_those_of_the_library_on_all_sentences_together():
    sacrebleu = pytest.importorskip("sacrebleu")
    from spiral_cli.tasks.translation_head import Translations

    references = ("Ein Mann schläft auf einem Sofa.", "Zwei Hunde laufen durch den tiefen Schnee.", "Kinder spielen.")
    texts = ("Ein Mann schläft auf dem Sofa.", "Zwei Hunde rennen durch den tiefen Schnee.", "Die Kinder spielen Ball.")
    head = TranslationHead(PAIRS)
    said = Translations(texts, np.zeros((3, 1), np.int32))
    found = head.metrics(said, references, np.ones(3))
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(list(texts), [list(references)]).score)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(list(texts), [list(references)]).score)
    for draw in range(20):  # sentences drawn again and again, as a bootstrap does
        weight = np.random.default_rng(draw).multinomial(3, [1 / 3] * 3)
        rows = np.repeat(np.arange(3), weight)
        drawn = [texts[row] for row in rows], [[references[row] for row in rows]]
        for name, wanted in (("bleu", sacrebleu.corpus_bleu(*drawn)), ("chrf", sacrebleu.corpus_chrf(*drawn))):
            assert head.metrics(said, references, weight.astype(float), name) == {name: pytest.approx(wanted.score)}


def test_a_thousand_draws_of_chrf_read_no_text_again(monkeypatch):
    pytest.importorskip("sacrebleu")
    from spiral_cli.tasks import translation_head

    references = tuple(f"Satz {number} über den Park" for number in range(200))
    said = translation_head.Translations(references[1:] + references[:1], np.zeros((200, 1), np.int32))
    head, weight = TranslationHead(PAIRS), np.ones(200)
    first = head.metrics(said, references, weight, "chrf")
    monkeypatch.setattr(translation_head.measure("chrf"), "_compute_segment_statistics", None)
    for _ in range(1000):
        assert head.metrics(said, references, weight, "chrf") == first
