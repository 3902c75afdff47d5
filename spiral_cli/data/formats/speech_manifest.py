"""Tables of recordings with their transcripts: NeMo's JSON lines, or any table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spiral_cli.data.excerpts import read_rows
from spiral_cli.data.raw import Arrays, Raw, column
from spiral_cli.data.speech import Utterance
from spiral_cli.data.tables import part_files
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

COLUMNS = {"audio": "audio_filepath", "text": "text"}


@datasets.register(
    "speech_manifest", needs=("path",), gives="speech", columns=("audio", "text", "speaker", "offset", "duration")
)
def speech_manifest(settings: Data) -> Raw:
    """JSON lines of audio_filepath and text (NeMo, with offset and duration), or a table with such columns."""
    wanted = {**COLUMNS, **settings.columns}
    return Raw.of({part: read_part(path, wanted) for part, path in part_files(settings).items()})


def read_part(path: Path, wanted: Mapping[str, str]) -> Arrays:
    """Return the recordings of a manifest and what is said in them; raises as `read_rows`.

    Where it names no speakers, recordings in one folder are of one.
    """
    rows = list(read_rows(path, wanted, "audio"))
    heard = [Utterance(str(row.file), row.fields.get("speaker", str(row.file.parent)), row.cut) for row in rows]
    return Arrays(column(heard), column([row.fields["text"] for row in rows]))
