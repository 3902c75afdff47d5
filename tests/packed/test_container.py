"""The file around the arrays: whatever happens to it is noticed, and said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiral_cli.errors import MissingError
from spiral_cli.packed.container import DIGEST_BYTES, MAGIC, START, Packed, digest, from_bytes, read_packed, to_bytes
from spiral_cli.packed.phrases import deflate


def small_packed() -> Packed:
    kernel = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    kernel[np.abs(kernel) < 1] = 0
    arrays = {"dense/kernel": kernel, "dense/bias": np.zeros(5, np.float32), "steps": np.array(7)}
    return Packed("3.15.0", {"class_name": "Functional", "config": {"name": "model"}}, arrays)


CONTENT = to_bytes(small_packed())


def resealed(start: bytes, body: bytes) -> bytes:
    """Return a file with a checksum that is right."""
    return start + digest(start, body) + body


def assert_small_packed(packed: Packed) -> None:
    assert (packed.keras, packed.model) == ("3.15.0", small_packed().model)
    assert list(packed.arrays) == ["dense/kernel", "dense/bias", "steps"]
    for path, array in small_packed().arrays.items():
        assert packed.arrays[path].dtype == array.dtype
        np.testing.assert_array_equal(packed.arrays[path], array)


def test_what_was_packed_comes_back_and_the_same_content_gives_the_same_bytes():
    packed = from_bytes(CONTENT, "it")
    assert_small_packed(packed)
    assert to_bytes(packed) == CONTENT


def test_every_flipped_byte_is_noticed():
    assert len(CONTENT) < 200
    for place in range(len(CONTENT)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(CONTENT)
            damaged[place] ^= flip
            with pytest.raises(MissingError, match=r"damaged or cut short|no packed file"):
                from_bytes(bytes(damaged), "it")


def test_every_cut_and_whatever_is_added_is_noticed():
    for end in range(len(CONTENT)):
        with pytest.raises(MissingError, match=r"damaged or cut short|no packed file"):
            from_bytes(CONTENT[:end], "it")
    with pytest.raises(MissingError, match="damaged or cut short"):
        from_bytes(CONTENT + b"\0", "it")


def test_a_newer_version_is_named():
    newer = resealed(MAGIC + bytes([2]), CONTENT[START + DIGEST_BYTES :])
    with pytest.raises(MissingError, match=r"it is a packed file of version 2, and this spiral reads version 1"):
        from_bytes(newer, "it")


@given(st.binary(max_size=60))
def test_sense_that_a_right_checksum_covers_is_still_asked_for(body):
    with pytest.raises(MissingError, match="was not written by spiral"):
        from_bytes(resealed(CONTENT[:START], body), "it")


def test_types_that_are_none_are_refused():
    header = deflate('{"keras": "3", "model": {}, "variables": [["a", "object", [3]]]}')
    body = len(header).to_bytes(4, "little") + header
    with pytest.raises(MissingError, match=r"was not written by spiral.*cannot be packed"):
        from_bytes(resealed(CONTENT[:START], body), "it")


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(MissingError, match=r"nothing\.spiral"):
        read_packed(tmp_path / "nothing.spiral")
    with pytest.raises(MissingError, match="cannot read"):
        read_packed(tmp_path)


def test_a_file_of_version_1_is_read_whatever_writes_files_today():
    # Where this fails, files that lie somewhere can no longer be read: the change needs a new version of the format.
    assert_small_packed(from_bytes(bytes.fromhex(VERSION_1), "it"))


VERSION_1 = (
    "53504b4401fc2d018f7e6bfa8f24000000c357fc935caee3f02836079ae99822fc88e938882430d00b8ac149abc4cc04280a7230"
    "004f20ee5542fd7e51dc0f99b0cb54cc285dbf759e5582a3f85c8e825a101e4fc519ff60c7366c587538d10d1b"
)
