"""YOLO: a text file an image, with a line an object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from spiral_cli.data.box_files import Box, Picture, numbers, raw_of
from spiral_cli.data.image_files import image_files, look, read_image
from spiral_cli.data.raw import NAMES, Raw, own_paths, root_path
from spiral_cli.data.tables import read_text
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

FIELDS = 5  # class, centre x, centre y, width, height


@datasets.register("yolo", needs=("path",), gives="boxes")
def yolo(settings: Data) -> Raw:
    """YOLO: images and labels folders with `class x y width height` lines in parts of 1, names in data.yaml."""
    root = root_path(settings)
    folders = (find_parts(root) if root else {}) | own_paths(settings)
    home = root or next(iter(folders.values()))
    classes = settings.classes or names_of(home)
    if not classes:
        raise MissingError(f"{home} has no data.yaml with names and no classes.txt; give data.classes")
    read = {part: pictures(folder, classes) for part, folder in folders.items()}
    bare = sum(count for _, count in read.values())
    notes = [f"{bare} images have no label file and count as images without objects"] if bare else []
    return raw_of({part: many for part, (many, _) in read.items()}, classes, notes)


def find_parts(root: Path) -> dict[str, Path]:
    """Return the folder of images of each part: images/train, train/images, or what data.yaml says; images is train.

    Raises:
        MissingError: there is none.
    """
    places = {
        part: [folder for name in names for folder in (root / "images" / name, root / name / "images")]
        for part, names in NAMES.items()
    }
    found = {part: folder for part, several in places.items() for folder in reversed(several) if folder.is_dir()}
    if "train" not in found:
        found = dict(described_parts(root)) or found
    if "train" not in found and (root / "images").is_dir() and not found:
        found = {"train": root / "images"}
    if not found:
        raise MissingError(
            f"data.path: {root} holds no images/train, train/images or images, and no data.yaml with them"
        )
    return found


def described_parts(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the parts whose folders data.yaml names."""
    facts = described(root)
    for part, key in (("train", "train"), ("validation", "val"), ("test", "test")):
        folder = root / str(facts.get("path") or "") / str(facts.get(key) or "missing")
        if folder.is_dir():
            yield part, folder


def described(root: Path) -> Mapping[str, Any]:
    """Return what data.yaml says, nothing where there is none.

    Raises:
        MissingError: it cannot be read.
    """
    path = next((file for file in (root / "data.yaml", root / "dataset.yaml") if file.is_file()), None)
    if path is None:
        return {}
    try:
        facts = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise MissingError(f"{path}{line}: is no YAML ({getattr(error, 'problem', None) or error})") from error
    return facts if isinstance(facts, dict) else {}


def names_of(folder: Path) -> list[str]:
    """Return the class names of data.yaml or classes.txt in ``folder`` or up to two above; none where neither is."""
    for home in (folder, *folder.parents[:2]):
        names = described(home).get("names")
        if isinstance(names, dict):
            if set(names) != set(range(len(names))):
                raise MissingError(f"{home}: names in data.yaml are of {', '.join(map(str, names))}; count from 0")
            return [str(names[index]) for index in range(len(names))]
        if isinstance(names, list):
            return list(map(str, names))
        if (home / "classes.txt").is_file():
            return [line.strip() for line in read_text(home / "classes.txt").splitlines() if line.strip()]
    return []


def pictures(folder: Path, classes: Sequence[str]) -> tuple[list[Picture], int]:
    """Return the images below ``folder`` with their boxes, and how many have no label file."""
    found, bare = [], 0
    for image in image_files(folder):
        file = labels_of(image)
        bare += not file.is_file()
        found.append(Picture(image, read_labels(file, image, classes) if file.is_file() else []))
    return found, bare


def labels_of(image: Path) -> Path:
    """Return the label file of an image: in labels where its path says images, else beside it."""
    parts = list(image.with_suffix(".txt").parts)
    places = [place for place, name in enumerate(parts[:-1]) if name == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts)


def read_labels(file: Path, image: Path, classes: Sequence[str]) -> list[Box]:
    """Return the boxes of a label file in pixels of its image; none where that cannot be read, and is left out later.

    Raises:
        MissingError: a line is not a known class and four numbers; with the line.
    """
    rows, known = [], {str(index): index for index in range(len(classes))}
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if not (fields := line.split()):
            continue
        place = f"{file}, line {number}"
        if len(fields) != FIELDS:
            raise MissingError(
                f"{place}: received {len(fields)} fields; a box is a class and four numbers (more of them are a "
                "polygon, of segmentation)"
            )
        index = known.get(fields[0])
        if index is None:
            raise MissingError(f"{place}: the class '{fields[0]}' is none of 0 to {len(classes) - 1}; see data.yaml")
        rows.append((index, numbers(fields[1:], 4, place)))
    try:
        (height, width), _ = read_image(image, look)
    except MissingError:
        return []
    return [
        ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height, index)
        for index, (x, y, w, h) in rows
    ]
