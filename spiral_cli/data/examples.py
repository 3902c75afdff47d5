"""What a `tf.train.Example` tells of one image: its pixels and its label."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TypeVar

import tensorflow as tf
from google.protobuf.message import DecodeError
from PIL import Image

from spiral_cli.data.image_files import look, using
from spiral_cli.errors import MissingError

RAW = ("height", "width", "depth")  # numbers beside an image that is stored as plain bytes
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
T = TypeVar("T")


@dataclass(frozen=True)
class Keys:
    """Features to look for, the first that is there counts.

    Attributes:
        content: a text, an encoded image, or raw bytes where `RAW` says their shape.
        label: a whole number, or text.
        text: the class's name beside a number.
    """

    content: Sequence[str]
    label: Sequence[str]
    text: Sequence[str] = ()


@dataclass(frozen=True)
class Example:
    """One record: its features by name; messages call it ``name``."""

    features: dict[str, tf.train.Feature]
    name: str

    @classmethod
    def parse(cls, record: bytes, name: str) -> Example:
        """Return what ``record`` holds.

        Raises:
            MissingError: it is no Example.
        """
        try:
            return cls(dict(tf.train.Example.FromString(record).features.feature), name)
        except DecodeError as error:
            raise MissingError(f"{name} is no tf.train.Example ({error}); one is needed for every image") from error

    def value(self, keys: Sequence[str]) -> bytes | int | None:
        """Return the first of ``keys`` that holds exactly one number or text (b"" is none), or None."""
        for key in keys:
            feature = self.features.get(key)
            held = [] if feature is None else [*feature.bytes_list.value, *feature.int64_list.value]
            if len(held) == 1 and held[0] != b"":
                return held[0]
        return None

    def image(self, keys: Keys, use: Callable[[Image.Image], T]) -> T:
        """Return what ``use`` makes of the image.

        Raises:
            MissingError: there is none, or none that Pillow can read.
        """
        content = self.value(keys.content)
        if not isinstance(content, bytes):
            raise MissingError(f"{self.name} holds no image under {self.listed(keys.content)}")
        return using(lambda: self.opened(content), use, self.name)

    def opened(self, content: bytes) -> Image.Image:
        """Return an image: raw where the features of `RAW` fit its length, else encoded and not decoded yet."""
        shape = [number for key in RAW if isinstance(number := self.value([key]), int)]
        if len(shape) == len(RAW) and shape[2] in MODES and len(content) == math.prod(shape):
            return Image.frombytes(MODES[shape[2]], (shape[1], shape[0]), content)
        return Image.open(BytesIO(content))

    def look(self, keys: Keys) -> tuple[int, int, int]:
        """Return height, width and 1 for grey of the image, reading its head only; raises as `image`."""
        seen = self.image(keys, look)
        return (*seen.size, int(seen.grey))

    def label(self, keys: Keys) -> int | str:
        """Return the class's number or name.

        Raises:
            MissingError: there is neither, or a name is no UTF-8.
        """
        label = self.value((*keys.label, *keys.text))
        if label is None:
            raise MissingError(f"{self.name} holds no label under {self.listed((*keys.label, *keys.text))}")
        return label if isinstance(label, int) else self.text(label)

    def text(self, value: bytes) -> str:
        """Return ``value`` as text.

        Raises:
            MissingError: it is no UTF-8.
        """
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise MissingError(f"{self.name}: {value[:40]!r} is no UTF-8 text ({error})") from error

    def listed(self, keys: Sequence[str]) -> str:
        """Return ``keys`` and what there is instead, for a message."""
        there = ", ".join(sorted(self.features)) or "nothing"
        return f"{' or '.join(keys)}; it holds {there}"
