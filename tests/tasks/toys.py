"""Small sets that a network learns in seconds, and small networks: texts, a toy language, spelled tones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

WORDS = {"good": ["fine film", "a great story", "very good fun"], "bad": ["poor plot", "a dull mess", "very bad show"]}
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six"]
RATE = 8000

MODELS = """
import keras
from spiral_cli.models.speech import halved, heard, spelled
from spiral_cli.models.texts import earlier, positions

layers = keras.layers


def recogniser(input_shape, outputs):
    frames = keras.Input((None, input_shape[1]))
    x, real = halved(frames, heard(frames), 32, "conv")
    mask = keras.ops.squeeze(keras.ops.greater(real, 0.5), -1)
    x = layers.Bidirectional(layers.GRU(24, return_sequences=True), name="heard")(x, mask=mask)
    return keras.Model(frames, spelled(x, real, outputs))


def translator(lengths, vocabulary):
    source, target = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    embedding = layers.Embedding(vocabulary, 32)
    real = keras.ops.expand_dims(keras.ops.not_equal(source, 0), 1)
    x = layers.Add()([embedding(source), layers.Embedding(lengths[0], 32)(positions(source))])
    x = layers.Add()([x, layers.MultiHeadAttention(2, 16)(x, x, attention_mask=real)])
    memory = layers.LayerNormalization(name="memory")(layers.Add()([x, layers.Dense(32, activation="relu")(x)]))
    y = layers.Add()([embedding(target), layers.Embedding(lengths[1], 32)(positions(target))])
    y = layers.Add()([y, layers.MultiHeadAttention(2, 16)(y, y, attention_mask=earlier(target))])
    y = layers.Add()([y, layers.MultiHeadAttention(2, 16)(y, memory, attention_mask=real)])
    y = layers.LayerNormalization(name="decoded")(layers.Add()([y, layers.Dense(32, activation="relu")(y)]))
    return keras.Model([source, target], layers.Dense(vocabulary)(y))
"""


def texts(folder: Path) -> None:
    """Write train.tsv and test.tsv of short reviews."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 240), ("test", 60)):
        labels = rng.choice(list(WORDS), count)
        lines = [f"{label}\t{rng.choice(WORDS[label])} number {rng.integers(9)}\n" for label in labels]
        (folder / f"{part}.tsv").write_text("label\ttext\n" + "".join(lines))


def pairs(folder: Path) -> None:
    """Write train and val of a language that says numbers in words."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 600), ("val", 40)):
        digits = [rng.integers(0, 7, rng.integers(2, 5)) for _ in range(count)]
        (folder / f"{part}.a").write_text("".join(" ".join(map(str, one)) + "\n" for one in digits))
        (folder / f"{part}.b").write_text("".join(" ".join(NUMBERS[digit] for digit in one) + "\n" for one in digits))


def utterances(folder: Path) -> None:
    """Write train.jsonl and valid.jsonl of tones, each a letter."""
    import soundfile

    rng = np.random.default_rng(0)
    for part, count in (("train", 120), ("valid", 24)):
        lines = []
        for number in range(count):
            letters = rng.choice(list("abc"), rng.integers(1, 4))
            tones = [sound for letter in letters for sound in (tone(300.0 * (ord(letter) - 95)), np.zeros(400))]
            name = f"{part}-{number}.wav"
            soundfile.write(folder / name, np.concatenate(tones) + rng.normal(0, 0.002, sum(map(len, tones))), RATE)
            lines.append(json.dumps({"audio_filepath": name, "text": "".join(letters)}) + "\n")
        (folder / f"{part}.jsonl").write_text("".join(lines))


def tone(hertz: float) -> np.ndarray:
    """Return a tenth of a second."""
    return 0.4 * np.sin(2 * np.pi * hertz * np.arange(800) / RATE)


def found_in(data: Any) -> tuple[str, ...]:
    """Return a set's notes, but for its repeats: what few words make is drawn for several parts."""
    return tuple(note for note in data.notes if "are in train, too" not in note)
