"""What a translation model says, and what it refuses to."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import yaml

from spiral_cli.compress import build_task
from spiral_cli.errors import DivergedError
from spiral_cli.evaluate import Evaluator
from spiral_cli.recipe import load_recipe

layers = keras.layers


def small_task(folder):
    for part, count in (("train", 12), ("val", 5)):
        (folder / f"{part}.a").write_text("".join(f"one {number % 3}\n" for number in range(count)))
        (folder / f"{part}.b").write_text("".join(f"eins {number % 3}\n" for number in range(count)))
    data = {"format": "parallel_text", "path": ".", "columns": {"source": "a", "target": "b"}}
    recipe = {"task": "translation", "data": {**data, "tokens": {"kind": "word"}}, "teacher": {"path": "none.keras"}}
    (folder / "spiral.yaml").write_text(yaml.safe_dump(recipe))
    return build_task(load_recipe(folder / "spiral.yaml"))


def small_model(vocabulary: int) -> keras.Model:
    source, target = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    read = layers.GlobalAveragePooling1D(keepdims=True)(layers.Embedding(vocabulary, 4)(source))
    x = layers.Add()([layers.Embedding(vocabulary, 4)(target), read])
    return keras.Model([source, target], layers.Dense(vocabulary)(x))


@pytest.mark.parametrize("worst", [np.nan, np.inf])
def test_a_diverged_model_translates_nothing(tmp_path, worst):
    task = small_task(tmp_path)
    keras.utils.set_random_seed(0)
    model = small_model(task.preprocessing.vocabulary)
    evaluator = Evaluator(task, model, task.head(model))
    part = task.dataset.test
    assert len(evaluator.said(part).texts) == len(part.y) == 5
    bias = model.layers[-1].bias
    bias.assign(np.where(np.arange(bias.shape[0]) == 2, worst, 0.0))
    with pytest.raises(DivergedError, match="gives NaN or infinity for 5 of 5 beginnings of translations"):
        evaluator.said(part)
