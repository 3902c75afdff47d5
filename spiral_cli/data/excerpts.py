"""Rows of tables that name recordings, or parts of them: several examples may lie in one long file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spiral_cli.data.audio_files import WHOLE, Cut, seconds_of
from spiral_cli.data.tables import read_table
from spiral_cli.errors import MissingError

TIMES = {"offset": "offset", "duration": "duration"}  # in seconds, where a recording holds several examples
ROUNDED = 0.1  # seconds that a part may end behind its recording: durations are rounded


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        place: table and line, for messages.
        file: the recording that it names.
        cut: which part of it is meant.
        fields: all that was asked for, by what it is for.
    """

    place: str
    file: Path
    cut: Cut
    fields: Mapping[str, str]


def read_rows(table: Path, wanted: Mapping[str, str], role: str) -> Iterator[Row]:
    """Yield the rows of a table of recordings, with the parts that its columns offset and duration tell, if any.

    Args:
        table: its paths are relative to it.
        wanted: the name of each column by what it is for, of offset and duration where they must be there.
        role: under which of these the recording's path stands.

    Raises:
        MissingError: there is no row, or one without its recording, or of a time that the recording has not.
    """
    rows = list(read_table(table, wanted, {time: name for time, name in TIMES.items() if time not in wanted}))
    if not rows:
        raise MissingError(f"{table} holds no row")
    lasts = cache(lasting)
    for line, fields in rows:
        place, name = f"{table}, line {line}", fields[role].strip()
        if not name:
            raise MissingError(f"{place}: the path of the recording is empty; every row needs one")
        file = table.parent / name
        if not file.is_file():
            raise MissingError(f"{place}: there is no file {file}; paths are relative to the table")
        offset, duration = (fields.get(time, "").strip() for time in TIMES)
        yield Row(place, file, cut_of(offset, duration, lasts(file), place) if offset else WHOLE, fields)


def lasting(file: Path) -> float:
    """Return how many seconds a recording lasts, 0 of a file of no bytes; raises as `seconds_of`."""
    return seconds_of(file) if file.stat().st_size else 0.0


def cut_of(offset: str, duration: str, lasts: float, place: str) -> Cut:
    """Return the part of a recording of ``lasts`` seconds that begins at ``offset``; of no duration it is the rest.

    A recording of nothing is whole from 0 on: it is left out and counted where it is read.

    Raises:
        MissingError: they are no numbers, or of a part that is not there.
    """
    start, seconds = seconds_in("offset", offset, place), seconds_in("duration", duration, place) if duration else None
    if start == lasts == 0:
        return WHOLE
    if start >= lasts:
        raise MissingError(f"{place}: the offset {offset} is behind the end of the recording, which lasts {lasts:g} s")
    if seconds == 0:
        raise MissingError(f"{place}: received the duration {duration}; allowed are seconds above 0, or none")
    if seconds is not None and start + seconds > lasts + ROUNDED:
        raise MissingError(
            f"{place}: from {offset} s on {duration} s are more than the recording has, which lasts {lasts:g} s"
        )
    return Cut(start, seconds)


def seconds_in(name: str, value: str, place: str) -> float:
    """Return a number of seconds from 0.

    Raises:
        MissingError: it is none.
    """
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise MissingError(f"{place}: received the {name} '{value}'; allowed are seconds from 0")
    return seconds
