"""Augmented views: the same bytes every time, within the range, and each doing what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from spiral_cli.data.augmentation import augmenter
from spiral_cli.data.pipeline import Views, materialised
from spiral_cli.errors import UsageError

RNG = np.random.default_rng(0)
EVERYTHING = [
    "flip", "flip_vertical", {"crop": 2}, {"rotate": 20}, {"zoom": 0.2},
    {"translate": 0.1}, {"contrast": 0.5}, {"brightness": 0.3},
]  # fmt: skip


def augmented_views(x: np.ndarray, augment: list, count: int, seed: int, scale: str) -> np.ndarray:
    """(count, n, height, width, channels)."""
    views = Views(x, count, augmenter(augment, x, seed, scale))
    return materialised(views).reshape(count, *x.shape)


def images(count: int, channels: int = 1) -> np.ndarray:
    return RNG.integers(0, 256, (count, 8, 9, channels), dtype=np.uint8)


def test_two_calls_give_identical_bytes_and_another_seed_others():
    part = images(10, 3)
    first, second = (augmented_views(part, EVERYTHING, 3, 5, "0-1") for _ in range(2))
    assert first.shape == (3, 10, 8, 9, 3) and first.dtype == np.uint8
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != augmented_views(part, EVERYTHING, 3, 6, "0-1").tobytes()
    assert not np.array_equal(first[0], first[1])


def test_a_view_depends_on_seed_sample_and_view_alone():
    x = images(286)
    many = augmented_views(x, ["flip", {"rotate": 20}], 2, 0, "0-1")
    few = augmented_views(x[:261], ["flip", {"rotate": 20}], 1, 0, "0-1")
    np.testing.assert_array_equal(few[0], many[0, :261])
    changed = x.copy()
    changed[1:] = 0
    again = augmented_views(changed, ["flip", {"rotate": 20}], 2, 0, "0-1")
    np.testing.assert_array_equal(again[:, 0], many[:, 0])


@pytest.mark.parametrize(("name", "axis"), [("flip", 2), ("flip_vertical", 1)])
def test_flips_mirror_about_half_of_the_images(name, axis):
    x = images(400)
    view = augmented_views(x, [name], 1, 0, "0-1")[0]
    mirrored = (view == np.flip(x, axis)).all(axis=(1, 2, 3))
    kept = (view == x).all(axis=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize(("stored", "scale", "low"), [(np.uint8, "0-1", 0), (np.float32, "-1-1", -1.0)])
def test_crop_is_padding_and_cutting_at_every_place_alike(stored, scale, low):
    x = images(2000) if stored == np.uint8 else RNG.uniform(-1, 1, (2000, 8, 9, 1)).astype(np.float32)
    view = augmented_views(x, [{"crop": 1}], 1, 0, scale)[0]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=low)
    places = np.array(
        [[(view == padded[:, i : i + 8, j : j + 9]).all(axis=(1, 2, 3)) for j in range(3)] for i in range(3)]
    )
    np.testing.assert_array_equal(places.sum(axis=(0, 1)), 1)
    counts = places.sum(axis=2)  # 2000 / 9 = 222 each, standard deviation 14
    assert counts.min() > 160 and counts.max() < 285


@pytest.mark.parametrize("augment", [["flip"], [{"rotate": 45}], [{"zoom": 0.3}], [{"translate": 0.2}]])
def test_moving_pixels_makes_no_new_values(augment):
    x = RNG.uniform(0.2, 0.7, (50, 8, 9, 1)).astype(np.float32)
    view = augmented_views(x, augment, 1, 0, "0-1")[0]
    assert view.dtype == np.float32
    assert x.min() - 1e-6 <= view.min() and view.max() <= x.max() + 1e-6
    assert not np.array_equal(view, x)


@pytest.mark.parametrize("augment", [[{"contrast": 1.0}], [{"brightness": 1.0}], EVERYTHING])
@pytest.mark.parametrize(("scale", "low", "high"), [("0-1", 0, 1), ("-1-1", -1, 1), ("0-255", 0, 255)])
def test_float_views_stay_in_the_scale(augment, scale, low, high):
    x = RNG.uniform(low, high, (60, 8, 9, 1)).astype(np.float32)
    view = augmented_views(x, augment, 1, 0, scale)
    slack = 1e-5 * (high - low)
    assert low - slack <= view.min() and view.max() <= high + slack
    assert np.ptp(view) > 0.9 * (high - low)


@pytest.mark.parametrize("scale", ["0-1", "-1-1", "0-255"])
def test_brightness_of_uint8_is_a_part_of_255_whatever_the_scale(scale):
    x = np.full((500, 4, 4, 1), 128, np.uint8)
    shift = augmented_views(x, [{"brightness": 0.2}], 1, 0, scale)[0, :, 0, 0, 0].astype(int) - 128
    assert -51 <= shift.min() < -40 and 40 < shift.max() <= 51
    assert abs(shift.mean()) < 5


def test_contrast_keeps_the_mean_of_an_image():
    x = RNG.uniform(0.4, 0.6, (50, 8, 9, 1)).astype(np.float32)
    view = augmented_views(x, [{"contrast": 0.5}], 1, 0, "0-1")[0]
    np.testing.assert_allclose(view.mean(axis=(1, 2, 3)), x.mean(axis=(1, 2, 3)), atol=1e-5)
    ratio = view.std(axis=(1, 2, 3)) / x.std(axis=(1, 2, 3))
    assert 0.5 <= ratio.min() < 0.7 and 1.3 < ratio.max() <= 1.5 + 1e-4


def test_no_augmentation_repeats_the_images():
    x = images(5)
    np.testing.assert_array_equal(augmented_views(x, [], 2, 0, "0-1"), np.stack([x, x]))


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        (["flipp"], "no augmentation is named 'flipp'.*did you mean 'flip'"),
        (["crop"], "crop received None; allowed are 1 to 7 pixels, for example crop: 4"),
        ([{"crop": 8}], "crop received 8"),
        ([{"flip": 3}], "flip takes no value, received 3"),
        ([{"rotate": "far"}], "rotate received 'far'; allowed are 0 to 180 degrees"),
        ([{"brightness": True}], "brightness received True"),
        ([{"zoom": 0}], "zoom received 0"),
        ([{"flip": None, "zoom": 0.1}], "an item is one name"),
    ],
)
def test_wrong_augmentations_say_what_is_allowed(augment, message):
    with pytest.raises(UsageError, match=message):
        augmented_views(images(2), augment, 1, 0, "0-1")
