"""From the recipe's `data` section to three parts of images with boxes, all tried and mended before training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from spiral_cli.data.box_files import PADDING, Pictures, padded
from spiral_cli.data.image_files import Look, common_shape, decode, look, read_image
from spiral_cli.data.labels import class_order
from spiral_cli.data.load import divided, read_raw, streamed
from spiral_cli.data.pixels import scaling
from spiral_cli.data.raw import Arrays, Raw, stated_size
from spiral_cli.data.repeats import mark, repeats
from spiral_cli.data.splits import Dataset, Split
from spiral_cli.data.stream import Images, Stream, chosen
from spiral_cli.data.stretched import Stretched
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.recipe.data import Data

NO_SIDE = 0.01  # pixels: a side below it is none
BEYOND = 1.0  # pixels: conventions differ by so much in where a box at the image's edge ends


@dataclass
class Found:
    """What was found wrong in a part, counted, with the first place of each kind."""

    counts: dict[str, int] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, place: str, count: int = 1) -> None:
        """Count something wrong."""
        if count:
            self.counts[kind] = self.counts.get(kind, 0) + count
            self.places.setdefault(kind, place)

    def notes(self, part: str) -> list[str]:
        """Return a sentence for each kind."""
        return [f"{part}: {count} {kind} (first: {self.places[kind]})" for kind, count in self.counts.items()]


@dataclass(frozen=True)
class Readable:
    """An image that can be read: its file, its (height, width), whether it is grey, and its boxes (k, 5)."""

    file: Path
    size: tuple[int, int]
    grey: bool
    boxes: np.ndarray


def load_boxes(settings: Data, seed: int) -> Dataset:
    """Read, check, mend and split the images and boxes of a recipe; every image is decoded here, kept or not.

    ``x`` is (n, height, width, channels) uint8, resized by stretching, in memory or streamed as `data.stream` says;
    ``y`` (n, most, 5) float32: left, top, right and bottom in pixels of the resized image, and the class, `PADDING`
    where a row is no box. What of the data could not be used is counted in `Dataset.notes`.

    Args:
        settings: the recipe's `data` section with absolute paths.
        seed: of every choice made here; the same seed gives the same bytes.

    Raises:
        MissingError: the data are missing or cannot be used, or nothing of a part is left.
        UsageError: the recipe asks for what the data cannot give.
    """
    raw = read_raw(settings)
    classes, order = named(raw, settings.classes)
    found = {part: Found() for part in raw.parts()}
    images: list[Readable] = []
    rows: dict[str, np.ndarray] = {}
    for part, arrays in raw.parts().items():
        readable = readable_images(arrays, order, part, found[part])
        rows[part] = np.arange(len(images), len(images) + len(readable))
        images += readable
    channels, size = common_shape(
        ((str(one.file), Look(one.size, one.grey)) for one in images),
        settings.channels,
        stated_size(settings),
    )
    factor, offset = scaling(np.dtype(np.uint8), settings.scale)
    told = Stretched((*size, channels), classes, settings.scale, factor, offset)
    source = stream_of(images, channels, size)
    held = None if streamed(settings, source.nbytes) else np.empty(source.shape, np.uint8)
    y, kept, marks = tried(images, source, held, told, {part: (rows[part], found[part]) for part in rows})
    source = replace(source, stamp=b"".join(marks).hex())
    present = np.stack([np.isin(np.arange(len(classes)), boxes[:, 4]) for boxes in y])  # (n, classes)
    parts = divided({part: Arrays(one, present[one]) for part, one in kept.items()}, settings, seed)
    most = max(len(boxes) for boxes in y)
    x: Images = source if held is None else held
    splits = {
        part: Split(
            chosen(x, rows),
            padded([y[row] for row in rows], most),
            np.ones(len(rows), np.float32),
            known_as=source.take(rows).digest(),
        )
        for part, rows in ((part, np.asarray(one.x)) for part, one in parts.items())
    }
    notes = [sentence for part in found for sentence in found[part].notes(part)]
    notes += repeats({part: [marks[row] for row in np.asarray(one.x)] for part, one in parts.items()})
    refuse_no_boxes(splits, f"what was found as {settings.format}: {'; '.join((*raw.notes, *notes))}")
    return Dataset(**splits, labels="boxes", preprocessing=told, notes=(*raw.notes, *notes, *unseen(splits, classes)))


def named(raw: Raw, wanted: Sequence[str] | None) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the class names in the recipe's order, and for each of the set's classes its place among them.

    Raises:
        UsageError: these are not the same names.
    """
    own = raw.classes or ()
    if wanted is not None and sorted(own) != sorted(wanted):
        raise UsageError(
            f"data.classes is {', '.join(wanted)}, but the set's classes are {', '.join(own)}; "
            "name these, in the order of the model's outputs"
        )
    if not own:
        raise MissingError("data: there is not a single box in any part, so there is no class to learn")
    order = class_order(own, wanted)
    return tuple(wanted or own), np.arange(len(own)) if order is None else np.argsort(order)


def readable_images(arrays: Arrays, order: np.ndarray, part: str, found: Found) -> list[Readable]:
    """Return the images of a part whose files can be opened; the others are counted.

    Raises:
        MissingError: none can.
    """
    readable = []
    sizes = arrays.sizes if isinstance(arrays, Pictures) else [None] * len(arrays.x)
    for name, written, told in zip(np.asarray(arrays.x), arrays.y, sizes, strict=True):
        boxes = written[written[:, 4] != PADDING]
        boxes = np.concatenate([boxes[:, :4], order[boxes[:, 4].astype(np.int64)][:, None]], axis=1)
        try:
            size, grey = read_image(Path(name), look)
        except MissingError:
            found.add("images are missing or cannot be read and are left out", str(name))
            continue
        if told not in (None, size):
            found.add("images have another size than is written; boxes are read as pixels of the image", str(name))
        readable.append(Readable(Path(name), size, grey, boxes))
    if not readable:
        raise MissingError(f"data: none of the {len(arrays.x)} {part} images can be read; such as {name}")
    return readable


def stream_of(images: Sequence[Readable], channels: int, size: tuple[int, int]) -> Stream:
    """Return the pixels of ``images``, unread and therefore without a stamp."""

    def read(row: int) -> np.ndarray:
        return read_image(images[row].file, lambda image: decode(image, channels, size))

    return Stream(read, np.arange(len(images)), (*size, channels), "")


def tried(
    images: Sequence[Readable],
    source: Stream,
    held: np.ndarray | None,
    told: Stretched,
    parts: dict[str, tuple[np.ndarray, Found]],
) -> tuple[list[np.ndarray], dict[str, np.ndarray], list[bytes]]:
    """Decode every image once, so that none fails later, and mend its boxes.

    Args:
        images: what there is to try.
        source: decodes them.
        held: (n, height, width, channels) uint8, filled with them; or None where they are not to stay.
        told: how boxes become those of the resized image.
        parts: rows of each part, and what is found wrong in it, to add to.

    Returns:
        Boxes (k, 5) of each image, of each part the rows that can be used, and `mark` of each image's pixels.

    Raises:
        MissingError: nothing of a part is left.
    """
    y = [np.zeros((0, 5), np.float32)] * len(images)
    kept, marks = {}, [b""] * len(images)
    for part, (rows, found) in parts.items():
        good = []
        for row in rows:
            one = images[row]
            try:
                pixels = source.image(row)
            except MissingError:
                found.add("images are damaged and are left out", str(one.file))
                continue
            marks[row] = mark(pixels)
            if held is not None:
                held[row] = pixels
            inside = mended(one.boxes, one.size, found, str(one.file))
            y[row] = np.concatenate([told.resized(inside[:, :4], one.size), inside[:, 4:]], axis=1).astype(np.float32)
            found.add("images have no object", str(one.file), int(not len(inside)))
            good.append(row)
        if not good:
            raise MissingError(
                f"data: none of {len(rows)} {part} images can be decoded, such as {images[rows[0]].file}"
            )
        kept[part] = np.array(good)
    return y, kept, marks


def mended(boxes: np.ndarray, size: tuple[int, int], found: Found, place: str) -> np.ndarray:
    """Return boxes (k, 5) cut off at the edges of an image of ``size`` (height, width); what vanishes is left out."""
    limits = np.array([size[1], size[0], size[1], size[0]], np.float64)
    cut = boxes.copy()
    cut[:, :4] = np.clip(boxes[:, :4], 0.0, limits)
    empty, gone = (~(one[:, 2:4] - one[:, :2] > NO_SIDE).all(axis=1) for one in (boxes, cut))
    outside = ~empty & gone
    beyond = ~empty & ~outside & (np.abs(cut - boxes)[:, :4] > BEYOND).any(axis=1)
    found.add("boxes have no area and are left out", place, int(empty.sum()))
    found.add("boxes lie outside of their image and are left out", place, int(outside.sum()))
    found.add("boxes reach beyond their image and are cut off at its edge", place, int(beyond.sum()))
    return cut[~gone]


def refuse_no_boxes(splits: Mapping[str, Split], found: str) -> None:
    """Refuse parts without a single box; ``found`` ends the message.

    Raises:
        MissingError: there is one.
    """
    for part, split in splits.items():
        if not (split.y[..., 4] != PADDING).any():
            use = "learn" if part == "train" else "measure"
            raise MissingError(
                f"data: not one of {len(split.x)} {part} images has a box, so there is nothing to {use}; {found}"
            )


def unseen(splits: dict[str, Split], classes: tuple[str, ...]) -> list[str]:
    """Return a note for each class that train has no box of: a model cannot learn it."""
    counts = {
        part: np.bincount(split.y[..., 4][split.y[..., 4] >= 0].astype(np.int64), minlength=len(classes))
        for part, split in splits.items()
    }
    return [
        f"the class '{name}' has no box in train, and {counts['validation'][index]} in validation, "
        f"{counts['test'][index]} in test, that no model can find"
        for index, name in enumerate(classes)
        if not counts["train"][index]
    ]
