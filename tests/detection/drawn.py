"""Drawn pictures of discs and squares, and the three ways to write down where they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("disc", "square")
COLOURS = {"disc": (220, 60, 40), "square": (40, 90, 220)}


@dataclass(frozen=True)
class Shape:
    """A drawn object: name, and left, top, right, bottom in pixels, the last ones not its own."""

    name: str
    box: tuple[int, int, int, int]


def picture(shapes: Sequence[Shape], size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Return a noisy grey picture of ``size`` (height, width) with shapes on it."""
    noise = np.random.default_rng(seed).integers(90, 130, (*size, 1), np.uint8)
    image = Image.fromarray(np.repeat(noise, 3, axis=-1))
    pen = ImageDraw.Draw(image)
    for one in shapes:
        left, top, right, bottom = one.box
        drawing = pen.ellipse if one.name == "disc" else pen.rectangle
        drawing((left, top, right - 1, bottom - 1), fill=COLOURS[one.name])
    return image


def scattered(rng: np.random.Generator, size: tuple[int, int], most: int = 3) -> list[Shape]:
    """Return up to ``most`` shapes at random places that do not touch."""
    shapes: list[Shape] = []
    for _ in range(20):
        if len(shapes) == most:
            break
        side = int(rng.integers(10, 22))
        left, top = int(rng.integers(0, size[1] - side)), int(rng.integers(0, size[0] - side))
        box = (left, top, left + side, top + side)
        if all(box[2] < b.box[0] or b.box[2] < box[0] or box[3] < b.box[1] or b.box[3] < box[1] for b in shapes):
            shapes.append(Shape(CLASSES[int(rng.integers(2))], box))
    return shapes


def xml(name: str, size: tuple[int, int], objects: Sequence[tuple[str, Sequence[object]]]) -> str:
    """Return Pascal VOC's text with edges (xmin, ymin, xmax, ymax) as they are given."""
    corners = ("xmin", "ymin", "xmax", "ymax")
    parts = [
        f"<object><name>{kind}</name><difficult>0</difficult><bndbox>"
        + "".join(f"<{corner}>{edge}</{corner}>" for corner, edge in zip(corners, edges, strict=True))
        + "</bndbox></object>"
        for kind, edges in objects
    ]
    size_text = f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}</filename>{size_text}\n" + "\n".join(parts) + "\n</annotation>\n"


def write_voc(root: Path, parts: dict[str, list[list[Shape]]], size: tuple[int, int]) -> None:
    """Write pictures as Pascal VOC: pixels are counted from 1 and the last one belongs to the box."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for part, many in parts.items():
        names = [f"{part}{number:03d}" for number in range(len(many))]
        (root / "ImageSets/Main" / f"{part}.txt").write_text("\n".join(names) + "\n")
        for seed, (name, shapes) in enumerate(zip(names, many, strict=True)):
            picture(shapes, size, seed).save(root / "JPEGImages" / f"{name}.png")
            objects = [(one.name, (one.box[0] + 1, one.box[1] + 1, one.box[2], one.box[3])) for one in shapes]
            (root / "Annotations" / f"{name}.xml").write_text(xml(f"{name}.png", size, objects))


def write_yolo(root: Path, parts: dict[str, list[list[Shape]]], size: tuple[int, int]) -> None:
    """Write pictures as YOLO: middles and sides in parts of 1."""
    (root / "data.yaml").parent.mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text("names: [disc, square]\n")
    for part, many in parts.items():
        images, labels = root / "images" / part, root / "labels" / part
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number, shapes in enumerate(many):
            picture(shapes, size, number).save(images / f"{number:03d}.png")
            lines = []
            for one in shapes:
                left, top, right, bottom = one.box
                x, y = (left + right) / 2 / size[1], (top + bottom) / 2 / size[0]
                w, h = (right - left) / size[1], (bottom - top) / size[0]
                lines.append(f"{CLASSES.index(one.name)} {x!r} {y!r} {w!r} {h!r}\n")
            (labels / f"{number:03d}.txt").write_text("".join(lines))


def coco_of(many: list[list[Shape]], size: tuple[int, int]) -> dict:
    """Return COCO's content; category ids have gaps, as COCO's own have."""
    images = [
        {"id": 10 + number, "file_name": f"{number:03d}.png", "height": size[0], "width": size[1]}
        for number in range(len(many))
    ]
    boxes = [
        {
            "image_id": 10 + number,
            "category_id": 3 + 4 * CLASSES.index(one.name),
            "bbox": [one.box[0], one.box[1], one.box[2] - one.box[0], one.box[3] - one.box[1]],
            "area": (one.box[2] - one.box[0]) * (one.box[3] - one.box[1]),
            "iscrowd": 0,
        }
        for number, shapes in enumerate(many)
        for one in shapes
    ]
    return {
        "images": images,
        "annotations": [{"id": number, **one} for number, one in enumerate(boxes, 1)],
        "categories": [{"id": 3, "name": "disc"}, {"id": 7, "name": "square"}],
    }


def write_coco(root: Path, parts: dict[str, list[list[Shape]]], size: tuple[int, int]) -> None:
    """Write pictures as COCO does: annotations/instances_PART2017.json beside folders PART2017."""
    (root / "annotations").mkdir(parents=True)
    for part, many in parts.items():
        folder = root / f"{part}2017"
        folder.mkdir()
        for number, shapes in enumerate(many):
            picture(shapes, size, number).save(folder / f"{number:03d}.png")
        (root / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(coco_of(many, size)))
