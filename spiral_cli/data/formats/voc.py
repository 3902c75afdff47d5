"""Pascal VOC: an XML file an image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from spiral_cli.data.box_files import Picture, class_index, image_of, numbers, raw_of
from spiral_cli.data.raw import NAMES, Raw, own_paths, root_path
from spiral_cli.data.tables import read_text
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

CORNERS = ("xmin", "ymin", "xmax", "ymax")
MARK = re.compile(r"\s+(1|-1|0)$")  # behind a name in the list of a class: whether the image shows it
EDGE = 1.0  # pixels are counted from 1 and the last one belongs to the box: its left edge is one less


@dataclass(frozen=True)
class Described:
    """What an XML file says of an image.

    Attributes:
        xml: the file.
        image: of the image, which may be missing.
        objects: class name and edges of each.
        difficult: how many are marked so.
    """

    xml: Path
    image: Path
    objects: Sequence[tuple[str, list[float]]]
    difficult: int


@datasets.register("voc", needs=("path",), gives="boxes", streams=True)
def voc(settings: Data) -> Raw:
    """Pascal VOC: JPEGImages, Annotations with an XML file each, ImageSets/Main/train.txt, val.txt, test.txt."""
    root = root_path(settings)
    files = (find_parts(root) if root else {}) | {part: listed(path) for part, path in own_paths(settings).items()}
    parts = {part: [described(*one) for one in pairs] for part, pairs in files.items()}
    every = [one for many in parts.values() for one in many]
    classes = settings.classes or sorted({name for one in every for name, _ in one.objects})
    difficult = sum(one.difficult for one in every)
    notes = [f"{difficult} objects are marked difficult; they count like all others"] if difficult else []
    return raw_of({part: [picture(one, classes) for one in many] for part, many in parts.items()}, classes, notes)


def picture(one: Described, classes: Sequence[str]) -> Picture:
    """Return a described image with class indices."""
    boxes = [
        (left, top, right, bottom, class_index(name, classes, str(one.xml)))
        for name, (left, top, right, bottom) in one.objects
    ]
    return Picture(one.image, boxes)


def find_parts(root: Path) -> dict[str, list[tuple[Path, Path]]]:
    """Return the XML file of each image of each part, with the folder its image is in.

    Without lists in ImageSets/Main all are train.

    Raises:
        MissingError: there are no annotations.
    """
    lists = root / "ImageSets" / "Main"
    names = {**NAMES, "train": (*NAMES["train"], "trainval")}
    found = {
        part: next((lists / f"{name}.txt" for name in several if (lists / f"{name}.txt").is_file()), None)
        for part, several in names.items()
    }
    stated = {part: listed(path) for part, path in found.items() if path is not None}
    return stated or {"train": listed(root / "Annotations")}


def listed(path: Path) -> list[tuple[Path, Path]]:
    """Return XML files and the folders of their images: those a list names, or those in a folder.

    Args:
        path: ImageSets/Main/NAME.txt with the name of an image a line, or a folder of XML files; VOC's lists of
            a class say 1, -1 or 0 behind each name, which counts for nothing here.

    Raises:
        MissingError: there are none, or a list names one that is not there.
    """
    if not path.is_file():
        images = path.parent / "JPEGImages"
        found = [(xml, images if images.is_dir() else path) for xml in sorted(path.glob("*.xml"))]
        if not found:
            raise MissingError(f"{path} holds no .xml file; Pascal VOC has one for every image in Annotations")
        return found
    if path.suffix != ".txt":
        raise MissingError(f"{path}: a part of a voc set is ImageSets/Main/NAME.txt, or a folder of .xml files")
    root = path.parents[2] if len(path.parents) > 2 else path.parent
    pairs = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        name = line.strip()
        xml, marked = (root / "Annotations" / f"{one}.xml" for one in (name, MARK.sub("", name)))
        if not xml.is_file():
            xml = marked
        if not xml.is_file():
            raise MissingError(f"{path}, line {number}: there is no {xml}; every image that is named needs one")
        pairs.append((xml, root / "JPEGImages"))
    return pairs


def described(xml: Path, images: Path) -> Described:
    """Read one XML file.

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
    return Described(xml, next(candidates(xml, images, root)), objects, difficult)


def candidates(xml: Path, images: Path, root: ElementTree.Element) -> Iterator[Path]:
    """Yield where an image may lie: under the XML file's own name, or as it says (which is often outdated)."""
    if (own := image_of(images, xml.stem)) is not None:
        yield own
    said = (root.findtext("filename") or "").strip()
    yield images / (said or f"{xml.stem}.jpg")
