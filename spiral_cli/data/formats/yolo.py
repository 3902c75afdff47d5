"""YOLO: a text file an image, with a line an object."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from spiral_cli.data.box_files import Box, Picture, image_of, numbers, raw_of
from spiral_cli.data.class_files import hidden
from spiral_cli.data.image_files import SUFFIXES, image_files, look, read_image
from spiral_cli.data.raw import NAMES, Raw, own_paths, root_path
from spiral_cli.data.tables import read_text
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

FIELDS = 5  # class, centre x, centre y, width, height
YAML, USUAL = (".yaml", ".yml"), ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
LISTS = ("classes.txt", "obj.names")  # of class names, one a line: LabelImg's; darknet's and CVAT's
PREFIXES = ("../", "data/")  # of paths from elsewhere: Roboflow's in data.yaml; CVAT's in train.txt
Parts = dict[str, list[Path]]  # the images of each


@datasets.register("yolo", needs=("path",), gives="boxes", streams=True)
def yolo(settings: Data) -> Raw:
    """YOLO: images and labels with `class x y width height` lines in parts of 1, names in data.yaml or classes.txt."""
    path, own = root_path(settings), own_paths(settings)
    root, file = (None, None) if path is None else described_at(path)
    found, notes = find_parts(root, file, own) if root else ({}, [])
    files = found | {part: images_at(one, [root] if root else []) for part, one in own.items()}
    home = root or next(iter(own.values()))
    labels = {image: labels_of(image, root) for many in files.values() for image in many}
    classes = settings.classes or names_of(home, file or description(home), {one.parent for one in labels.values()})
    if not classes:
        raise MissingError(
            f"{home} has no data.yaml with names and no {' or '.join(LISTS)}, nor have the folders of the labels; "
            "give data.classes, or as data.path a YAML file with names"
        )
    parts = {part: [picture(image, labels[image], classes) for image in many] for part, many in files.items()}
    bare = [image for image, one in labels.items() if not one.is_file()]
    if bare:
        notes.append(
            f"{len(bare)} images have no label file, in labels or beside them, and count as images without objects "
            f"(first: {bare[0]})"
        )
    return raw_of(parts, classes, notes)


def described_at(path: Path) -> tuple[Path, Path | None]:
    """Return the folder of a set and the YAML file that describes it, if there is one: ``path`` is either.

    Raises:
        MissingError: it is another file.
    """
    if path.is_dir():
        return path, description(path) or only_description(path)
    if path.suffix.lower() not in YAML:
        raise MissingError(f"data.path: {path} is a file; allowed is a folder, or the YAML file that describes the set")
    return path.parent, path


def find_parts(root: Path, file: Path | None, own: Container[str]) -> tuple[Parts, list[str]]:
    """Find the parts: those that data.yaml names, or else those that have a folder.

    Folders are images/train or train/images. Without any, all of images is train; or parts are what train.txt and the
    like list; or all is train, if images lie beside their labels.

    Args:
        root: the folder of the set.
        file: data.yaml, if there is one.
        own: parts that are not asked for.

    Returns:
        The images of each part, and a note for each that is left out.

    Raises:
        MissingError: there is none, or data.yaml names what is not there.
    """
    if file and (stated := described_parts(file, own)):
        return stated
    places = {
        part: [folder for name in names for folder in (root / "images" / name, root / name / "images")]
        for part, names in NAMES.items()
    }
    found = {part: folder for part, several in places.items() for folder in reversed(several) if folder.is_dir()}
    if not found and (root / "images").is_dir():
        found = {"train": root / "images"}
    if not found:
        found = lists_in(root)
    if not found and any(
        one.suffix.lower() in SUFFIXES and one.with_suffix(".txt").is_file() for one in root.iterdir()
    ):
        found = {"train": root}
    if not found:
        raise MissingError(
            f"data.path: {root} holds no images/train, train/images or images, no train.txt with paths of images, no "
            "images beside their labels, and no data.yaml that names them"
        )
    return {part: images_at(place, [root]) for part, place in found.items()}, []


def lists_in(root: Path) -> dict[str, Path]:
    """Return darknet's and CVAT's train.txt and the like in ``root``; not where they are the labels of an image."""
    return {
        part: root / f"{name}.txt"
        for part, names in NAMES.items()
        for name in reversed(names)
        if (root / f"{name}.txt").is_file() and image_of(root, name) is None
    }


def described_parts(file: Path, own: Container[str]) -> tuple[Parts, list[str]] | None:
    """Return the images of each part that data.yaml names: a folder, a list of images, or several of them.

    Paths are from the folder that it calls path, or from its own. A validation or test part without images is left
    out, and so is one that is not there, where Roboflow wrote the file, which names all three parts always.

    Returns:
        As `find_parts`, or None where it names no part.

    Raises:
        MissingError: it names what is not there.
    """
    facts = described(file)
    keys = {part: key for part, names in NAMES.items() for key in reversed(names) if facts.get(key)}
    homes = (file.parent / str(facts.get("path") or ""), file.parent)
    parts, notes = {}, []
    for part, key in keys.items():
        if part in own:
            continue
        entries = list(map(str, facts[key] if isinstance(facts[key], list) else [facts[key]]))
        places = [there(one, homes) for one in entries]
        may_lack = part != "train" and len(entries) == 1 and ("roboflow" in facts or entries[0].startswith("../"))
        if None in places and not may_lack:
            one = entries[places.index(None)]
            raise MissingError(
                f"{file}: {key} names {one}, which is not in {homes[0]}; correct it, or give data.{part}"
            )
        images = [image for place in places if place for image in images_at(place, homes)]
        if images or part == "train":
            parts[part] = images
        else:
            notes.append(f"{file}: {key} names {', '.join(entries)}, where no image is; the part is left out")
    return (parts, notes) if keys else None


def there(name: str, homes: Iterable[Path]) -> Path | None:
    """Return what lies at the path ``name`` from the first of ``homes`` where something does, or None.

    Each of `PREFIXES` is tried without it, too.
    """
    names = [name, *(name.removeprefix(one) for one in PREFIXES if name.startswith(one))]
    return next((place for home in homes for one in names if (place := home / one).exists()), None)


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
    """Return the file in ``root`` that describes the set by its name, or None."""
    return next((root / name for name in USUAL if (root / name).is_file()), None)


def only_description(root: Path) -> Path | None:
    """Return the one YAML file in ``root`` that has names of classes, whatever it is called, or None."""
    found = []
    for file in sorted(root.iterdir()):
        if file.suffix.lower() in YAML and not hidden(Path(file.name)):
            with suppress(MissingError):  # of something else
                found += [file] if described(file).get("names") else []
    return found[0] if len(found) == 1 else None


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


def names_of(home: Path, file: Path | None, folders: AbstractSet[Path]) -> list[str]:
    """Return the class names that a set tells, none where it does not.

    Args:
        home: where they are looked for first; last in up to two folders above.
        file: its data.yaml, if there is one.
        folders: those of label files, in which lists may lie.
    """
    above = ((one, description(one)) for one in home.parents[:2])
    beside = agreed_names(folders | {home / "labels"})
    return names_in(home, file) or beside or next((names for one in above if (names := names_in(*one))), [])


def names_in(folder: Path, file: Path | None) -> list[str]:
    """Return the class names of data.yaml, ``file``, or of a list in ``folder``; none where neither is.

    Raises:
        MissingError: they are numbered, but not from 0 on.
    """
    names = described(file).get("names") if file else None
    if isinstance(names, dict):
        named = {str(index): str(name) for index, name in names.items()}
        if set(named) != set(map(str, range(len(names)))):
            raise MissingError(f"{file}: names are of {', '.join(named)}; count from 0")
        return [named[str(index)] for index in range(len(named))]
    if isinstance(names, list):
        return list(map(str, names))
    return next((listed_names(folder / name) for name in LISTS if (folder / name).is_file()), [])


def listed_names(file: Path) -> list[str]:
    """Return the names in a list, one a line."""
    return [line.strip() for line in read_text(file).splitlines() if line.strip()]


def agreed_names(folders: Iterable[Path]) -> list[str]:
    """Return the class names in the lists beside label files, none where there is no list.

    Raises:
        MissingError: they differ, so that a number means another class in each.
    """
    lists = [folder / name for folder in sorted(folders) for name in LISTS if (folder / name).is_file()]
    found = {file: listed_names(file) for file in lists}
    for file, names in found.items():
        if names != found[lists[0]]:
            told = " and ".join(f"{one} ({', '.join(found[one])})" for one in (lists[0], file))
            raise MissingError(f"{told} differ; labels count in their order: make them agree, or give data.classes")
    return found[lists[0]] if lists else []


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
