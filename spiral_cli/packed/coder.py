"""The range coder that arrays go through, the same calls in both directions.

A function that codes something is written once. Given an `Encoder` and the values it writes them; given a
`Decoder` and None it reads them. So what is read is by construction what was written.
"""

from __future__ import annotations

from typing import Any, Protocol

import constriction
import numpy as np

Model = Any  # of constriction.stream.model
WORD = np.dtype("<u4")  # what the range coder's output consists of


class Coder(Protocol):
    """Either direction."""

    def code(self, model: Model, count: int, values: np.ndarray | None) -> np.ndarray:
        """Return ``count`` symbols under ``model``: ``values`` themselves, written, or None, then read."""
        ...


class Encoder:
    """Writes. Symbols cost their entropy under the models they are written with (Martin 1979)."""

    def __init__(self) -> None:
        self._queue = constriction.stream.queue.RangeEncoder()

    def code(self, model: Model, count: int, values: np.ndarray | None) -> np.ndarray:
        """Write ``values`` (count,) and return them."""
        assert values is not None and len(values) == count
        symbols = np.ascontiguousarray(values, np.int32)
        self._queue.encode(symbols, model)
        return symbols

    def payload(self) -> bytes:
        """Return all that was written."""
        return self._queue.get_compressed().astype(WORD).tobytes()


class Decoder:
    """Reads what an `Encoder` wrote.

    Raises:
        ValueError: the payload is not a whole number of words.
    """

    def __init__(self, payload: bytes) -> None:
        words = np.frombuffer(payload, WORD).astype(np.uint32)
        self._queue = constriction.stream.queue.RangeDecoder(words)

    def code(self, model: Model, count: int, values: np.ndarray | None) -> np.ndarray:
        """Read ``count`` symbols.

        Raises:
            ValueError: there are none.
        """
        try:
            return self._queue.decode(model, count)
        except AssertionError as error:  # so constriction says that nothing it wrote looks like this
            raise ValueError("its arrays do not end where they should") from error
