"""Examples of train that are measured on are counted, whatever they look like."""

from __future__ import annotations

import numpy as np
import pytest

from spiral_cli.data import load_dataset
from spiral_cli.data.repeats import mark, repeats
from spiral_cli.recipe.data import Data


def test_a_hundredth_of_a_part_is_told():
    train = [str(number) for number in range(50)]
    new = [f"new {number}" for number in range(99)]
    assert repeats({"train": train, "validation": new, "test": [*new, "7"]}) == [
        "1 of 100 test examples are in train, too: with these it is measured what a model remembers"
    ]
    assert repeats({"train": train, "test": [*new, *new, "7"]}) == []
    assert repeats({"train": train, "validation": train, "test": new})[0].startswith("50 of 50 validation examples")


def test_marks_tell_arrays_by_their_bytes():
    rows = np.arange(24).reshape(4, 2, 3)
    assert len({mark(row) for row in rows}) == 4
    assert mark(rows[1]) == mark(np.asfortranarray(rows[1])) == mark(rows[1].copy())


@pytest.mark.parametrize("copies", [0, 3])
def test_images_in_memory_are_compared(tmp_path, copies):
    images = np.random.default_rng(0).integers(0, 255, (60, 5, 4), np.uint8)
    test = np.concatenate([images[50:], images[:copies]])
    y = np.arange(len(test)) % 2
    np.savez(tmp_path / "set.npz", x_train=images[:50], y_train=np.arange(50) % 2, x_test=test, y_test=y)
    notes = load_dataset(Data(format="npz", path=str(tmp_path / "set.npz")), 0).notes
    told = f"{copies} of {10 + copies} test examples are in train, too"
    assert [note for note in notes if note.startswith(told)] == ([*notes] if copies else [])
