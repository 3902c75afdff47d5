"""Boxes drawn onto their picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from spiral_cli.data.image_files import read_image, upright

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#00a0a0", "#f032e6", "#808000")


def draw(path: str | Path, boxes: Sequence[Mapping[str, Any]], out: str | Path | None = None) -> Image.Image:
    """Return the picture in a file with ``boxes`` drawn onto it; write it to ``out`` where that is given.

    Args:
        path: of an image file.
        boxes: each a ``class``, its ``confidence`` and its ``box``: left, top, right, bottom in pixels of the
            file, upright. Every class has a colour of its own.
        out: where to write; the ending says the format.

    Raises:
        MissingError: the file is no image.
    """
    picture = read_image(Path(path), lambda image: upright(image).convert("RGB"))
    names = sorted({str(one["class"]) for one in boxes})
    pen, width = ImageDraw.Draw(picture), max(1, min(picture.size) // 200)
    for one in sorted(boxes, key=lambda one: float(one["confidence"])):
        colour = COLOURS[names.index(str(one["class"])) % len(COLOURS)]
        left, top, right, bottom = map(float, one["box"])
        pen.rectangle((left, top, right, bottom), outline=colour, width=width)
        label, place = f"{one['class']} {float(one['confidence']):.2f}", (left + width + 1, top + width)
        pen.rectangle(pen.textbbox(place, label), fill=colour)
        pen.text(place, label, fill="white")
    if out is not None:
        picture.save(out)
    return picture


def writable(name: str) -> str:
    """Return a file's name with an ending whose format can be written: its own, or that of PNG."""
    Image.init()
    kind = Image.registered_extensions().get(Path(name).suffix.lower())
    return name if kind in Image.SAVE else f"{name}.png"


def outlined(image: np.ndarray, layers: Iterable[tuple[str, np.ndarray, str]], zoom: int = 1) -> np.ndarray:
    """Return a copy of an image (height, width, 1 or 3) uint8, ``zoom`` times as large, with boxes on it.

    Args:
        image: the image.
        layers: what is written into the corner, boxes (k, 4) in the image's pixels, and the colour of both; one
            set above the other.
        zoom: a whole number.
    """
    picture = Image.fromarray(np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image)
    picture = picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(picture)
    place = (2.0, 2.0)
    for name, boxes, colour in layers:
        for box in boxes:
            pen.rectangle([float(edge) * zoom for edge in box], outline=colour)
        pen.rectangle(pen.textbbox(place, name), fill="black")
        pen.text(place, name, fill=colour)
        place = (pen.textbbox(place, name)[2] + 6, place[1])
    return np.asarray(picture)
