"""Arrays on disk are written once, believed only whole, and made again otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from spiral_cli.training.mapped import SUMS, mapped

A, B = np.arange(70, dtype=np.float16).reshape(10, 7), np.arange(10, dtype=np.int32)


def blocks():
    for start in range(0, 10, 4):
        yield {"logits": A[start : start + 4], "top/rest": B[start : start + 4]}


def never():
    raise AssertionError("asked for what is there")
    yield {}


def check(arrays) -> None:
    assert all(isinstance(array, np.memmap) for array in arrays.values())
    np.testing.assert_array_equal(arrays["logits"], A)
    np.testing.assert_array_equal(arrays["top/rest"], B)


def test_written_once_and_mapped_again(tmp_path):
    check(mapped(tmp_path / "key", 10, blocks()))
    check(mapped(tmp_path / "key", 10, never()))


def test_what_was_cut_short_is_written_anew(tmp_path):
    def killed():
        yield next(blocks())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mapped(tmp_path / "key", 10, killed())
    assert not (tmp_path / "key" / SUMS).exists()
    check(mapped(tmp_path / "key", 10, blocks()))


@pytest.mark.parametrize("harm", ["change", "cut", "remove", "sums"])
def test_what_is_damaged_is_written_anew(tmp_path, harm):
    mapped(tmp_path / "key", 10, blocks())
    file = tmp_path / "key" / ("logits.npy" if harm != "sums" else SUMS)
    content = bytearray(file.read_bytes())
    if harm == "remove":
        file.unlink()
    else:
        content[-3] ^= 255
        file.write_bytes(content if harm == "change" else content[:-5])
    check(mapped(tmp_path / "key", 10, blocks()))
    check(mapped(tmp_path / "key", 10, never()))


def test_another_number_of_rows_is_another_set(tmp_path):
    mapped(tmp_path / "key", 10, blocks())
    again = mapped(tmp_path / "key", 4, [next(blocks())])
    np.testing.assert_array_equal(again["logits"], A[:4])


def test_who_comes_second_finds_the_arrays_of_who_came_first(tmp_path):
    folder = tmp_path / "set"

    def meanwhile():
        mapped(folder, 2, [{"logits": np.ones((2, 3), np.float32)}])
        yield {"logits": np.ones((2, 3), np.float32)}

    found = mapped(folder, 2, meanwhile())
    np.testing.assert_array_equal(found["logits"], np.ones((2, 3)))
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_write_that_fails_leaves_nothing(tmp_path):
    def broken():
        yield {"logits": np.ones((1, 3), np.float32)}
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        mapped(tmp_path / "set", 2, broken())
    assert not list(tmp_path.iterdir())
