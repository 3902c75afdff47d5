"""Tables of recordings with their transcripts: NeMo's JSON lines, or any table."""

from __future__ import annotations

from pathlib import Path

from spiral_cli.data.raw import Arrays, Raw, column
from spiral_cli.data.speech import Utterance
from spiral_cli.data.tables import part_files, read_table
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

COLUMNS = {"audio": "audio_filepath", "text": "text"}


@datasets.register("speech_manifest", needs=("path",), gives="speech", columns=("audio", "text", "speaker"))
def speech_manifest(settings: Data) -> Raw:
    """JSON lines of audio_filepath and text (NeMo), or a table with such columns: train.jsonl, valid.jsonl, …"""
    wanted = {**COLUMNS, **settings.columns}
    return Raw.of({part: read_part(path, wanted) for part, path in part_files(settings).items()})


def read_part(path: Path, wanted: dict[str, str]) -> Arrays:
    """Return the recordings of a manifest and what is said in them; paths are relative to it.

    Where it names no speakers, recordings in one folder are of one.
    """
    rows = [row for _, row in read_table(path, wanted)]
    if not rows:
        raise MissingError(f"{path} holds no row")
    files = [path.parent / row["audio"] for row in rows]
    speakers = [row.get("speaker", str(file.parent)) for row, file in zip(rows, files, strict=True)]
    heard = [Utterance(str(file), speaker) for file, speaker in zip(files, speakers, strict=True)]
    return Arrays(column(heard), column([row["text"] for row in rows]))
