"""Image files: which there are, and the decoding of images, from files or bytes, by Pillow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image

from spiral_cli.data.class_files import hidden
from spiral_cli.data.stream import Stream
from spiral_cli.errors import MissingError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L")
ORIENTATION = 0x0112  # EXIF's tag of how a camera was held
TURNS = {  # what makes an image upright, by that tag's value
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)  # of them those after which width and height have changed places
WITH_EXIF = ("JPEG", "MPO", "PNG", "WEBP")  # of those that are read; a TIFF is turned as it is opened
T = TypeVar("T")


def image_files(folder: Path) -> list[Path]:
    """Return the image files in and below ``folder``, sorted by path; hidden files and folders do not count."""
    found = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(file for file in found if file.is_file() and not hidden(file.relative_to(folder)))


def read_image(file: Path, use: Callable[[Image.Image], T]) -> T:
    """Open an image file and return what ``use`` makes of it; raises as `using`."""
    return using(lambda: Image.open(file), use, str(file))


def using(opening: Callable[[], Image.Image], use: Callable[[Image.Image], T], name: str) -> T:
    """Return what ``use`` makes of the image that ``opening`` gives; messages call it ``name``.

    Raises:
        MissingError: it is no image that Pillow can read, or is damaged.
    """
    try:
        with opening() as image:
            return use(image)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise MissingError(f"{name} cannot be read as an image ({error}); replace or remove it") from error


def orientation(image: Image.Image) -> int:
    """Return how EXIF says that a camera was held, 1 to 8; 1, as everybody sees it, where it says nothing.

    A PNG may say it behind its pixels, all of which would have to be decoded: there it is not looked for.
    """
    if image.format not in WITH_EXIF or (image.format == "PNG" and "exif" not in image.info):
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # as many as there are ways to damage it; the pixels are what they are
        return 1


def upright(image: Image.Image) -> Image.Image:
    """Return an image as viewers show it, and as the people who drew boxes on it saw it."""
    turn = TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


class Look(NamedTuple):
    """What an image's head says: (height, width) of it upright, and whether it is grey."""

    size: tuple[int, int]
    grey: bool


def look(image: Image.Image) -> Look:
    """Return size and colour of an image."""
    grey = image.mode in GREY
    if image.mode == "P":  # as every GIF: the colours used decide
        pixels = np.asarray(image.convert("RGB"))
        grey = bool((pixels == pixels[..., :1]).all())
    size = image.height, image.width
    return Look(size[::-1] if orientation(image) in SIDEWAYS else size, grey)


def decode(image: Image.Image, channels: int, size: tuple[int, int]) -> np.ndarray:
    """Return the first frame, upright, as uint8 (height, width, channels), resized to ``size`` (height, width)."""
    image = upright(image)
    if image.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    image = image.convert("L" if channels == 1 else "RGB")
    if (image.height, image.width) != size:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(*size, channels)


def common_shape(
    looks: Iterable[tuple[str, Look]], channels: int | None, size: tuple[int, int] | None
) -> tuple[int, tuple[int, int]]:
    """Return (channels, (height, width)) that all images are to have.

    Grey where all are grey, else 3 channels; their own size where they agree.

    Args:
        looks: name and `Look` of each image, at least one; not drawn where all is stated.
        channels: as stated, or None.
        size: (height, width) as stated, or None.

    Raises:
        MissingError: an image cannot be read, or sizes differ and ``size`` is None.
    """
    if channels is not None and size is not None:
        return channels, size
    looks = iter(looks)
    first, (own, all_grey) = next(looks)
    for name, (other, grey) in looks:
        all_grey = all_grey and grey
        if size is None and other != own:
            raise MissingError(
                f"images differ in height x width: {first} has {own[0]}x{own[1]}, {name} "
                f"{other[0]}x{other[1]}; set data.image_size: [height, width]"
            )
    return channels or (1 if all_grey else 3), size or own


def look_at_files(files: Iterable[Path]) -> Iterable[tuple[str, Look]]:
    """Yield name and `Look` of each file, reading heads only; raises as `read_image`."""
    return ((str(file), read_image(file, look)) for file in files)


def stream_files(files: Sequence[Path], root: Path, channels: int, size: tuple[int, int]) -> Stream:
    """Return the images of ``files`` as (n, height, width, channels), unread.

    Args:
        files: in the order of the rows.
        root: names are told from here on, so that a set may move as a whole.
        channels: 1 or 3.
        size: (height, width).
    """

    def read(number: int) -> np.ndarray:
        return read_image(files[number], lambda image: decode(image, channels, size))

    names = (f"{file.relative_to(root).as_posix()} {file.stat().st_size}\n" for file in files)
    return Stream(read, np.arange(len(files)), (*size, channels), f"{channels} {size}\n{''.join(names)}")
