"""Pascal VOC: an XML file an image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from spiral_cli.data.box_files import Picture, class_index, image_of, numbers, raw_of, written_size
from spiral_cli.data.class_files import class_folders, hidden
from spiral_cli.data.raw import NAMES, Raw, own_paths, root_path
from spiral_cli.data.tables import read_text
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

CORNERS = ("xmin", "ymin", "xmax", "ymax")
MARK = re.compile(r"\s+(1|-1|0)$")  # behind a name in the list of a class: whether the image shows it
ANNOTATIONS, IMAGES = ("annotations",), ("jpegimages", "images")  # folders, in letters of any case
LAYOUTS = (
    "Annotations with JPEGImages (and lists in ImageSets/Main), annotations with images, and .xml files beside their "
    "images; the last two also in folders train, valid and test"
)
EDGE = 1.0  # pixels are counted from 1 and the last one belongs to the box: its left edge is one less
Place = tuple[Path, Sequence[Path]]  # an XML file, and the folders in which its image may be


@dataclass(frozen=True)
class Described:
    """What an XML file says of an image.

    Attributes:
        xml: the file.
        image: of the image, which may be missing.
        objects: class name and edges of each.
        difficult: how many are marked so.
        size: (height, width) of the image as it is written, or None.
    """

    xml: Path
    image: Path
    objects: Sequence[tuple[str, list[float]]]
    difficult: int
    size: tuple[int, int] | None


@datasets.register("voc", needs=("path",), gives="boxes", streams=True)
def voc(settings: Data) -> Raw:
    """Pascal VOC: JPEGImages, Annotations (XML), ImageSets/Main/train.txt, …; or train, valid, test of both."""
    root, own = root_path(settings), own_paths(settings)
    found, bare = find_parts(root) if root else ({}, {})
    files = found | {part: listed(path) for part, path in own.items()}
    parts = {part: [described(*one) for one in pairs] for part, pairs in files.items()}
    every = [one for many in parts.values() for one in many]
    classes = settings.classes or sorted({name for one in every for name, _ in one.objects})
    difficult = sum(one.difficult for one in every)
    notes = [f"{folder} holds no .xml file and is left out" for part, folder in bare.items() if part not in own]
    if difficult:
        notes.append(f"{difficult} objects are marked difficult; they count like all others")
    return raw_of({part: [picture(one, classes) for one in many] for part, many in parts.items()}, classes, notes)


def picture(one: Described, classes: Sequence[str]) -> Picture:
    """Return a described image with class indices."""
    boxes = [
        (left, top, right, bottom, class_index(name, classes, str(one.xml)))
        for name, (left, top, right, bottom) in one.objects
    ]
    return Picture(one.image, boxes, one.size)


def find_parts(root: Path) -> tuple[dict[str, list[Place]], dict[str, Path]]:
    """Find the parts: what lists in ImageSets/Main say, else folders of their names; what else ``root`` holds is train.

    Returns:
        The XML file of each image of each part, with the folders its image may be in; and folders without any.

    Raises:
        MissingError: there are no annotations.
    """
    lists = root / "ImageSets" / "Main"
    names = {**NAMES, "train": (*NAMES["train"], "trainval")}
    found = {
        part: next((lists / f"{name}.txt" for name in several if (lists / f"{name}.txt").is_file()), None)
        for part, several in names.items()
    }
    if stated := {part: listed(path) for part, path in found.items() if path is not None}:
        return stated, {}
    folders = {part: folder for part in NAMES if (folder := below(root, NAMES[part])) is not None}
    places = {part: in_folder(folder) for part, folder in folders.items()}
    parts = {part: many for part, many in places.items() if many}
    if "train" not in parts and (rest := in_folder(root) if parts else listed(root)):
        parts["train"] = rest
    return parts, {part: folder for part, folder in folders.items() if part not in parts}


def below(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the folder in ``folder`` that has the first of these ``names``, in letters of any case, or None."""
    there = {one.name.lower(): one for one in class_folders(folder)} if folder.is_dir() else {}
    return next((there[name] for name in names if name in there), None)


def in_folder(folder: Path) -> list[Place]:
    """Return the XML files in ``folder``, or in the annotations below, with the folders their images may be in."""
    for place in filter(None, (below(folder, ANNOTATIONS), folder)):
        if files := [one for one in sorted(place.glob("*.xml")) if not hidden(Path(one.name))]:
            beside = below(place.parent, IMAGES)
            return [(xml, [place] if beside is None else [place, beside]) for xml in files]
    return []


def listed(path: Path) -> list[Place]:
    """Return XML files and the folders of their images: those a list names, or those in a folder.

    Args:
        path: ImageSets/Main/NAME.txt with the name of an image a line, or a folder as `in_folder` reads it; VOC's
            lists of a class say 1, -1 or 0 behind each name, which counts for nothing here.

    Raises:
        MissingError: there are none, or a list names one that is not there.
    """
    if not path.is_file():
        if not (found := in_folder(path)):
            raise MissingError(
                f"{path} holds no .xml file, of which Pascal VOC has one for every image; read are {LAYOUTS}"
            )
        return found
    if path.suffix != ".txt":
        raise MissingError(f"{path}: a part of a voc set is ImageSets/Main/NAME.txt, or a folder of .xml files")
    root = path.parents[2] if len(path.parents) > 2 else path.parent
    pairs: list[Place] = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        name = line.strip()
        xml, marked = (root / "Annotations" / f"{one}.xml" for one in (name, MARK.sub("", name)))
        if not xml.is_file():
            xml = marked
        if not xml.is_file():
            raise MissingError(f"{path}, line {number}: there is no {xml}; every image that is named needs one")
        pairs.append((xml, [root / "JPEGImages"]))
    return pairs


def described(xml: Path, images: Sequence[Path]) -> Described:
    """Read one XML file, whose image is in one of the folders ``images``.

    Raises:
        MissingError: it is no XML, or an object lacks its name or an edge.
    """
    try:
        root = ElementTree.fromstring(xml.read_bytes())
    except ElementTree.ParseError as error:
        raise MissingError(f"{xml}, line {error.position[0]}: is no XML ({error}); mend or remove it") from error
    except (LookupError, ValueError) as error:
        raise MissingError(
            f"{xml}, line 1: has an encoding that cannot be read ({error}); store it as UTF-8"
        ) from error
    except OSError as error:
        raise MissingError(f"{xml} cannot be read ({error.strerror or error})") from error
    objects, difficult = [], 0
    for number, one in enumerate(root.iter("object"), 1):
        name = (one.findtext("name") or "").strip()
        if not name:
            raise MissingError(f"{xml}, object {number}: has no name, which is its class")
        texts = [one.findtext(f"bndbox/{corner}") or "nothing" for corner in CORNERS]
        left, top, right, bottom = numbers(texts, 4, f"{xml}, object {number}")
        point = right <= left or bottom <= top  # by the letter a single pixel; meant is none
        objects.append((name, [left, top, right, bottom] if point else [left - EDGE, top - EDGE, right, bottom]))
        difficult += (one.findtext("difficult") or "").strip() == "1"
    size = written_size(root.findtext("size/height"), root.findtext("size/width"))
    return Described(xml, next(candidates(xml, images, root)), objects, difficult, size)


def candidates(xml: Path, images: Sequence[Path], root: ElementTree.Element) -> Iterator[Path]:
    """Yield where an image may lie: under the XML file's own name, or as it says (which is often outdated)."""
    yield from (own for folder in images if (own := image_of(folder, xml.stem)) is not None)
    said = (root.findtext("filename") or "").strip() or f"{xml.stem}.jpg"
    yield from (file for folder in images if (file := folder / said).is_file())
    yield images[-1] / said
