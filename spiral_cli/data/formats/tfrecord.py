"""TFRecord shards of encoded images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from spiral_cli.data.class_files import hidden
from spiral_cli.data.examples import Keys
from spiral_cli.data.raw import NAMES, PARTS, Raw, existing
from spiral_cli.data.shards import Shards, check_labels, index, names_beside, raw_from_shards
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

KEYS = Keys(("image", "image/encoded", "image_raw"), ("label", "image/class/label"), ("image/class/text",))
SHARD = re.compile(r".*?(-(?P<number>\d+)-of-(?P<count>\d+))?(?P<suffix>\.(tfrecords?|tfrec|records?))?(\.gz)?")
CLASSES = "labels.txt"


@datasets.register("tfrecord", needs=("path",), streams=True)
def tfrecord(settings: Data) -> Raw:
    """TFRecord shards of png or jpg images and labels, train-00000-of-00010 …, validation-…, test-…."""
    stated = {key: path for key in ("path", *PARTS) if isinstance(path := getattr(settings, key), str)}
    found = {key: shard_files(Path(path), key) for key, path in stated.items()}
    files = by_part(found.pop("path", [])) | found
    looking = settings.image_size is None or settings.channels is None
    parts = {part: index(shards, KEYS, looking) for part, shards in files.items()}
    own = own_classes(parts)
    known = own or settings.classes
    for shards in parts.values():
        check_labels(shards, len(known) if known else None, known)
    return raw_from_shards(parts, settings, own)


def shard_files(path: Path, key: str) -> list[Path]:
    """Return the shards that ``path`` names, sorted: those in a folder, one file, or what fits a pattern such as a*b.

    Raises:
        MissingError: there are none, or a folder lacks some of those its names count.
    """
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if is_shard(file)]
        if not files:
            raise MissingError(
                f"data.{key}: {path} holds no shard, named NAME-00000-of-00010, NAME.tfrecord or both; rename them, "
                f"or give a pattern of their names ({path}/*) as data.{key}"
            )
        check_complete(files)
        return files
    if not path.exists() and re.search(r"[*?[]", path.name):
        fitting = sorted(file for file in path.parent.glob(path.name) if file.is_file())
        if fitting:
            return fitting
    return [existing(path, key)]


def is_shard(file: Path) -> bool:
    """Say whether a file's name is that of a shard."""
    match = SHARD.fullmatch(file.name)
    named = match is not None and (match["number"] or match["suffix"])
    return bool(named) and not hidden(Path(file.name)) and file.is_file()


def check_complete(files: Sequence[Path]) -> None:
    """Refuse shards of a count that their names state, where some are not there.

    Raises:
        MissingError: with the first one.
    """
    there = {file.name for file in files}
    sets: dict[tuple[str, int, str, int], Path] = {}  # before the number, its digits, after it, the count: one file
    for file in files:
        match = SHARD.fullmatch(file.name)
        if match is not None and match["number"]:
            start, end = match.span("number")
            sets[file.name[:start], end - start, file.name[end:], int(match["count"])] = file
    for (before, digits, after, count), file in sets.items():
        for number in range(count):
            name = f"{before}{number:0{digits}}{after}"
            if name not in there:
                raise MissingError(
                    f"{file.parent} holds {file.name}, but not {name}; copy the rest, or give a pattern of the names "
                    f"({before}*) to use those that are there"
                )


def by_part(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the files by the part that a word of their names says; where none says one, all are train.

    Raises:
        MissingError: some say a part and others do not.
    """
    parts: dict[str | None, list[Path]] = {}
    for file in files:
        parts.setdefault(part_of(file.name), []).append(file)
    unknown = parts.pop(None, [])
    if unknown and parts:
        raise MissingError(
            f"{unknown[0]} says no part by its name, as {next(iter(parts.values()))[0].name} does; put train, "
            "validation or test into its name, move it away, or give data.train, data.validation and data.test"
        )
    return {"train": unknown} if unknown else {part: parts[part] for part in PARTS if part in parts}


def part_of(name: str) -> str | None:
    """Return the part that a shard's name says: ``train``, ``validation`` or ``test``, or None."""
    for word in re.findall(r"[a-z]+", name.lower()):
        for part, names in NAMES.items():
            if word in names:
                return part
    return None


def own_classes(parts: Mapping[str, Shards]) -> tuple[str, ...] | None:
    """Return the class names in order: lines of labels.txt beside the shards, or what train's records say, or None.

    Raises:
        MissingError: labels.txt is no text.
    """
    for shards in parts.values():
        file = shards.files[0].parent / CLASSES
        if file.is_file():
            return read_classes(file)
    return names_beside(parts["train"]) if "train" in parts else None


def read_classes(file: Path) -> tuple[str, ...]:
    """Return the class names in a file of one a line, as ``rose`` or, numbered from 0, ``1:rose``.

    Raises:
        MissingError: it is no text, or names a class twice.
    """
    try:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise MissingError(f"{file} cannot be read ({error}); it holds the name of one class a line") from error
    heads, names = [line.partition(":")[0] for line in lines], [line.partition(":")[2].strip() for line in lines]
    if heads == [str(number) for number in range(len(lines))] and all(names):
        lines = names
    if len(set(lines)) != len(lines) or len(lines) < 2:
        raise MissingError(
            f"{file} names {len(lines)} names, {len(set(lines))} of them different; allowed are two or more, none twice"
        )
    return tuple(lines)
