"""Rows of text files: tab- or comma-separated with a header, or JSON lines. Every error names file and line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spiral_cli.data.raw import NAMES, own_paths, root_path
from spiral_cli.errors import MissingError, did_you_mean
from spiral_cli.recipe.data import Data

DELIMITERS = {".tsv": ("\t",), ".csv": (",", ";")}  # spreadsheets write ; where a comma stands in numbers
LINE_END = re.compile(r"[\r\n]")
QUOTED = re.compile(r'"(?:[^"]|"")*"')  # a field as csv writers quote it
LINES = (".jsonl", ".json", ".ndjson")
ENDINGS = (*DELIMITERS, *LINES)
LONGEST = 2**24  # characters of one field
EXACT = 2**53  # whole numbers below it are written alike as float and as integer
Line = tuple[int, dict[str, str]]


def part_files(settings: Data, endings: Sequence[str] = ENDINGS) -> dict[str, Path]:
    """Return the file of each part: in the folder `data.path` by its name, or where the recipe says.

    A file as `data.path` is train alone.

    Raises:
        MissingError: there is none.
    """
    root = root_path(settings)
    if root is None or root.is_file():
        found = {} if root is None else {"train": root}
    else:
        found = {
            part: path
            for part, names in NAMES.items()
            for path in reversed([root / f"{name}{ending}" for name in names for ending in endings])
            if path.is_file()
        }
    found |= own_paths(settings)
    if not found:
        names = ", ".join(f"train{ending}" for ending in endings)
        raise MissingError(f"data.path: {root} holds no train file; allowed are {names}, and the same for test")
    return found


def read_table(path: Path, wanted: Mapping[str, str], also: Mapping[str, str] | None = None) -> Iterator[Line]:
    """Yield the line (from 1) and the fields of every row of a file.

    Windows line ends and a byte-order mark are read over; empty lines are left out. A .csv may have ; between its
    fields, and spaces behind. In a .tsv quotes are letters, unless the whole file is written as csv writers do it; see
    `quoted`. Of JSON's numbers 1 and 1.0 are the same.

    Args:
        path: ends in .tsv or .csv, with a header, or .jsonl.
        wanted: the name of each column by what it is for, which becomes its key.
        also: such columns that need not be there.

    Raises:
        MissingError: the file cannot be read, has no such columns, or a row that does not fit; with the line.
    """
    text, also = read_text(path), also or {}
    if path.suffix in DELIMITERS:
        yield from _separated(path, text, DELIMITERS[path.suffix], wanted, also)
    elif path.suffix in LINES:
        yield from _json_lines(path, text, wanted, also)
    else:
        raise MissingError(f"{path} is no table; allowed are files that end in {', '.join(ENDINGS)}")


def read_text(path: Path) -> str:
    """Return a file's text without byte-order mark, line ends as they are.

    Raises:
        MissingError: it cannot be read, or is no UTF-8; with the line of the first bad byte.
    """
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MissingError(
            f"{path}, line {line}: the byte {content[error.start]:#04x} is no UTF-8; store the file as UTF-8"
        ) from error
    except OSError as error:
        raise MissingError(f"{path} cannot be read ({error.strerror or error})") from error


def quoted(text: str) -> bool:
    """Say whether tab-separated text is written as csv writers do: fields with quotes in quotes, those in them doubled.

    It is if a field begins with a quote, all that do are quoted as a whole in one line, and no other holds a quote. So
    ``"hello" he said`` in any of its lines makes all quotes of a file letters.
    """
    if '"' not in text:
        return False
    lines = (line.rstrip("\r\n").split("\t") for line in io.StringIO(text, newline=""))
    return all(QUOTED.fullmatch(field) for line in lines for field in line if '"' in field)


def _separated(
    path: Path, text: str, delimiters: Sequence[str], wanted: Mapping[str, str], also: Mapping[str, str]
) -> Iterator[Line]:
    csv.field_size_limit(LONGEST)
    delimiter = _delimiter(text, delimiters, wanted)
    letters = delimiter == "\t" and not quoted(text)
    rows = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if letters else csv.QUOTE_MINIMAL,
        skipinitialspace=delimiter != "\t",
    )
    try:
        header = next(rows, None)
        if header is None:
            raise MissingError(f"{path} is empty; its first line names the columns: {', '.join(wanted.values())}")
        places = _places(path, header, wanted, also)
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                split = letters and any(field.startswith('"') != field.endswith('"') for field in row)
                hint = "; in a .tsv no field holds a tab or a line end, in quotes or not: write a .csv" if split else ""
                raise MissingError(
                    f"{path}, line {rows.line_num}: received {len(row)} fields; the header has {len(header)}{hint}"
                )
            yield rows.line_num, {name: row[place] for name, place in places.items()}
    except csv.Error as error:
        raise MissingError(f"{path}, line {rows.line_num}: {error}") from error


def _delimiter(text: str, delimiters: Sequence[str], wanted: Mapping[str, str]) -> str:
    first = LINE_END.split(text, maxsplit=1)[0]

    def columns(delimiter: str) -> tuple[int, int]:
        """Return how many of the wanted columns the first line has, and how many at all."""
        names = [name.strip(' "') for name in first.split(delimiter)]
        return len(set(names) & set(wanted.values())), len(names)

    return max(delimiters, key=columns)


def _places(path: Path, header: Sequence[str], wanted: Mapping[str, str], also: Mapping[str, str]) -> dict[str, int]:
    names = [name.strip() for name in header]
    for role, column in wanted.items():
        if column not in names:
            near = did_you_mean(column, names)
            raise MissingError(
                f"{path}, line 1: there is no column '{column}', only {', '.join(names)}{near}; the first line names "
                f"the columns, and data.columns says which is which, for example {{{role}: {names[0] or 'name'}}}"
            )
    there = {role: column for role, column in also.items() if column in names}
    return {role: names.index(column) for role, column in {**wanted, **there}.items()}


def _json_lines(path: Path, text: str, wanted: Mapping[str, str], also: Mapping[str, str]) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # also a number of thousands of digits, thousands of brackets
            raise MissingError(
                f"{place}: is no JSON that can be read ({getattr(error, 'msg', error)}); every line is one object"
            ) from error
        if not isinstance(row, dict):
            raise MissingError(f'{place}: is no object; write {{"{next(iter(wanted.values()))}": …}}')
        there = {role: column for role, column in also.items() if row.get(column) is not None}
        yield number, {role: _text(row, role, column, place) for role, column in {**wanted, **there}.items()}


def _text(row: Mapping[str, Any], role: str, column: str, place: str) -> str:
    if column not in row:
        near = did_you_mean(column, list(row))
        raise MissingError(
            f"{place}: there is no text or number under '{column}', only {', '.join(row)}{near}; "
            f"data.columns says what it is called: {{{role}: name}}"
        )
    value = row[column]
    if not isinstance(value, str | int | float):
        kind = "null" if value is None else "a list" if isinstance(value, list) else "an object"
        raise MissingError(f"{place}: '{column}' is {kind}; allowed is a text or a number")
    try:
        str(value).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise MissingError(f"{place}: '{column}' holds {half}, half of a character; mend or remove it") from error
    whole = isinstance(value, float) and value.is_integer() and abs(value) < EXACT
    return str(int(value) if whole else value)
