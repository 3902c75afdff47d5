"""COCO: one JSON file a part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spiral_cli.data.box_files import Box, Picture, numbers, raw_of, written_size
from spiral_cli.data.raw import NAMES, Raw, own_paths, root_path
from spiral_cli.data.tables import read_text
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

BESIDE = "_annotations.coco.json"
LOOKED_FOR = 20  # images by which the folder they are in is found


@datasets.register("coco", needs=("path",), gives="boxes", streams=True)
def coco(settings: Data) -> Raw:
    """COCO: annotations/instances_train2017.json and the like, train/_annotations.coco.json, or paths of JSON files."""
    root = root_path(settings)
    files = (find_parts(root) if root else {}) | own_paths(settings)
    sets = {part: read_json(file_of(path)) for part, path in files.items()}
    ids = agreed_categories({file_of(files[part]): content for part, content in sets.items()})
    read = {part: pictures(file_of(files[part]), content, list(ids)) for part, content in sets.items()}
    crowds = sum(crowd for _, crowd in read.values())
    notes = [f"{crowds} boxes of crowds (iscrowd) are left out"] if crowds else []
    return raw_of({part: many for part, (many, _) in read.items()}, list(ids.values()), notes)


def file_of(path: Path) -> Path:
    """Return the JSON file of a part that is named by itself, or by the folder it lies in."""
    return path / BESIDE if path.is_dir() else path


def find_parts(root: Path) -> dict[str, Path]:
    """Return the JSON file of each part below ``root``; the one file there may be is train.

    Raises:
        MissingError: there is none.
    """
    if root.is_file():
        return {"train": root}
    found: dict[str, Path] = {}
    for part, names in NAMES.items():
        files = [root / name / BESIDE for name in names if (root / name / BESIDE).is_file()]
        files += [file for name in names for file in sorted((root / "annotations").glob(f"instances_{name}*.json"))]
        if files:
            found[part] = files[0]
    if not found:
        raise MissingError(
            f"data.path: {root} holds no annotations/instances_train*.json and no train/{BESIDE}; give data.train, "
            "data.validation and data.test the paths of JSON files"
        )
    return found


def read_json(path: Path) -> Mapping[str, Any]:
    """Return what a COCO file holds.

    Raises:
        MissingError: it is no JSON, or lacks one of its three lists.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise MissingError(f"{path}, line {error.lineno}: is no JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise MissingError(f"{path} cannot be read as JSON ({error})") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise MissingError(f"{path} has no list of {key}; COCO has images, annotations and categories")
    return content


def agreed_categories(sets: Mapping[Path, Mapping[str, Any]]) -> dict[int, str]:
    """Return the name of each category id, in the order of ids; the files of all parts must agree.

    Raises:
        MissingError: they do not, or as `categories`.
    """
    found = {path: categories(path, content) for path, content in sets.items()}
    first, *others = found
    for other in others:
        if found[other] != found[first]:
            raise MissingError(f"{first} and {other} differ in categories: {found[first]} and {found[other]}")
    return dict(sorted(found[first].items()))


def categories(path: Path, content: Mapping[str, Any]) -> dict[int, str]:
    """Return the name of each category id of a file.

    Raises:
        MissingError: a category has no id or name, or an id two names.
    """
    found: dict[int, str] = {}
    for number, one in enumerate(content["categories"]):
        try:
            id, name = int(one["id"]), str(one["name"])
        except (KeyError, TypeError, ValueError) as error:
            raise MissingError(f"{path}: a category lacks its id or name ({error!r})") from error
        if found.setdefault(id, name) != name:
            raise MissingError(
                f"{path}, categories[{number}]: the id {id} is taken by '{found[id]}', so '{name}' needs another"
            )
    return found


def pictures(path: Path, content: Mapping[str, Any], ids: Sequence[int]) -> tuple[list[Picture], int]:
    """Return the images of a file with their boxes, and how many boxes of crowds were left out.

    Args:
        path: of the file, for messages and to find the images.
        content: what it holds.
        ids: of the categories, in the order of the classes.

    Raises:
        MissingError: an image or a box that is not as COCO has it, or of an unknown image or category.
    """
    names: dict[Any, str] = {}
    sizes: dict[Any, tuple[int, int] | None] = {}
    for number, image in enumerate(content["images"]):
        named = isinstance(image, dict) and isinstance(image.get("file_name"), str)
        if not named or not isinstance(image.get("id"), int | str):
            raise MissingError(f"{path}, images[{number}]: lacks its id or file_name")
        if image["id"] in names:
            raise MissingError(f"{path}, images[{number}]: the id {image['id']} is taken by {names[image['id']]}")
        names[image["id"]] = image["file_name"]
        sizes[image["id"]] = written_size(image.get("height"), image.get("width"))
    boxes: dict[Any, list[Box]] = {number: [] for number in names}
    crowds = 0
    for number, one in enumerate(content["annotations"]):
        place = f"{path}, annotations[{number}]"
        of = one.get("image_id") if isinstance(one, dict) else None
        if not isinstance(of, int | str) or of not in names:
            raise MissingError(f"{place}: its image_id is of none of the {len(names)} images")
        if one.get("category_id") not in ids:
            known = ", ".join(map(str, ids))
            raise MissingError(f"{place}: the category_id {one.get('category_id')!r} is not one of {known}")
        if one.get("iscrowd"):
            crowds += 1
            continue
        box = one.get("bbox")
        left, top, width, height = numbers(box if isinstance(box, list) else [box], 4, f"{place}, bbox")
        boxes[of].append((left, top, left + width, top + height, ids.index(one["category_id"])))
    folder = images_of(path, list(names.values()))
    return [Picture(folder / name, boxes[number], sizes[number]) for number, name in names.items()], crowds


def images_of(path: Path, names: Sequence[str]) -> Path:
    """Return the folder that the images of a JSON file lie in: the first of the usual ones that holds some."""
    usual = list(folders(path))
    tried = names[:LOOKED_FOR]
    return next((folder for folder in usual if any((folder / name).is_file() for name in tried)), usual[0])


def folders(path: Path) -> Iterator[Path]:
    """Yield the folders in which the images of a JSON file usually lie."""
    part = path.stem.removeprefix("instances_")  # train2017
    for root in (path.parent, path.parent.parent):
        yield from (root, root / part, root / "images" / part, root / "images")
