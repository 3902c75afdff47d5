"""States on disk: exact, checksummed, and never the only copy."""

from __future__ import annotations

import os
import tracemalloc
from types import SimpleNamespace

import ml_dtypes
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
from spiral_cli.training.resume import Position, Saver, take_up
from spiral_cli.training.writer import Writer

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


SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)
TYPES = st.sampled_from(["bool", "uint8", "int64", "uint32", "float16", "float32", "float64", ml_dtypes.bfloat16])


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.tuples(SHAPES, TYPES, st.booleans()), max_size=5), st.integers(0, 99))
def test_any_names_shapes_types_and_layouts_come_back(tmp_path_factory, asked, seed):
    path = tmp_path_factory.mktemp("state") / "a.spiral"
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, (shape, dtype, turned) in asked.items():
        array = rng.integers(0, 2, shape).astype(dtype)
        arrays[name] = array.T if turned else array
    write_state(path, arrays, {"text": "ä\n"})
    found, facts = read_state(path)
    assert facts == {"text": "ä\n"}
    assert list(found) == list(arrays)
    for name, value in arrays.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)
        found[name][...] = 0  # and they may be changed


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
    assert [str(error) for error in damaged] == [f"{path} is damaged: its content does not match its checksum"]
    np.testing.assert_array_equal(arrays["model/0"], ARRAYS["model/0"])
    previous(path).write_bytes(b"")
    arrays, facts, damaged = newest_good(path)
    assert (arrays, facts, len(damaged)) == (None, {}, 2)


@pytest.mark.parametrize("killed_at", [1, 2])
def test_a_process_killed_between_the_renames_leaves_a_good_state(tmp_path, monkeypatch, killed_at):
    path, renames = tmp_path / "attempt-1.spiral", []
    rotate_state(path, ARRAYS, {"epoch": 1})
    real = os.replace

    def replace(source, target):
        renames.append(target)
        if len(renames) == killed_at:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            rotate_state(path, ARRAYS, {"epoch": 2})
    assert len(renames) == killed_at
    assert newest_good(path)[1:] == ({"epoch": 1}, [])


def test_until_the_new_state_is_whole_both_older_ones_lie_untouched(tmp_path):
    path = tmp_path / "attempt-1.spiral"
    rotate_state(path, ARRAYS, {"epoch": 1})
    rotate_state(path, ARRAYS, {"epoch": 2})
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="Object arrays"):
        rotate_state(path, {**ARRAYS, "x": np.array([{}], dtype=object)}, {"epoch": 3})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_state_of_another_version_is_called_that(tmp_path):
    path = tmp_path / "a.spiral"
    path.write_bytes(b"SPIRAL-STATE-1\n" + bytes(32) + b"PK")
    with pytest.raises(DamagedError, match="was written by another version of spiral"):
        read_state(path)
    assert newest_good(path)[0] is None


def test_neither_writing_nor_reading_holds_a_second_copy(tmp_path):
    arrays = {str(i): np.ones(1_000_000, np.float32) for i in range(10)}
    size = sum(array.nbytes for array in arrays.values())
    tracemalloc.start()
    try:
        write_state(tmp_path / "a.spiral", arrays, {})
        assert tracemalloc.get_traced_memory()[1] < 0.1 * size
        tracemalloc.reset_peak()
        read_state(tmp_path / "a.spiral")
        assert tracemalloc.get_traced_memory()[1] < 1.1 * size
    finally:
        tracemalloc.stop()


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
    program = SimpleNamespace(
        room=dict, state=dict, held=lambda: masks, restore=lambda state: None, hold=lambda held: None
    )
    with Writer() as writer:
        Saver(program, tmp_path / "stage.state", writer).save(Position(epoch=2), masks)
    arrays, _ = read_state(tmp_path / "stage.state")
    assert set(arrays) == {"mask/a/kernel", "hold/a/kernel"}
    assert all(array.nbytes < masks["a/kernel"].size / 8 + 32 for array in arrays.values())
    position, found, _ = take_up(program, tmp_path / "stage.state", {})
    assert position.epoch == 2
    np.testing.assert_array_equal(found["a/kernel"], masks["a/kernel"])
