"""Views of images with boxes: where the pixels go, the boxes go."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from spiral_cli.data.box_views import View, drawn, moved_boxes, moved_image, views
from spiral_cli.data.stream import Stream

HEIGHT, WIDTH = 60, 80
EVERYTHING = [
    "flip",
    "flip_vertical",
    {"zoom": 0.3},
    {"translate": 0.2},
    {"crop": 4},
    {"brightness": 0.1},
    {"contrast": 0.2},
]


def bright(box) -> np.ndarray:
    """Return a black image with a white box."""
    left, top, right, bottom = box
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[top:bottom, left:right] = 255
    return image


def where(image: np.ndarray) -> tuple[int, int, int, int]:
    """Return the edges of what is bright."""
    y, x = np.nonzero(image[..., 0] > 127)
    return x.min(), y.min(), x.max() + 1, y.max() + 1


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 50), st.integers(0, 35), st.integers(8, 30), st.integers(8, 25), st.integers(0, 10**6))
def test_a_box_lies_where_its_pixels_are(left, top, width, height, sample):
    box = (left, top, min(left + width, WIDTH), min(top + height, HEIGHT))
    view = drawn(
        {"flip": 0, "flip_vertical": 0, "zoom": 0.3, "translate": 0.2, "crop": 3.0}, (HEIGHT, WIDTH), (0, sample)
    )
    image = moved_image(bright(box), view)
    boxes = moved_boxes(np.array([[*box, 1], [-1] * 5], np.float32), view, (HEIGHT, WIDTH))
    assert (boxes[1] == -1).all()
    if boxes[0, 4] < 0:  # less than three tenths are left
        assert (image[..., 0] > 127).sum() <= 0.4 * (box[2] - box[0]) * (box[3] - box[1]) * abs(
            np.prod(view.scale)
        ) + 20
    else:
        np.testing.assert_allclose(boxes[0, :4], where(image), atol=1.0)


def test_mirrors_by_hand():
    boxes = np.array([[10, 20, 30, 50, 0]], np.float32)
    mirrored = View(np.array([-1.0, 1.0]), np.array([80.0, 0.0]))
    np.testing.assert_array_equal(moved_boxes(boxes, mirrored, (60, 80)), [[50, 20, 70, 50, 0]])
    image = moved_image(bright((10, 20, 30, 50)), mirrored)
    np.testing.assert_array_equal(image, bright((10, 20, 30, 50))[:, ::-1])
    upside = View(np.array([1.0, -1.0]), np.array([0.0, 60.0]))
    np.testing.assert_array_equal(moved_boxes(boxes, upside, (60, 80)), [[10, 10, 30, 40, 0]])


def test_what_is_hardly_left_is_no_object():
    boxes = np.array([[0, 0, 10, 10, 2]], np.float32)
    for shift, left in ((-6.9, True), (-7.1, False)):
        found = moved_boxes(boxes, View(np.ones(2), np.array([shift, 0.0])), (60, 80))
        assert (found[0, 4] == 2) == left


def test_views_are_a_function_of_seed_sample_and_view():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (3, 20, 24, 3), np.uint8), np.full((3, 2, 5), -1, np.float32)
    y[:, 0] = [2, 3, 14, 12, 1]
    images, boxes = views(x, y, 4, EVERYTHING, 7)
    assert images.shape == (12, 20, 24, 3) and images.dtype == np.uint8 and boxes.shape == (12, 2, 5)
    fewer, same = views(x[:2], y[:2], 2, EVERYTHING, 7)
    np.testing.assert_array_equal(fewer[:], images[np.array([0, 1, 3, 4])])
    np.testing.assert_array_equal(same, boxes[[0, 1, 3, 4]])
    assert not np.array_equal(images[:], views(x, y, 4, EVERYTHING, 8)[0][:])
    assert len({image.tobytes() for image in images[:]}) == 12
    on_disk = Stream(lambda number: x[number], np.arange(3), (20, 24, 3), "three")
    unread, there = views(on_disk, y, 4, EVERYTHING, 7)
    np.testing.assert_array_equal(unread[:], images[:])
    np.testing.assert_array_equal(there, boxes)


def test_grey_images_have_views_too():
    x, y = np.full((1, 8, 8, 1), 100, np.uint8), np.array([[[1, 1, 5, 5, 0]]], np.float32)
    images, _ = views(x, y, 2, EVERYTHING, 0)
    assert images.shape == (2, 8, 8, 1)
