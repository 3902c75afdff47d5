"""Small TFRecord sets, written as others write them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

CLASSES = ("daisy", "rose", "tulip")


def encoded(image: np.ndarray, kind: str = "png") -> bytes:
    """Return an image (height, width, channels) as a file's bytes."""
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, kind)
    return file.getvalue()


def feature(value: bytes | str | int | float | list) -> tf.train.Feature:
    """Return one value, or a list of numbers, as a feature."""
    if isinstance(value, float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    if isinstance(value, bytes | str):
        return tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[value.encode() if isinstance(value, str) else value])
        )
    return tf.train.Feature(int64_list=tf.train.Int64List(value=value if isinstance(value, list) else [value]))


def example(**features) -> bytes:
    """Return a record; ``__`` in a name stands for ``/``."""
    named = {name.replace("__", "/"): feature(value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()


def write_shard(file: Path, records: Sequence[bytes], compression: str = "") -> None:
    """Write one file of records."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file), compression) as writer:
        for record in records:
            writer.write(record)


def write_shards(folder: Path, part: str, records: Sequence[bytes], count: int = 3, suffix: str = ".tfrecord") -> None:
    """Write records to ``count`` shards with the usual names."""
    each = -(-len(records) // count)
    for number in range(count):
        name = f"{part}-{number:05}-of-{count:05}{suffix}"
        write_shard(folder / name, records[number * each : (number + 1) * each])


def write_prepared(folder: Path, splits: Mapping[str, Sequence[Sequence[bytes]]], **info) -> None:
    """Write a version folder as tensorflow-datasets 4.9 does.

    Args:
        folder: of the version.
        splits: by name, the records of each shard.
        info: further or other entries of dataset_info.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for split, shards in splits.items():
        for number, records in enumerate(shards):
            write_shard(folder / f"flowers-{split}.tfrecord-{number:05}-of-{len(shards):05}", records)
    described = [
        {
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            "name": split,
            "numBytes": "8180",
            "shardLengths": [str(len(records)) for records in shards],
        }
        for split, shards in splits.items()
    ]
    items = [{"featureKey": "image"}, {"featureKey": "label"}]
    whole = {
        "fileFormat": "tfrecord",
        "moduleName": "flowers",
        "name": "flowers",
        "splits": described,
        "supervisedKeys": {"tuple": {"items": items}},
        "version": folder.name,
    }
    (folder / "dataset_info.json").write_text(json.dumps({**whole, **info}))
    write_features(folder, FEATURES)
    (folder / "label.labels.txt").write_text("".join(f"{name}\n" for name in CLASSES))


IMAGE = {
    "image": {"dtype": "uint8", "encodingFormat": "png", "shape": {"dimensions": ["8", "6", "3"]}},
    "pythonClassName": "tensorflow_datasets.core.features.image_feature.Image",
}
LABEL = {
    "classLabel": {"numClasses": "3"},
    "pythonClassName": "tensorflow_datasets.core.features.class_label_feature.ClassLabel",
}
TEXT = {"pythonClassName": "tensorflow_datasets.core.features.text_feature.Text", "text": {}}
DICT = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
FEATURES = {"id": TEXT, "image": IMAGE, "label": LABEL}


def write_features(folder: Path, features: Mapping[str, object]) -> None:
    """Write features.json."""
    content = {"featuresDict": {"features": features}, "pythonClassName": DICT}
    (folder / "features.json").write_text(json.dumps(content))
