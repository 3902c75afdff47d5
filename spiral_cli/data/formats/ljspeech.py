"""LJSpeech's folder: metadata.csv with a bar between the fields, and wavs."""

from __future__ import annotations

from pathlib import Path

from spiral_cli.data.raw import Arrays, Raw, column, own_paths, root_path
from spiral_cli.data.speech import Utterance
from spiral_cli.data.tables import read_text
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

ENDING = ".wav"


@datasets.register("ljspeech", needs=("path",), gives="speech")
def ljspeech(settings: Data) -> Raw:
    """LJSpeech (Ito and Johnson 2017): metadata.csv of name|text|text in words, and the folder wavs; split here."""
    root = root_path(settings)
    folders = ({} if root is None else {"train": root}) | own_paths(settings)
    return Raw.of({part: read_part(folder) for part, folder in folders.items()})


def read_part(folder: Path) -> Arrays:
    """Return the recordings of a folder and the last field of each line, where numbers are written as words.

    Raises:
        MissingError: there is no metadata.csv, or a line of it that is not name|text or name|text|text, or names no
            recording.
    """
    table = folder / "metadata.csv"
    heard, texts = [], []
    for number, line in enumerate(read_text(table).splitlines(), 1):
        if not line.strip():
            continue
        fields = line.split("|")
        if len(fields) not in (2, 3):
            raise MissingError(
                f"{table}, line {number}: received {len(fields)} fields; allowed: name|text|text in words"
            )
        name = fields[0].strip()
        file = folder / "wavs" / (name if name.lower().endswith(ENDING) else f"{name}{ENDING}")
        if not file.is_file():
            header = "; LJSpeech has no line of names above: if this is one, remove it" if number == 1 else ""
            raise MissingError(f"{table}, line {number}: there is no file {file}{header}")
        heard.append(Utterance(str(file), ""))
        texts.append(fields[-1])
    if not heard:
        raise MissingError(f"{table} holds no line")
    return Arrays(column(heard), column(texts))
