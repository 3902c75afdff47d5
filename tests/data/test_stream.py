"""Images that stay on disk: the rows of an array, in the order asked for, whatever reads them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spiral_cli.data import load_dataset
from spiral_cli.data.augmentation import augmenter
from spiral_cli.data.pipeline import Views, batches, feed, first, materialised, pipeline
from spiral_cli.data.stream import Stream, chosen
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 5, 4, 3)).astype(np.uint8)


def stream() -> Stream:
    return Stream(lambda number: IMAGES[number], np.arange(len(IMAGES)), (5, 4, 3), "stamp")


def views(images) -> Views:
    return Views(images, 3, augmenter(["flip", {"translate": 0.3}], images, 7, "0-1"))


def test_a_stream_has_the_shape_and_the_rows_of_its_array():
    assert (stream().shape, stream().dtype, len(stream()), stream().nbytes) == (
        IMAGES.shape, IMAGES.dtype, len(IMAGES), IMAGES.nbytes,
    )  # fmt: skip
    np.testing.assert_array_equal(stream()[2:9], IMAGES[2:9])
    np.testing.assert_array_equal(stream()[:], IMAGES)


@given(st.lists(st.integers(0, 22), min_size=1), st.data())
def test_rows_of_rows_are_rows(index, data):
    part = chosen(stream(), np.array(index))
    again = data.draw(st.lists(st.integers(0, len(index) - 1), min_size=1))
    np.testing.assert_array_equal(part[np.array(again)], IMAGES[index][again])
    np.testing.assert_array_equal(chosen(part, np.array(again))[:], IMAGES[index][again])
    np.testing.assert_array_equal(part.image(again[0]), IMAGES[index][again[0]])


def test_a_digest_tells_other_rows_and_other_sources():
    other = Stream(stream().read, np.arange(23), (5, 4, 3), "another stamp")
    digests = {one.digest() for one in (stream(), other, stream().take(np.arange(22)), stream().take(np.arange(23)))}
    assert len(digests) == 3


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**31))
def test_batches_come_in_the_order_of_the_plan(steps, size, seed):
    rows = np.random.default_rng(seed).integers(0, 23, (steps, size))
    for source in (IMAGES, stream()):
        np.testing.assert_array_equal(list(pipeline(source, rows).as_numpy_iterator()), IMAGES[rows])


def test_views_on_the_way_are_the_views_made_ahead():
    ahead = materialised(views(IMAGES))
    assert ahead.shape == (3 * 23, 5, 4, 3) and ahead.dtype == np.uint8
    rows = np.random.default_rng(1).integers(0, 69, (4, 8))
    np.testing.assert_array_equal(list(pipeline(views(stream()), rows).as_numpy_iterator()), ahead[rows])
    np.testing.assert_array_equal(first(views(stream()), 5), ahead[:5])
    assert not np.array_equal(ahead[:23], ahead[23:46])


def test_all_rows_in_batches_of_one_size_with_the_last_filled_up():
    for source in (IMAGES, stream()):
        parts = list(batches(source, 10))
        assert [count for _, count in parts] == [10, 10, 3] and all(len(batch) == 10 for batch, _ in parts)
        np.testing.assert_array_equal(np.concatenate([batch[:count] for batch, count in parts]), IMAGES)


def test_what_lies_beside_the_inputs_comes_with_its_rows():
    beside = {"logits": np.arange(46, dtype=np.float16).reshape(23, 2), "top/indices": np.arange(23, dtype=np.int32)}
    rows = np.array([[3, 1, 20], [0, 0, 5]])
    for inputs in (stream(), None):
        for drawn, row in zip(feed(inputs, rows, beside), rows, strict=True):
            assert set(drawn) == {*beside, *({"x"} if inputs else ())}
            for name, array in beside.items():
                np.testing.assert_array_equal(drawn[name], array[row])
            if inputs:
                np.testing.assert_array_equal(drawn["x"], IMAGES[row])


@pytest.fixture
def folder(tmp_path):
    for number, image in enumerate(IMAGES):
        place = tmp_path / "abc"[number % 3]
        place.mkdir(exist_ok=True)
        Image.fromarray(image).save(place / f"{number:02}.png")
    return tmp_path


def load(folder, **keys):
    return load_dataset(Data(format="image_folder", path=str(folder), validation=0.2, **keys), seed=3)


def test_a_folder_is_read_or_streamed_with_the_same_parts(folder):
    held, streamed = load(folder, stream=False), load(folder, stream=True)
    for part in ("train", "validation", "test"):
        ours, theirs = getattr(streamed, part), getattr(held, part)
        assert isinstance(ours.x, Stream) and isinstance(theirs.x, np.ndarray)
        np.testing.assert_array_equal(ours.x[:], theirs.x)
        np.testing.assert_array_equal(ours.y, theirs.y)
    assert held.preprocessing == streamed.preprocessing


def test_what_takes_more_than_the_budget_is_streamed(folder):
    assert isinstance(load(folder, memory_gb=IMAGES.nbytes / 1e9).train.x, np.ndarray)
    assert isinstance(load(folder, memory_gb=(IMAGES.nbytes - 1) / 1e9).train.x, Stream)


def test_a_streamed_set_is_known_by_the_names_and_sizes_of_its_files(folder):
    before = load(folder, stream=True).fingerprint()
    assert load(folder, stream=True).fingerprint() == before
    (folder / "a" / "00.png").rename(folder / "a" / "99.png")
    assert load(folder, stream=True).fingerprint() != before


def test_a_damaged_image_is_named_when_it_is_met(folder):
    data = load(folder, stream=True, image_size=[5, 4], channels=3)
    (folder / "b" / "01.png").write_bytes(b"no image")
    with pytest.raises(MissingError, match=r"^\S*b/01\.png cannot be read as an image .*; replace or remove it$"):
        for split in (data.train, data.validation, data.test):
            list(batches(split.x, 4))


def test_arrays_cannot_be_streamed():
    with pytest.raises(ValueError, match=r"received true; of npz there are arrays in memory.*use coco, image_folder"):
        Data(format="npz", path="x.npz", stream=True)
