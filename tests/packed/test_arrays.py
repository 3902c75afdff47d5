"""Arrays through the range coder and back: every bit, and how many bytes it takes."""

from __future__ import annotations

from contextlib import suppress

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spiral_cli.packed.arrays import Kind, decode_arrays, encode_arrays, kind_of
from spiral_cli.packed.coder import Decoder, Encoder
from spiral_cli.packed.symbols import code_learned

TYPES = ["float16", "float32", "float64", "int8", "uint8", "int32", "uint32", "int64", "uint64", "bool"]


def assert_restored(arrays: list[np.ndarray]) -> bytes:
    payload = encode_arrays(arrays)
    assert encode_arrays(arrays) == payload
    for ours, theirs in zip(arrays, decode_arrays(payload, [kind_of(one) for one in arrays]), strict=True):
        assert (theirs.dtype, theirs.shape) == (ours.dtype, ours.shape)
        assert theirs.tobytes() == np.ascontiguousarray(ours).tobytes()
    return payload


def entropy_bytes(mask: np.ndarray) -> float:
    p = mask.mean()
    return -mask.size * (p * np.log2(p) + (1 - p) * np.log2(1 - p)) / 8


@st.composite
def some_arrays(draw) -> np.ndarray:
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))
    array = draw(hnp.arrays(draw(st.sampled_from(TYPES)), shape))
    mask = draw(hnp.arrays(bool, shape))
    return np.where(mask, array, np.zeros((), array.dtype))


@settings(max_examples=100)
@given(st.lists(some_arrays(), max_size=3))
def test_every_bit_of_every_array_comes_back(arrays):
    assert_restored(arrays)


@pytest.mark.parametrize(
    "array",
    [
        np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-45, 65520.0, 1 / 3], np.float32),
        np.full((30, 20), -0.0, np.float32),
        np.zeros((40, 50), np.float32),
        np.zeros((0, 7), np.float64),
        np.array(2.5, np.float32),
        np.ones((64,), np.float32),
        np.array([0, 2**63 - 1, -(2**63)], np.int64),
        np.arange(-20, 20, dtype=np.float32).astype(ml_dtypes.bfloat16).reshape(4, 10),
        np.asfortranarray(np.arange(24, dtype=np.float32).reshape(4, 6)),
        np.eye(12, dtype=np.float16),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_what_is_rare_comes_back(array):
    assert_restored([array, array])


def test_what_holds_no_numbers_is_refused():
    with pytest.raises(ValueError, match="cannot be packed"):
        encode_arrays([np.array([1j])])
    with pytest.raises(ValueError, match="cannot be packed"):
        encode_arrays([np.array(["a"])])


@pytest.mark.parametrize(("density", "shape"), [(0.01, (400, 500)), (0.02, (784, 300)), (0.2, (5, 5, 20, 50))])
def test_a_mask_by_chance_takes_its_entropy(density, shape):
    mask = np.random.default_rng(0).random(shape) < density
    assert entropy_bytes(mask) * 0.99 < len(assert_restored([mask])) < entropy_bytes(mask) * 1.02


def test_a_mask_of_uneven_rows_and_columns_takes_less_than_its_entropy():
    rng = np.random.default_rng(0)
    odds = rng.lognormal(0, 1.2, (300, 1)) * rng.lognormal(0, 1.2, (1, 200)) * 0.02
    odds[:, ::3] = 0.0
    p = odds / (1 + odds)
    mask = rng.random(p.shape) < p
    with np.errstate(divide="ignore", invalid="ignore"):
        ideal = -np.nansum(np.where(mask, np.log2(p), np.log2(1 - p))) / 8
    size = len(assert_restored([mask]))
    assert size < 0.8 * entropy_bytes(mask)
    assert size < 1.15 * ideal  # the classes themselves, and their coarseness


def test_few_values_take_their_entropy_and_a_palette():
    rng = np.random.default_rng(0)
    values = rng.normal(size=16).astype(np.float16).astype(np.float32)
    p = rng.dirichlet(np.ones(16))
    array = values[rng.choice(16, 20_000, p=p)]
    ideal = -20_000 * (p * np.log2(p)).sum() / 8
    assert ideal < len(assert_restored([array])) < 1.02 * ideal + 32 + 16


def test_random_floats_take_little_more_than_their_mantissas():
    array = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    assert len(assert_restored([array])) < 0.9 * array.nbytes
    half = array.astype(np.float16).astype(np.float32)
    assert len(assert_restored([half])) < 0.45 * array.nbytes


@given(st.integers(1, 300), st.integers(0, 500), st.integers(0, 2**31))
def test_learned_symbols_come_back(size, count, seed):
    symbols = np.random.default_rng(seed).integers(0, size, count)
    encoder = Encoder()
    code_learned(encoder, size, count, symbols)
    np.testing.assert_array_equal(code_learned(Decoder(encoder.payload()), size, count, None), symbols)


@given(st.binary(max_size=200))
@example(b"\x83\xaeWn")  # a palette of no numbers
def test_what_nobody_wrote_gives_some_arrays_or_an_error(payload):
    kinds = [Kind("float32", (6, 5)), Kind("bool", (3,)), Kind("int64", ()), Kind("float16", (2, 3, 4))]
    with suppress(ValueError):
        assert [kind_of(one) for one in decode_arrays(payload, kinds)] == kinds
