"""The bits of numbers, coded without loss in whichever of three forms is the smallest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spiral_cli.packed.coder import Coder
from spiral_cli.packed.symbols import code_choice, code_even, code_learned, learned_bits

PLANES = 0  # byte by byte
HALF = 1  # as float16: all are such numbers
PALETTE = 2  # the different ones once, then which of them
MOST = 256  # different numbers in a palette


def code_words(
    coder: Coder, dtype: str, count: int, words: np.ndarray | None, forms: Sequence[int] = (PLANES, HALF, PALETTE)
) -> np.ndarray:
    """Code the bits of ``count`` numbers.

    Args:
        dtype: name of their type.
        words: (count,) when encoding: their bits as unsigned integers.
        forms: that may be chosen.
    """
    chosen = None if words is None else min(forms, key=lambda form: bits(form, dtype, words))
    form = forms[code_choice(coder, len(forms), None if chosen is None else forms.index(chosen))]
    if form == PALETTE:
        return code_palette(coder, dtype, count, words)
    if form == HALF:
        halves = code_planes(coder, 2, count, None if words is None else narrowed(dtype, words))
        return widened(dtype, halves)
    return code_planes(coder, np.dtype(word_of(dtype)).itemsize, count, words)


def bits(form: int, dtype: str, words: np.ndarray) -> float:
    """Return about how many bits ``words`` take in ``form``; infinitely many where it cannot hold them."""
    if form == PLANES:
        return sum(min(8.0 * len(words), learned_bits(np.bincount(plane, minlength=256))) for plane in planes(words))
    if form == HALF:
        halves = narrowed(dtype, words)
        return np.inf if halves is None else bits(PLANES, "float16", halves)
    palette, counts = np.unique(words, return_counts=True)
    if len(palette) > MOST:
        return np.inf
    return learned_bits(counts) + min(bits(form, dtype, palette) for form in (PLANES, HALF))


def code_palette(coder: Coder, dtype: str, count: int, words: np.ndarray | None) -> np.ndarray:
    """Code which numbers there are, then for each word which of them it is."""
    palette, which = (None, None) if words is None else np.unique(words, return_inverse=True)
    size = code_choice(coder, MOST + 1, None if palette is None else len(palette))
    palette = code_words(coder, dtype, size, palette, (PLANES, HALF))
    return palette[code_learned(coder, size, count, which)]


def code_planes(coder: Coder, size: int, count: int, words: np.ndarray | None) -> np.ndarray:
    """Code words of ``size`` bytes byte by byte, each place with its own frequencies where that saves something."""
    given = [None] * size if words is None else planes(words)
    coded = np.empty((count, size), np.uint8)
    for place, plane in enumerate(given):
        learned = None
        if plane is not None:
            learned = int(learned_bits(np.bincount(plane, minlength=256)) < 8 * count)
        code = code_learned if code_choice(coder, 2, learned) else code_even
        coded[:, place] = code(coder, 256, count, plane)
    rotated = coded.view(f">u{size}")[:, 0].astype(f"u{size}")
    return rotated >> 1 | rotated << (8 * size - 1)


def planes(words: np.ndarray) -> list[np.ndarray]:
    """Return the bytes of ``words``, highest first, after turning them left by one bit.

    So a float32's exponent, the part that can be foretold, stands alone in the first; its sign is in the last.
    """
    size = words.itemsize
    rotated = words << 1 | words >> (8 * size - 1)
    return list(rotated.astype(f">u{size}").view(np.uint8).reshape(len(words), size).T)


def word_of(dtype: str) -> str:
    """Return the unsigned type as wide as ``dtype``."""
    return f"u{known(dtype).itemsize}"


def known(dtype: str) -> np.dtype:
    """Return the type of a name, bfloat16 included, which NumPy alone does not know.

    Raises:
        ValueError: there is no such type of numbers.
    """
    if dtype in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4"):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, dtype))
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found.kind not in "biuf" or found.itemsize > 8:
        raise ValueError(f"numbers of type {dtype!r} cannot be packed")
    return found


def narrowed(dtype: str, words: np.ndarray) -> np.ndarray | None:
    """Return float32 or float64 words as those of float16, or None where one is no such number."""
    if dtype not in ("float32", "float64"):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        halves = words.view(dtype).astype(np.float16).view(np.uint16)
    return halves if np.array_equal(widened(dtype, halves), words) else None


def widened(dtype: str, halves: np.ndarray) -> np.ndarray:
    """Return words of float16 as those of ``dtype``."""
    return halves.view(np.float16).astype(dtype).view(word_of(dtype))
