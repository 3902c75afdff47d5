"""Checks and conversions of image arrays: rank, number type, range, channels, size."""

from __future__ import annotations

import numpy as np

from spiral_cli.data.pixels import RANGES
from spiral_cli.errors import MissingError

# Luminance of red, green and blue (ITU-R BT.601, as Pillow's "L").
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def standard_images(x: np.ndarray, part: str) -> np.ndarray:
    """Return images as (n, height, width, channels) in uint8 or float32.

    Whole numbers from 0 to 255 become uint8. (n, height, width) gets a channel axis.

    Raises:
        MissingError: a wrong rank or number type, no images, or values that are not finite.
    """
    x = x[..., None] if x.ndim == 3 else x
    if x.ndim != 4 or 0 in x.shape:
        raise MissingError(
            f"data: {part} images have the shape {x.shape}; allowed are (n, height, width) and "
            "(n, height, width, channels), none of them empty; reshape the arrays"
        )
    if x.shape[1] in (1, 3) and x.shape[3] > 4 and x.shape[2] == x.shape[3]:
        raise MissingError(
            f"data: {part} images of shape {x.shape} have their channels first; "
            "transpose them to (n, height, width, channels)"
        )
    if x.dtype == np.uint8:
        return x
    if x.dtype == bool:
        return x.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(x.dtype, np.integer):
        if x.min() < 0 or x.max() > 255:
            raise MissingError(
                f"data: {part} images hold whole numbers from {x.min()} to {x.max()}; allowed are 0 to 255, "
                "or floats in the range data.scale names"
            )
        return x.astype(np.uint8)
    if not np.issubdtype(x.dtype, np.floating):
        raise MissingError(f"data: {part} images are of type {x.dtype}; allowed are uint8 and floats")
    if not np.isfinite(x).all():
        bad = int((~np.isfinite(x).reshape(len(x), -1).all(axis=1)).sum())
        raise MissingError(f"data: {bad} of {len(x)} {part} images hold NaN or infinity; remove or repair them")
    return x.astype(np.float32, copy=False)


def check_scale(x: np.ndarray, scale: str, part: str) -> None:
    """Refuse float images (n, h, w, c) that are far from the range ``scale`` names.

    Far is a whole span of the scale beyond one of its ends, so that -1 to 1 is not taken for 0 to
    1, yet interpolation and standardisation may overshoot; and for 0-255 values up to 1 only.

    Raises:
        MissingError: they are.
    """
    if x.dtype == np.uint8:
        return
    low, high = RANGES[scale]
    lowest, highest = float(x.min()), float(x.max())
    span = high - low
    if lowest <= low - span or highest >= high + span or (scale == "0-255" and highest <= 1.0):
        raise MissingError(
            f"data.scale is {scale}, but float {part} images hold values from {lowest:g} to {highest:g}; "
            f"state the range they are in as data.scale ({', '.join(RANGES)}), or store them as uint8"
        )


def convert_channels(x: np.ndarray, channels: int | None) -> np.ndarray:
    """Return images (n, h, w, c) with ``channels`` 1 (luminance) or 3 (grey repeated), or as they are.

    Raises:
        MissingError: ``x`` has neither 1 nor 3 channels, so that no conversion is known.
    """
    have = x.shape[3]
    if channels is None or channels == have:
        return x
    if (have, channels) == (1, 3):
        return np.repeat(x, 3, axis=3)
    if (have, channels) == (3, 1):
        grey = (x @ LUMINANCE)[..., None]
        return np.rint(grey).astype(np.uint8) if x.dtype == np.uint8 else grey
    raise MissingError(f"data.channels is {channels}, but the images have {have}; only 1 and 3 can be converted")


def resize(x: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Return images (n, h, w, c) at ``size`` (height, width) by Pillow's bilinear filter, or as they are."""
    if size is None or x.shape[1:3] == size:
        return x
    from PIL import Image  # Pillow is needed for this and for image files only

    height, width = size
    result = np.empty((len(x), height, width, x.shape[3]), x.dtype)
    for image, place in zip(x, result, strict=True):
        for channel in range(x.shape[3]):
            plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
            place[..., channel] = plane.resize((width, height), Image.Resampling.BILINEAR)
    return result
