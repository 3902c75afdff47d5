"""Arrays to bytes and back, bit for bit: where they are not zero, and what stands there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spiral_cli.packed.coder import Coder, Decoder, Encoder
from spiral_cli.packed.masks import code_mask
from spiral_cli.packed.words import code_words, known, word_of


@dataclass(frozen=True)
class Kind:
    """The type and shape of an array."""

    dtype: str
    shape: tuple[int, ...]


def kind_of(array: np.ndarray) -> Kind:
    """Return what `decode_arrays` must know of ``array``.

    Raises:
        ValueError: it holds no numbers.
    """
    return Kind(known(array.dtype.name).name, array.shape)


def encode_arrays(arrays: Sequence[np.ndarray]) -> bytes:
    """Return ``arrays`` as bytes; the same arrays give the same bytes."""
    encoder = Encoder()
    for array in arrays:
        code_array(encoder, kind_of(array), array)
    return encoder.payload()


def decode_arrays(payload: bytes, kinds: Sequence[Kind]) -> list[np.ndarray]:
    """Return the arrays that `encode_arrays` was given.

    Args:
        payload: the bytes, already known to be undamaged: a range coder reads sense into any.
        kinds: of the arrays, in order.
    """
    decoder = Decoder(payload)
    return [code_array(decoder, kind, None) for kind in kinds]


def code_array(coder: Coder, kind: Kind, array: np.ndarray | None) -> np.ndarray:
    """Code one array: a mask of all bits but those of +0, then the words it keeps."""
    words = None if array is None else np.ascontiguousarray(array).reshape(-1).view(word_of(kind.dtype))
    mask = code_mask(coder, kind.shape, None if words is None else (words != 0).reshape(kind.shape)).reshape(-1)
    kept = code_words(coder, kind.dtype, int(np.count_nonzero(mask)), None if words is None else words[mask])
    coded = np.zeros(math.prod(kind.shape), word_of(kind.dtype))
    coded[mask] = kept
    return coded.view(known(kind.dtype)).reshape(kind.shape)
