"""LibriSpeech's folders: speaker/chapter/*.flac, with the transcripts of a chapter in one file."""

from __future__ import annotations

from pathlib import Path

from spiral_cli.data.raw import NAMES, Arrays, Raw, column, own_paths, root_path
from spiral_cli.data.speech import Utterance
from spiral_cli.data.tables import read_text
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


@datasets.register("librispeech", needs=("path",), gives="speech")
def librispeech(settings: Data) -> Raw:
    """LibriSpeech (Panayotov et al. 2015): train-*, dev-* and test-* with SPEAKER/CHAPTER/*.flac and *.trans.txt."""
    root = root_path(settings)
    if root is not None and not root.is_dir():
        raise MissingError(f"data.path: {root} is a file; allowed is LibriSpeech's own folder, with train-… in it")
    folders: dict[str, list[Path]] = {part: [path] for part, path in own_paths(settings).items()}
    below = [] if root is None else [folder for folder in sorted(root.iterdir()) if folder.is_dir()]
    for part, names in NAMES.items():
        found = [folder for folder in below if is_part(folder.name, names)]
        if found and part not in folders:
            folders[part] = found
    if not folders:
        raise MissingError(f"data.path: {root} holds no folder called train-…; name LibriSpeech's own folder")
    return Raw.of({part: read_part(many) for part, many in folders.items()})


def is_part(name: str, names: tuple[str, ...]) -> bool:
    """Say whether a folder is of a part: train, or train-clean-100."""
    return name.lower().partition("-")[0] in names


def read_part(folders: list[Path]) -> Arrays:
    """Return the recordings below ``folders`` and what is said in them.

    Raises:
        MissingError: there is no transcript, or a line of one that names no recording.
    """
    heard, texts = [], []
    for transcript in (file for folder in folders for file in sorted(folder.rglob("*.trans.txt"))):
        for number, line in enumerate(read_text(transcript).splitlines(), 1):
            name, _, said = line.strip().partition(" ")
            if not name:
                continue
            file = transcript.with_name(f"{name}.flac")
            if not file.is_file():
                raise MissingError(f"{transcript}, line {number}: there is no {file.name} beside it")
            heard.append(Utterance(str(file), name.partition("-")[0]))
            texts.append(said)
    if not heard:
        raise MissingError(f"{', '.join(map(str, folders))} holds no *.trans.txt with recordings beside it")
    return Arrays(column(heard), column(texts))
