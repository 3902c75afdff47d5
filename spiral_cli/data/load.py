"""From the recipe's `data` section to three parts ready for training: what all formats share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from spiral_cli.data.builder import call_data_builder
from spiral_cli.data.images import check_scale, convert_channels, resize, standard_images
from spiral_cli.data.labels import Labels, class_weights, read_labels
from spiral_cli.data.pixels import Pixels, scaling
from spiral_cli.data.raw import Arrays, Raw, stated_size
from spiral_cli.data.repeats import mark, repeats
from spiral_cli.data.splits import Dataset, Split, complete
from spiral_cli.data.stratify import subset
from spiral_cli.data.stream import Stream
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets


def load_dataset(settings: Data, seed: int) -> Dataset:
    """Read, check, split and convert the data of a recipe.

    Args:
        settings: the recipe's `data` section with absolute paths.
        seed: of every choice made here; the same seed gives the same bytes.

    Returns:
        Train, validation and test; in memory, or streamed as `data.stream` says.

    Raises:
        MissingError: the data are missing or cannot be used.
        UsageError: the recipe asks for what the data cannot give.
    """
    raw = read_raw(settings)
    parts = {part: check_arrays(arrays, settings.scale, part) for part, arrays in raw.parts().items()}
    parts, labels = labelled(parts, raw.classes, settings, seed)
    parts = held(parts, settings)
    splits = {part: prepare(arrays, settings) for part, arrays in parts.items()}
    check_alike(splits)
    told = describe(splits["train"], labels, settings.scale)
    there = {part: split.x for part, split in splits.items() if not isinstance(split.x, Stream)}
    notes = repeats({part: [mark(image) for image in x] for part, x in there.items()}) if "train" in there else []
    return Dataset(splits["train"], splits["validation"], splits["test"], labels.kind, told, tuple(notes))


def labelled(
    parts: Mapping[str, Arrays], own: Sequence[str] | None, settings: Data, seed: int
) -> tuple[dict[str, Arrays], Labels]:
    """Return train, validation and test with class labels of one form, and these labels.

    Args:
        parts: what a set ships, with weights.
        own: its class names, where it has some.
        settings: the recipe's.
        seed: of the choice of examples.

    Raises:
        MissingError, UsageError: labels that do not fit, or a part that would be empty.
    """
    labels = read_labels({part: arrays.y for part, arrays in parts.items()}, settings.labels, own, settings.classes)
    parts = divided({part: replace(arrays, y=labels.y[part]) for part, arrays in parts.items()}, settings, seed)
    train = parts["train"]
    assert train.weight is not None
    weight = train.weight * class_weights(labels, train.y, settings.class_weights)
    return {**parts, "train": replace(train, weight=weight)}, labels


def divided(parts: Mapping[str, Arrays], settings: Data, seed: int) -> dict[str, Arrays]:
    """Return train, validation and test: missing parts are carved from train, of which ``data.subset`` may be left.

    Raises:
        MissingError, UsageError: a part would be empty.
    """
    complete_parts = complete(parts, validation_fraction(settings), seed)
    if settings.subset is not None:
        train = complete_parts["train"]
        complete_parts["train"] = train.take(subset(train.y, settings.subset, seed))
    return complete_parts


def validation_fraction(settings: Data) -> float:
    """Return the part of train that becomes validation where a set ships none."""
    stated = settings.validation
    return Data.model_fields["validation"].default if isinstance(stated, str) else stated


def read_raw(settings: Data) -> Raw:
    """Call the recipe's builder or its registered format.

    Raises:
        UsageError: it names neither or both.
    """
    if settings.builder is not None and settings.format is None:
        return call_data_builder(settings.builder)
    if settings.format is not None and settings.builder is None:
        return datasets.get(settings.format)(settings)
    raise UsageError(f"data: give exactly one of format ({', '.join(datasets.names())}) and builder")


def check_arrays(arrays: Arrays, scale: str, part: str) -> Arrays:
    """Return the part with images (n, h, w, c) in uint8 or float32 and weights (n,) in float32.

    Raises:
        MissingError: images, labels and weights do not belong together, or cannot be used.
    """
    weight = np.ones(len(arrays.x), np.float32) if arrays.weight is None else np.asarray(arrays.weight)
    if not len(arrays.x) == len(arrays.y) == len(weight):
        raise MissingError(
            f"data: {part} has {len(arrays.x)} images, {len(arrays.y)} labels and {len(weight)} weights; "
            "there must be one of each for every example"
        )
    x = arrays.x
    if not isinstance(x, Stream):  # whose images are decoded as they should be
        x = standard_images(x, part)
        check_scale(x, scale, part)
    if weight.ndim != 1 or weight.dtype.kind not in "biuf" or not np.isfinite(weight).all() or (weight < 0).any():
        raise MissingError(
            f"data: {part} weights of shape {weight.shape} and type {weight.dtype} are not allowed; "
            "they are (n,) finite numbers from 0"
        )
    if not weight.any():
        raise MissingError(f"data: all {part} weights are 0, so there is nothing to learn or to measure")
    return Arrays(x, arrays.y, weight.astype(np.float32))


def held(parts: Mapping[str, Arrays], settings: Data) -> dict[str, Arrays]:
    """Return the parts with what could be streamed read into memory, if it fits or must."""
    streams = [arrays.x for arrays in parts.values() if isinstance(arrays.x, Stream)]
    if streamed(settings, sum(stream.nbytes for stream in streams)):
        return dict(parts)
    return {
        part: replace(arrays, x=arrays.x[:], known_as=arrays.x.digest()) if isinstance(arrays.x, Stream) else arrays
        for part, arrays in parts.items()
    }


def streamed(settings: Data, nbytes: int) -> bool:
    """Say whether inputs of ``nbytes`` are read or made as they are needed, as the recipe says or for their size."""
    return nbytes > settings.memory_gb * 1e9 if settings.stream == "auto" else settings.stream


def prepare(arrays: Arrays, settings: Data) -> Split:
    """Return checked arrays with the recipe's channels and size."""
    x = (
        arrays.x
        if isinstance(arrays.x, Stream)
        else resize(convert_channels(arrays.x, settings.channels), stated_size(settings))
    )
    assert arrays.weight is not None  # check_arrays has filled it in
    return Split(x, arrays.y, arrays.weight, arrays.known_as)


def check_alike(splits: Mapping[str, Split]) -> None:
    """Refuse parts whose images differ in size, channels or number type.

    Raises:
        MissingError: they do.
    """
    kinds = {part: (split.x.shape[1:], split.x.dtype.name) for part, split in splits.items()}
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{part} {shape} {dtype}" for part, (shape, dtype) in kinds.items())
        raise MissingError(
            f"data: images differ between the parts: {said}; data.image_size and data.channels make "
            "shapes agree, types must agree as stored"
        )


def describe(train: Split, labels: Labels, scale: str) -> Pixels:
    """Return what the model must be told of its input."""
    height, width, channels = train.x.shape[1:]
    factor, offset = scaling(train.x.dtype, scale)
    return Pixels((height, width, channels), labels.classes, scale, factor, offset)
