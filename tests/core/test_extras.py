"""What a task needs beside spiral is what its extra installs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from spiral_cli.errors import MissingError
from spiral_cli.extras import needed

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_the_command_that_an_error_names_installs_what_is_missing():
    sources = "".join(file.read_text() for file in (ROOT / "spiral_cli").rglob("*.py"))
    asked = set(re.findall(r'needed\("(\w+)[\w.]*", "(\w+)"\)', sources))
    assert len(asked) >= 5
    for module, extra in asked:
        assert any(one.startswith(module.replace("_", "-")) for one in EXTRAS[extra]), (module, extra)
    with pytest.raises(MissingError, match=r"'no_such' is not installed .*run: pip install 'spiral-cli\[asr\]'"):
        needed("no_such", "asr")


@pytest.mark.parametrize(
    ("extra", "packages"),
    [
        ("text", {"sentencepiece"}),
        ("translation", {"sentencepiece", "sacrebleu"}),
        ("audio", {"soundfile"}),
        ("asr", {"sentencepiece", "soundfile", "jiwer"}),
        ("detection", {"faster-coco-eval"}),
    ],
)
def test_an_extra_is_enough_for_its_task(extra, packages):
    assert {re.match(r"[\w-]+", one)[0] for one in EXTRAS[extra]} == packages
