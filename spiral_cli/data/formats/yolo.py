"""YOLO: a text file an image, with a line an object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


@datasets.register("yolo", needs=("path",), gives="boxes", streams=True)
def yolo(settings: Data) -> Raw:
    """YOLO: images and labels folders with `class x y width height` lines in parts of 1, names in data.yaml."""
    root, own = root_path(settings), own_paths(settings)
    files = (find_parts(root) if root else {}) | {
        part: images_at(path, [root] if root else []) for part, path in own.items()
    }
    home = root or next(iter(own.values()))
    classes = settings.classes or names_of(home)
    if not classes:
        raise MissingError(f"{home} has no data.yaml with names and no classes.txt; give data.classes")
    labels = {image: labels_of(image, root) for many in files.values() for image in many}
    parts = {part: [picture(image, labels[image], classes) for image in many] for part, many in files.items()}
    bare = [image for image, file in labels.items() if not file.is_file()]
    notes = []
    if bare:
        notes = [
            f"{len(bare)} images have no label file, in labels or beside them, and count as images without objects "
            f"(first: {bare[0]})"
        ]
    return raw_of(parts, classes, notes)


def find_parts(root: Path) -> dict[str, list[Path]]:
    """Return the images of each part: of what data.yaml says, else images/train, train/images; images is train.

    Raises:
        MissingError: there is none, or data.yaml names what is not there.
    """
    if (file := description(root)) and (stated := described_parts(file)):
        return stated
    places = {
        part: [folder for name in names for folder in (root / "images" / name, root / name / "images")]
        for part, names in NAMES.items()
    }
    found = {part: folder for part, several in places.items() for folder in reversed(several) if folder.is_dir()}
    if not found and (root / "images").is_dir():
        found = {"train": root / "images"}
    if not found:
        raise MissingError(
            f"data.path: {root} holds no images/train, train/images or images, and no data.yaml with them"
        )
    return {part: image_files(folder) for part, folder in found.items()}


def described_parts(file: Path) -> dict[str, list[Path]]:
    """Return the images of each part that data.yaml names: a folder, a list of images, or several of them.

    Paths are from the folder that it calls path, or from its own.

    Raises:
        MissingError: it names what is not there.
    """
    facts, parts = described(file), {}
    homes = (file.parent / str(facts.get("path") or ""), file.parent)
    for part, names in NAMES.items():
        for key in [name for name in names if facts.get(name)][:1]:
            entries = facts[key] if isinstance(facts[key], list) else [facts[key]]
            places = [there(str(one), homes) for one in entries]
            if None in places:
                one = entries[places.index(None)]
                raise MissingError(
                    f"{file}: {key} names {one}, which is not in {homes[0]}; correct it, or give data.{part}"
                )
            parts[part] = [image for place in places if place for image in images_at(place, homes)]
    return parts


def there(name: str, homes: Iterable[Path]) -> Path | None:
    """Return what lies at the path ``name`` from the first of ``homes`` where something does, or None.

    A path that begins with .. is tried without it, too: so Roboflow writes those beside its data.yaml.
    """
    return next(
        (place for home in homes for one in (name, name.removeprefix("../")) if (place := home / one).exists()), None
    )


def images_at(place: Path, homes: Sequence[Path]) -> list[Path]:
    """Return the images below a folder, or those that a list names, one a line, from its own folder or ``homes``.

    Raises:
        MissingError: the file is no list, or names an image that is not there; with the line.
    """
    if place.is_dir():
        return image_files(place)
    if place.suffix != ".txt":
        raise MissingError(f"{place}: a part of a yolo set is a folder of images, or a .txt file with a path a line")
    images = []
    for number, line in enumerate(read_text(place).splitlines(), 1):
        if not (name := line.strip()):
            continue
        image = there(name, (place.parent, *homes))
        if image is None or not image.is_file():
            raise MissingError(f"{place}, line {number}: there is no image {name}; paths are from {place.parent}")
        images.append(image)
    return images


def description(root: Path) -> Path | None:
    """Return the file in ``root`` that describes the set, or None."""
    return next((file for file in (root / "data.yaml", root / "dataset.yaml") if file.is_file()), None)


def described(path: Path) -> Mapping[str, Any]:
    """Return what data.yaml says.

    Raises:
        MissingError: it cannot be read.
    """
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
        file = description(home)
        names = described(file).get("names") if file else None
        if isinstance(names, dict):
            named = {str(index): str(name) for index, name in names.items()}
            if set(named) != set(map(str, range(len(names)))):
                raise MissingError(f"{file}: names are of {', '.join(named)}; count from 0")
            return [named[str(index)] for index in range(len(named))]
        if isinstance(names, list):
            return list(map(str, names))
        if (home / "classes.txt").is_file():
            return [line.strip() for line in read_text(home / "classes.txt").splitlines() if line.strip()]
    return []


def picture(image: Path, labels: Path, classes: Sequence[str]) -> Picture:
    """Return an image with its boxes, none where there is no label file."""
    return Picture(image, read_labels(labels, image, classes) if labels.is_file() else [])


def labels_of(image: Path, root: Path | None) -> Path:
    """Return the label file of an image: in labels where its path below ``root`` says images, else beside it."""
    beside = image.with_suffix(".txt")
    home = root if root is not None and image.is_relative_to(root) else Path(image.anchor)
    parts = list(beside.relative_to(home).parts)
    places = [place for place, name in enumerate(parts[:-1]) if name == "images"]
    if places:
        parts[places[-1]] = "labels"
    apart = home.joinpath(*parts)
    return apart if apart.is_file() else beside


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
