"""Sets that tensorflow-datasets has prepared, read without it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spiral_cli.data.examples import Keys
from spiral_cli.data.formats.tfrecord import read_classes
from spiral_cli.data.raw import NAMES, PARTS, Raw, own_paths, root_path
from spiral_cli.data.shards import Shards, check_labels, index, raw_from_shards
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

INFO, FEATURES = "dataset_info.json", "features.json"
TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
PREPARE = "prepare it again by tfds.builder(NAME, file_format='tfrecord').download_and_prepare()"
UNKNOWN = -1  # what tensorflow-datasets writes where a test part ships no labels


@dataclass(frozen=True)
class Source:
    """One prepared version.

    Attributes:
        folder: of the version.
        info: its dataset_info.json.
        keys: the features of image or text, and label.
        classes: their names, where a file lists them.
        count: how many there are, where features.json says it.
    """

    folder: Path
    info: Mapping[str, Any]
    keys: Keys
    classes: tuple[str, ...] | None
    count: int | None


@datasets.register("tfds", needs=("path",), streams=True)
def tfds(settings: Data) -> Raw:
    """A version folder that tensorflow-datasets has prepared as TFRecord, such as cifar10/3.0.2."""
    parts, classes = read_parts(settings, "Image", settings.image_size is None or settings.channels is None)
    return raw_from_shards(parts, settings, classes)


def read_parts(settings: Data, kind: str, looking: bool) -> tuple[dict[str, Shards], tuple[str, ...] | None]:
    """Return the index of every part there is, and the names of the classes where a file lists them.

    Args:
        settings: the recipe's.
        kind: class of the feature that is classified.
        looking: look at the images' heads, too.

    Raises:
        MissingError: a version cannot be used, or they do not fit each other.
    """
    root = root_path(settings)
    own = {part: open_source(path, kind) for part, path in own_paths(settings).items()}
    sources = ({part: open_source(root, kind) for part in PARTS} if root else {}) | own
    classes = next(iter(sources.values())).classes
    for part, source in sources.items():
        if source.classes != classes:
            raise MissingError(f"data.{part}: {source.folder} has other classes than the rest, or another order")
    parts = {part: read_part(part, source, looking) for part, source in sources.items()}
    return {part: shards for part, shards in parts.items() if shards is not None}, classes


def open_source(path: Path, kind: str) -> Source:
    """Return what the files of a prepared version say of it.

    Raises:
        MissingError: there is none, it is no TFRecord, or it has not one feature of class ``kind`` and one class.
    """
    folder = version_folder(path)
    info = read_json(folder / INFO)
    written = info.get("fileFormat", "tfrecord")
    if written != "tfrecord":
        raise MissingError(f"{folder} was prepared as {written}; allowed is tfrecord: {PREPARE}")
    known = {name: (kind, facts) for name, kind, facts in features(read_json(folder / FEATURES))}
    content = choose(kind, known, info, folder)
    label = choose("ClassLabel", known, info, folder)
    if kind == "Image" and (dtype := known[content][1].get("dtype", "uint8")) not in ("uint8", "uint16"):
        raise MissingError(f"{folder}: images of type {dtype} cannot be read; allowed are uint8 and uint16")
    names = folder / f"{label.replace('/', '-')}.labels.txt"
    classes = read_classes(names) if names.is_file() else None
    facts = known[label][1]
    count = len(classes) if classes else int(facts.get("numClasses") or facts.get("num_classes") or 0)
    return Source(folder, info, Keys([content], [label]), classes, count or None)


def version_folder(path: Path) -> Path:
    """Return the folder of the only version in ``path``, or ``path`` where it is one.

    Raises:
        MissingError: there is none, or several.
    """
    if (path / INFO).is_file():
        return path
    versions = sorted(file.parent for file in path.glob(f"*/{INFO}"))
    if len(versions) != 1:
        held = ", ".join(folder.name for folder in versions) or "none"
        raise MissingError(
            f"{path} must be a version folder of tensorflow-datasets, with {INFO} in it, or hold exactly one; found "
            f"{held}; give the path of one version, such as cifar10/3.0.2"
        )
    return versions[0]


def read_json(file: Path) -> dict[str, Any]:
    """Return what a JSON file of a version holds.

    Raises:
        MissingError: it is not there, or no JSON object.
    """
    try:
        held = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise MissingError(f"{file} cannot be read ({error}); copy the whole version folder, or {PREPARE}") from error
    if not isinstance(held, dict):
        raise MissingError(f"{file} holds no JSON object; {PREPARE}")
    return held


def features(node: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield name, class and facts of each feature below ``node`` of features.json, in the layout of any version."""
    kind = str(node.get("pythonClassName") or node.get("type", "")).rpartition(".")[2]
    content = node.get("content", node)  # before tensorflow-datasets 4.6
    content = json.loads(content) if isinstance(content, str) else content
    if kind == "FeaturesDict":
        inner = content.get("featuresDict", content)
        for child, below in inner.get("features", inner).items():
            yield from features(below, f"{name}/{child}" if name else child)
    else:
        yield name, kind, content.get("image") or content.get("classLabel") or content


def choose(kind: str, known: Mapping[str, tuple[str, Mapping[str, Any]]], info: Mapping[str, Any], folder: Path) -> str:
    """Return the feature of class ``kind`` to use: the one that supervised learning uses, or the only one.

    Raises:
        MissingError: there is none, or nothing tells which.
    """
    names = [name for name, (found, _) in known.items() if found == kind]
    stated = info.get("supervisedKeys", {})
    items = stated.get("tuple", {}).get("items", [])
    used = [item.get("featureKey") for item in items] + [stated.get("input"), stated.get("output")]
    preferred = [name for name in names if name in used] or names
    if len(preferred) != 1:
        held = ", ".join(f"{name} ({found})" for name, (found, _) in known.items()) or "nothing"
        raise MissingError(
            f"{folder}: exactly one feature must be of class {kind}, or named by the supervised keys; there are {held}"
        )
    return preferred[0]


def read_part(part: str, source: Source, looking: bool) -> Shards | None:
    """Return the index of a part, or None where the version ships none, or one without labels.

    Raises:
        MissingError: shards are missing or damaged.
    """
    splits = {split.get("name"): split for split in source.info.get("splits", [])}
    name = next((name for name in NAMES[part] if name in splits), None)
    if name is None:
        return None
    lengths = [int(length) for length in splits[name].get("shardLengths", [])]
    files = shard_files(source, name, splits[name].get("filepathTemplate", TEMPLATE), len(lengths))
    shards = index(files, source.keys, looking)
    for file, length, stated in zip(files, np.diff(shards.first), lengths, strict=True):
        if length != stated:
            raise MissingError(f"{file} holds {length} records, but {INFO} says {stated}; copy or prepare it again")
    if (shards.labels == UNKNOWN).all():
        return None
    check_labels(shards, source.count, source.classes)
    return shards


def shard_files(source: Source, split: str, template: str, count: int) -> list[Path]:
    """Return the ``count`` shards of a split by their names.

    Raises:
        MissingError: one is not there, or there should be none.
    """
    digits = max(5, len(str(count)))
    every = f"{count:0{digits}}"
    files = []
    for number in range(count):
        shard = f"{number:0{digits}}"
        files.append(
            source.folder
            / template.format(
                DATASET=source.info.get("name"),
                SPLIT=split,
                FILEFORMAT="tfrecord",
                SHARD_INDEX=shard,
                NUM_SHARDS=every,
                SHARD_X_OF_Y=f"{shard}-of-{every}",
            )
        )
    missing = [file for file in files if not file.is_file()]
    if missing or not files:
        what = f"{missing[0]} is missing" if missing else f"{source.folder}: {INFO} names no shard of {split}"
        raise MissingError(f"{what}; copy the whole version folder, or {PREPARE}")
    return files
