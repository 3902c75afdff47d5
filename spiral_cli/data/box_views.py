"""Augmented views of images with boxes: what moves the pixels moves the boxes, too.

A view is one affine map, of all the recipe's geometric augmentations together, and a change of brightness and
contrast. It is a function of (seed, sample, view) alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from spiral_cli.data.box_files import PADDING
from spiral_cli.data.stream import Images, Stream, reader
from spiral_cli.recipe.augment import name_and_value

VISIBLE = 0.3  # of a box's area: one of which less is left in a view is no object any more


@dataclass(frozen=True)
class View:
    """How one view is made.

    Attributes:
        scale: (2,) of x and y, negative where mirrored.
        shift: (2,) pixels; a point p of the image is at scale · p + shift in the view.
        gain, bias: a stored value v becomes mean + gain · (v - mean) + bias, mean being the image's.
    """

    scale: np.ndarray
    shift: np.ndarray
    gain: float = 1.0
    bias: float = 0.0


def by_name(augment: Sequence[str | dict[str, Any]]) -> dict[str, float]:
    """Return the recipe's `data.augment` as numbers by name."""
    return {name: float(value or 0.0) for name, value in map(name_and_value, augment)}


def drawn(entries: dict[str, float], size: tuple[int, int], key: Sequence[int]) -> View:
    """Draw a view.

    Args:
        entries: augmentations as `by_name` gives them.
        size: (height, width).
        key: seed, sample and view.
    """
    rng = np.random.default_rng(list(key))
    extent = np.array([size[1], size[0]], np.float64)
    # All numbers are drawn whatever is asked for, so that one augmentation does not change the others.
    mirrored, zoomed, moved, cropped, light, gained = (
        rng.random(2) < 0.5,
        rng.uniform(-1, 1),
        rng.uniform(-1, 1, 2),
        rng.uniform(-1, 1, 2),
        rng.uniform(-1, 1),
        rng.uniform(-1, 1),
    )
    mirrored &= ["flip" in entries, "flip_vertical" in entries]
    scale = np.where(mirrored, -1.0, 1.0) * (1.0 + zoomed * entries.get("zoom", 0.0))
    # About the middle of the image, then moved.
    shift = extent / 2 * (1.0 - scale) + moved * entries.get("translate", 0.0) * extent
    shift += np.round(cropped * entries.get("crop", 0.0))
    gain, bias = 1.0 + gained * entries.get("contrast", 0.0), 255.0 * light * entries.get("brightness", 0.0)
    return View(scale, shift, gain, bias)


def moved_image(image: np.ndarray, view: View) -> np.ndarray:
    """Return a view of an image (height, width, channels) uint8; what comes in from outside has the image's mean."""
    height, width, channels = image.shape
    mean = image.mean(axis=(0, 1))
    (a, e), (c, f) = 1.0 / view.scale, -view.shift / view.scale  # from the view back to the image
    filling = tuple(map(round, mean.tolist()))
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    moved = picture.transform(
        (width, height),
        Image.Transform.AFFINE,
        (a, 0.0, c, 0.0, e, f),
        Image.Resampling.BILINEAR,
        fillcolor=filling[0] if channels == 1 else filling,
    )
    pixels = np.asarray(moved, np.float32).reshape(image.shape)
    if view.gain != 1.0 or view.bias != 0.0:
        middle = float(mean.mean())
        pixels = middle + view.gain * (pixels - middle) + view.bias
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def moved_boxes(boxes: np.ndarray, view: View, size: tuple[int, int]) -> np.ndarray:
    """Return where boxes (most, 5) lie in a view of ``size`` (height, width).

    They are cut off at the edges; those of which less than `VISIBLE` is left become `PADDING`.
    """
    corners = boxes[:, :4].reshape(-1, 2, 2) * view.scale + view.shift  # (most, corner, xy)
    corners = np.sort(corners, axis=1)
    inside = np.clip(corners, 0.0, [size[1], size[0]])
    area, left = (np.prod(one[:, 1] - one[:, 0], axis=-1) for one in (corners, inside))
    kept = (boxes[:, 4] != PADDING) & (left > VISIBLE * area)
    result = np.full_like(boxes, PADDING)
    result[kept, :4] = inside[kept].reshape(-1, 4)
    result[kept, 4] = boxes[kept, 4]
    return result


def views(
    x: Images, y: np.ndarray, count: int, augment: Sequence[str | dict[str, Any]], seed: int
) -> tuple[Stream, np.ndarray]:
    """Return ``count`` views of each image, one view of all after the other: pixels unmade, boxes made.

    Args:
        x: (n, height, width, channels) uint8, in memory or not.
        y: (n, most, 5), as `boxes.load_boxes` has it.
        count: of views.
        augment: the recipe's `data.augment`.
        seed: of all views.

    Returns:
        (count · n, height, width, channels) uint8, every view made when it is read; and boxes (count · n, most, 5).
    """
    entries, read = by_name(augment), reader(x)
    height, width, channels = x.shape[1:]
    size = height, width

    def at(row: int) -> tuple[int, View]:
        view, sample = divmod(row, len(x))
        return sample, drawn(entries, size, (seed, 6, sample, view))

    def seen(row: int) -> np.ndarray:
        sample, view = at(row)
        return moved_image(read(sample), view)

    every = range(count * len(x))
    boxes = np.stack([moved_boxes(y[sample], view, size) for sample, view in map(at, every)])
    return Stream(seen, np.array(every), (*size, channels), f"{count} views by {entries} of seed {seed}"), boxes
