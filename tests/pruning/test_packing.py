"""Masks as bits come back as they were."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from spiral_cli.pruning.packing import pack, unpack

MASKS = st.dictionaries(st.text(max_size=8), arrays(bool, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=7)))


@given(MASKS)
def test_unpack_inverts_pack(masks):
    found = unpack(pack(masks))
    assert list(found) == list(masks)
    for name, mask in masks.items():
        assert found[name].dtype == bool
        assert found[name].shape == mask.shape
        np.testing.assert_array_equal(found[name], mask)


def test_a_mask_takes_a_bit_a_weight():
    (packed,) = pack({"a": np.ones((100, 80), bool)}).values()
    assert packed.dtype == np.uint8
    assert packed.size == 1000 + 3 * 8  # the bits, then rank and two sides of 8 bytes
