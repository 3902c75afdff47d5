"""States on disk: exact, checksummed, and never the only copy."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiral_cli.training.checkpoint import (
    DamagedError,
    newest_good,
    previous,
    read_state,
    remove_states,
    rotate_state,
    write_state,
)
from spiral_cli.training.resume import Position, save_position, take_up

ARRAYS = {
    "model/0": np.arange(6, dtype=np.float32).reshape(2, 3),
    "scalar": np.float64(2.5),
    "bits": np.array([3], np.uint8),
}


def test_arrays_and_facts_come_back_exactly(tmp_path):
    write_state(tmp_path / "a.spiral", ARRAYS, {"epoch": 3})
    arrays, facts = read_state(tmp_path / "a.spiral")
    assert facts == {"epoch": 3}
    assert arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert arrays[name].dtype == np.asarray(value).dtype
        np.testing.assert_array_equal(arrays[name], value)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_changed_or_missing_byte_is_noticed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("state") / "a.spiral"
    write_state(path, ARRAYS, {"epoch": 3})
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    path.write_bytes(content)
    with pytest.raises(DamagedError):
        read_state(path)


def test_the_state_before_is_used_when_the_latest_is_damaged(tmp_path):
    path = tmp_path / "attempt-1.spiral"
    rotate_state(path, ARRAYS, {"epoch": 1})
    rotate_state(path, ARRAYS, {"epoch": 2})
    assert newest_good(path)[1] == {"epoch": 2}
    path.write_bytes(path.read_bytes()[:-1])
    arrays, facts, damaged = newest_good(path)
    assert facts == {"epoch": 1}
    assert damaged == [path]
    np.testing.assert_array_equal(arrays["model/0"], ARRAYS["model/0"])
    previous(path).write_bytes(b"")
    assert newest_good(path) == (None, {}, [path, previous(path)])


def test_nothing_there_is_no_damage(tmp_path):
    assert newest_good(tmp_path / "none.spiral") == (None, {}, [])


def test_objects_are_refused_because_they_would_need_pickle(tmp_path):
    with pytest.raises(ValueError, match="Object arrays"):
        write_state(tmp_path / "a.spiral", {"x": np.array([{}], dtype=object)}, {})
    assert not (tmp_path / "a.spiral").exists()


def test_remove_takes_both(tmp_path):
    path = tmp_path / "a.spiral"
    rotate_state(path, ARRAYS, {})
    rotate_state(path, ARRAYS, {})
    remove_states(path)
    assert list(tmp_path.iterdir()) == []


def test_a_stage_stores_its_masks_as_bits(tmp_path):
    masks = {"a/kernel": np.random.default_rng(0).random((64, 32)) < 0.5}
    program = SimpleNamespace(state=dict, held=lambda: masks, restore=lambda state: None, hold=lambda held: None)
    save_position(program, tmp_path / "stage.state", Position(epoch=2), masks)
    arrays, _ = read_state(tmp_path / "stage.state")
    assert set(arrays) == {"mask/a/kernel", "hold/a/kernel"}
    assert all(array.nbytes < masks["a/kernel"].size / 8 + 32 for array in arrays.values())
    position, found, _ = take_up(program, tmp_path / "stage.state", {})
    assert position.epoch == 2
    np.testing.assert_array_equal(found["a/kernel"], masks["a/kernel"])
