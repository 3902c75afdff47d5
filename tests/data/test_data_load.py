"""The preparation all formats share: parts, number types, scales, shapes, weights, builders."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from spiral_cli.data import load_dataset
from spiral_cli.data.images import convert_channels, resize, standard_images
from spiral_cli.data.pixels import Pixels
from spiral_cli.data.preprocessing import few, from_json, to_json
from spiral_cli.data.raw import Arrays
from spiral_cli.data.splits import complete
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.recipe.data import Data
from spiral_cli.tasks.classification import Head

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 6, 5), dtype=np.uint8)
LABELS = np.arange(40) % 4


@pytest.fixture
def load(tmp_path):
    """Load the given arrays through an npz file."""

    def through_file(arrays=None, seed=0, **keys):
        np.savez(tmp_path / "set.npz", **(arrays or {"x": IMAGES, "y": LABELS}))
        return load_dataset(Data(format="npz", path=str(tmp_path / "set.npz"), **keys), seed)

    return through_file


def shipped(*parts: str) -> dict[str, Arrays]:
    return {part: Arrays(IMAGES[..., None] + np.uint8(index), LABELS) for index, part in enumerate(parts)}


def test_what_a_set_ships_is_kept():
    parts = complete(shipped("train", "validation", "test"), 0.1, 0)
    assert [len(parts[part].x) for part in ("train", "validation", "test")] == [40, 40, 40]


def test_validation_is_carved_from_train():
    parts = complete(shipped("train", "test"), 0.2, 0)
    assert [len(parts[part].x) for part in ("train", "validation", "test")] == [32, 8, 40]


def test_a_validation_part_without_a_test_part_becomes_the_test():
    parts = complete(shipped("train", "validation"), 0.2, 0)
    assert [len(parts[part].x) for part in ("train", "validation", "test")] == [32, 8, 40]
    np.testing.assert_array_equal(parts["test"].x, IMAGES[..., None] + np.uint8(1))


def test_with_neither_the_test_is_a_fifth_and_nothing_is_shared():
    x = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
    parts = complete({"train": Arrays(x, LABELS)}, 0.25, 0)
    members = {part: set(parts[part].x.ravel().tolist()) for part in ("train", "validation", "test")}
    assert {part: len(own) for part, own in members.items()} == {"train": 24, "validation": 8, "test": 8}
    assert set.union(*members.values()) == set(range(40))


def test_a_set_without_train_is_refused():
    with pytest.raises(MissingError, match="no train part, only test"):
        complete(shipped("test"), 0.1, 0)


def test_digits_are_loaded_alike_every_time():
    first, second = (load_dataset(Data(format="digits"), 3) for _ in range(2))
    assert first.fingerprint() == second.fingerprint() != load_dataset(Data(format="digits"), 4).fingerprint()
    assert [len(part.x) for part in (first.train, first.validation, first.test)] == [1294, 144, 359]
    assert first.labels == "sparse" and first.train.x.shape[1:] == (8, 8, 1)
    assert first.preprocessing == Pixels((8, 8, 1), tuple("0123456789"), "0-1", 1 / 255, 0.0)


def test_the_fingerprint_sees_one_value_type_and_shape(load):
    dataset = load()
    y = dataset.train.y.copy()
    y[0] = 1 - y[0]
    train = dataset.train
    for other in (
        replace(train, y=y),
        replace(train, y=train.y.astype(np.int32)),
        replace(train, x=train.x.reshape(train.x.shape[0], 5, 6, 1)),
        replace(train, weight=train.weight * 2),
    ):
        assert replace(dataset, train=other).fingerprint() != dataset.fingerprint()


@pytest.mark.parametrize(("scale", "low", "high"), [("0-255", 0, 255), ("0-1", 0, 1), ("-1-1", -1, 1)])
def test_uint8_maps_onto_the_scale(load, scale, low, high):
    told = load(scale=scale).preprocessing
    np.testing.assert_allclose(np.array([0, 255]) * told.factor + told.offset, [low, high])


def test_floats_are_in_the_scale_already(load):
    x = IMAGES.astype(np.float64) / 255
    dataset = load({"x": x, "y": LABELS})
    assert dataset.train.x.dtype == np.float32
    assert (dataset.preprocessing.factor, dataset.preprocessing.offset) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [(0, 255, "0-1"), (-1, 1, "0-1"), (0, 255, "-1-1"), (0, 1, "0-255"), (-1, 1, "0-255")],
)
def test_floats_far_from_the_scale_are_refused(load, low, high, scale):
    x = np.linspace(low, high, 40 * 4).reshape(40, 2, 2)
    with pytest.raises(MissingError, match=rf"data\.scale is {scale}, but float train images.*from {low} to {high}"):
        load({"x": x, "y": LABELS}, scale=scale)


def test_standardised_floats_pass_for_minus_1_to_1(load):
    x = np.linspace(-2.1, 2.6, 40 * 4).reshape(40, 2, 2)
    assert load({"x": x, "y": LABELS}, scale="-1-1").train.x.shape[1:] == (2, 2, 1)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((40, 30), np.uint8), r"train images have the shape \(40, 30\)"),
        (np.zeros((40, 0, 5), np.uint8), r"none of them empty"),
        (np.zeros((40, 3, 8, 8), np.uint8), "channels first; transpose"),
        (np.full((40, 2, 2), 256), "whole numbers from 256 to 256; allowed are 0 to 255"),
        (np.zeros((40, 2, 2), complex), "of type complex128"),
        (np.where(np.arange(160).reshape(40, 2, 2) == 7, np.nan, 0.5), "1 of 40 train images hold NaN"),
        (np.zeros((39, 2, 2), np.uint8), "39 images, 40 labels and 39 weights"),
    ],
)
def test_unusable_images_are_named(load, x, message):
    with pytest.raises(MissingError, match=message):
        load({"x": x, "y": LABELS})


def test_whole_numbers_and_truth_values_become_uint8():
    assert standard_images(np.full((1, 2, 2), 255), "train").dtype == np.uint8
    np.testing.assert_array_equal(standard_images(np.array([[[True, False]]]), "train").ravel(), [255, 0])


@pytest.mark.parametrize(
    ("w", "message"),
    [([-1.0] * 40, "finite numbers from 0"), ([0.0] * 40, "all train weights are 0"), ([1.0], "1 weights")],
)
def test_unusable_weights_are_named(load, w, message):
    with pytest.raises(MissingError, match=message):
        load({"x": IMAGES, "y": LABELS, "w": np.array(w)})


def test_class_weights_multiply_sample_weights_of_train_only(load):
    arrays = {"x": IMAGES, "y": LABELS, "w": np.full(40, 0.5)}
    dataset = load(arrays, class_weights={"1": 4.0})
    np.testing.assert_array_equal(dataset.train.weight, np.where(dataset.train.y == 1, 2.0, 0.5))
    np.testing.assert_array_equal(dataset.test.weight, 0.5)
    assert dataset.train.weight.dtype == np.float32


def test_a_subset_shrinks_train_alone(load):
    whole, part = load(), load(subset=8)
    assert np.bincount(part.train.y).tolist() == [2, 2, 2, 2]
    np.testing.assert_array_equal(whole.validation.x, part.validation.x)
    np.testing.assert_array_equal(whole.test.x, part.test.x)
    with pytest.raises(UsageError, match=r"data\.subset: received 1000"):
        load(subset=1000)


def test_parts_must_hold_like_images(load):
    arrays = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, :5], "y_test": LABELS}
    with pytest.raises(MissingError, match=r"train \(6, 5, 1\) uint8.*test \(5, 5, 1\) uint8"):
        load(arrays)
    assert load(arrays, image_size=[4, 4]).test.x.shape == (40, 4, 4, 1)


def test_channels_by_hand():
    colour = np.array([[[[100, 200, 50]]]], np.uint8)  # 0.299 * 100 + 0.587 * 200 + 0.114 * 50 = 153
    np.testing.assert_array_equal(convert_channels(colour, 1), [[[[153]]]])
    np.testing.assert_array_equal(convert_channels(convert_channels(colour, 1), 3), [[[[153, 153, 153]]]])
    assert convert_channels(colour, None) is colour
    with pytest.raises(MissingError, match=r"data.channels is 1, but the images have 4"):
        convert_channels(np.zeros((1, 1, 1, 4), np.uint8), 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_halving_averages_and_flat_images_stay_flat(dtype):
    ramp = np.repeat(np.array([[0, 0, 100, 100]], dtype), 4, axis=0)[None, :, :, None]
    # The triangle filter weighs the three pixels in reach 0.75, 0.75, 0.25: 100 * 0.25 / 1.75 = 14.3.
    np.testing.assert_allclose(resize(ramp, (2, 2))[0, :, :, 0], [[100 / 7, 600 / 7]] * 2, atol=0.5)
    flat = np.full((2, 5, 7, 3), 9, dtype)
    np.testing.assert_array_equal(resize(flat, (3, 11)), np.full((2, 3, 11, 3), 9))


def test_preprocessing_survives_its_file():
    told = Pixels((28, 28, 1), ("Ärmel", "b"), "-1-1", 1 / 127.5, -1.0)
    head = Head(exclusive=True, probabilities=False)
    text = to_json("image_classification", told, head)
    assert (from_json(text).preprocessing, from_json(text).head) == (told, head)
    older = {key: value for key, value in json.loads(text).items() if key not in ("task", "head")}
    assert from_json(json.dumps(older)).preprocessing == told
    for wrong in ("", "[]", '{"input_shape": [1, 2]}', text.replace('"factor"', '"fact"')):
        with pytest.raises(MissingError, match=r"preprocessing\.json cannot be used"):
            from_json(wrong)


@pytest.fixture
def built(monkeypatch):
    """Load what a builder function returns."""

    def through_builder(returned, **keys):
        module = types.ModuleType("spiral_test_data")
        module.build = returned if callable(returned) else lambda: returned
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return load_dataset(Data(builder="spiral_test_data:build", **keys), 0)

    return through_builder


def test_a_builder_returns_keys_pairs_or_datasets(built):
    by_key = built({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS})
    pair = (IMAGES, LABELS)
    by_part = built({"train": pair, "test": (*pair, np.ones(40)), "classes": ["0", "1", "2", "3"]})
    stream = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    by_stream = built({"train": stream.batch(7), "test": stream})
    assert by_key.fingerprint() == by_part.fingerprint() == by_stream.fingerprint()


@pytest.mark.parametrize("batched", [False, True])
def test_streams_of_colour_and_one_hot_rows(built, batched):
    x, y = RNG.integers(0, 256, (40, 4, 4, 3), dtype=np.uint8), np.eye(4, dtype=np.float32)[LABELS]
    stream = tf.data.Dataset.from_tensor_slices((x, y))
    dataset = built({"train": stream.batch(16) if batched else stream, "test": (x, y)})
    assert dataset.labels == "one_hot" and dataset.test.y.dtype == np.float32
    np.testing.assert_array_equal(dataset.test.x, x)
    assert len(dataset.train.x) + len(dataset.validation.x) == 40


def test_what_a_builder_may_not_return(built):
    stream = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    for returned, message in (
        ([1, 2], "returned list; allowed is a dict"),
        ({"images": IMAGES}, "holds images; needed are x_train"),
        ({"train": IMAGES}, "is ndarray; allowed are"),
        ({"train": stream.repeat()}, "without an end"),
        ({"train": stream.take(0)}, "is empty"),
        (lambda: 1 / 0, "failed .ZeroDivisionError"),
    ):
        with pytest.raises(MissingError, match=message):
            built(returned)
    with pytest.raises(UsageError, match="'spiral_test_data' has no function 'absent'"):
        load_dataset(Data(builder="spiral_test_data:absent"), 0)


@pytest.mark.parametrize(("shape", "at_once"), [((28, 28, 1), 512), ((224, 224, 3), 27), ((4000, 4000, 3), 1)])
def test_large_images_go_through_a_model_few_at_a_time(shape, at_once):
    assert few(shape, 512) == at_once
