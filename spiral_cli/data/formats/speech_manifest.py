"""Tables of recordings with their transcripts: NeMo's JSON lines, or any table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from spiral_cli.data.audio_files import WHOLE, Cut, seconds_of
from spiral_cli.data.raw import Arrays, Raw, column
from spiral_cli.data.speech import Utterance
from spiral_cli.data.tables import part_files, read_table
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

COLUMNS = {"audio": "audio_filepath", "text": "text"}
TIMES = {"offset": "offset", "duration": "duration"}  # in seconds, where a recording holds several utterances
ROUNDED = 0.1  # seconds that an utterance may end behind its recording: durations are rounded


@datasets.register(
    "speech_manifest", needs=("path",), gives="speech", columns=("audio", "text", "speaker", "offset", "duration")
)
def speech_manifest(settings: Data) -> Raw:
    """JSON lines of audio_filepath and text (NeMo, with offset and duration), or a table with such columns."""
    wanted = {**COLUMNS, **settings.columns}
    return Raw.of({part: read_part(path, wanted) for part, path in part_files(settings).items()})


def read_part(path: Path, wanted: Mapping[str, str]) -> Arrays:
    """Return the recordings of a manifest and what is said in them; paths are relative to it.

    Where it names no speakers, recordings in one folder are of one.

    Raises:
        MissingError: there is no row, or one without its recording, or of a time that the recording has not.
    """
    heard, texts, lasts = [], [], cache(seconds_of)
    for line, row in read_table(path, wanted, {role: name for role, name in TIMES.items() if role not in wanted}):
        place, name = f"{path}, line {line}", row["audio"].strip()
        if not name:
            raise MissingError(f"{place}: the path of the recording is empty; every transcript needs one")
        file = path.parent / name
        if not file.is_file():
            raise MissingError(f"{place}: there is no file {file}; paths are relative to the table")
        offset = row.get("offset", "").strip()
        cut = cut_of(offset, row.get("duration", "").strip(), lasts(file), place) if offset else WHOLE
        heard.append(Utterance(str(file), row.get("speaker", str(file.parent)), cut))
        texts.append(row["text"])
    if not heard:
        raise MissingError(f"{path} holds no row")
    return Arrays(column(heard), column(texts))


def cut_of(offset: str, duration: str, lasts: float, place: str) -> Cut:
    """Return the part of a recording of ``lasts`` seconds that begins at ``offset``; of no duration it is the rest.

    Raises:
        MissingError: they are no numbers, or of a part that is not there.
    """
    start, seconds = seconds_in("offset", offset, place), seconds_in("duration", duration, place) if duration else None
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
