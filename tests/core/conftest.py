"""Fixtures of whole runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_runs import write_data


@pytest.fixture
def folder(tmp_path) -> Path:
    write_data(tmp_path)
    return tmp_path
