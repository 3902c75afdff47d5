"""Version folders of tensorflow-datasets, read without it; files are laid out as tensorflow-datasets 4.9.10 writes."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from record_files import CLASSES, DICT, FEATURES, IMAGE, LABEL, TEXT, encoded, example, write_features, write_prepared

from spiral_cli.data import load_dataset
from spiral_cli.data.stream import Stream
from spiral_cli.data.texts import load_texts
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 8, 6, 3)).astype(np.uint8)
Y = np.arange(24) % 3
ROWS = [example(image=encoded(x), label=int(y), id=f"n{y}") for x, y in zip(IMAGES, Y, strict=True)]
SPLITS = {"train": [ROWS[:13], ROWS[13:]], "validation": [ROWS[:9]], "test": [ROWS[::-1]], "extra": [ROWS]}


@pytest.fixture
def version(tmp_path):
    write_prepared(tmp_path / "flowers" / "1.2.0", SPLITS)
    return tmp_path / "flowers" / "1.2.0"


def read(path, **keys):
    return datasets.get("tfds")(Data(format="tfds", path=str(path), **keys))


def refused(path, message, **keys):
    with pytest.raises(MissingError, match=message):
        read(path, **keys)


def test_splits_images_labels_and_classes_are_those_prepared(version):
    for path in (version, version.parent):
        raw = read(path)
        written = (
            (raw.train, IMAGES, Y),
            (raw.validation, IMAGES[:9], Y[:9]),
            (raw.test, IMAGES[::-1], Y[::-1]),
        )
        for part, images, y in written:
            np.testing.assert_array_equal(part.x[:], images)
            np.testing.assert_array_equal(part.y, y)
        assert raw.classes == CLASSES


def test_held_or_streamed_it_is_the_same_set(version):
    held, streamed = (load_dataset(Data(format="tfds", path=str(version), stream=on), 0) for on in (False, True))
    assert isinstance(streamed.train.x, Stream) and isinstance(held.train.x, np.ndarray)
    np.testing.assert_array_equal(streamed.train.x[:], held.train.x)
    assert held.fingerprint() == streamed.fingerprint()


@pytest.mark.parametrize("layout", ["text", "mapping", "features of their own"])
def test_features_in_the_layouts_of_former_versions(version, layout):
    content = {"features": FEATURES}
    if layout == "features of their own":
        shape = {"shape": [8, 6, 3], "dtype": "uint8", "encoding_format": "png"}
        facts = {"image": shape, "label": {"num_classes": 3}, "id": {}}
        content = {name: {"type": FEATURES[name]["pythonClassName"], "content": facts[name]} for name in FEATURES}
    content = json.dumps(content) if layout == "text" else content
    (version / "features.json").write_text(
        json.dumps({"type": DICT, "content": content, "proto_cls": "tensorflow_datasets.FeaturesDict"})
    )
    info = json.loads((version / "dataset_info.json").read_text())
    info.pop("fileFormat")
    info["supervisedKeys"] = {"input": "image", "output": "label"}
    for split in info["splits"]:
        split.pop("filepathTemplate")
    (version / "dataset_info.json").write_text(json.dumps(info))
    raw = read(version)
    np.testing.assert_array_equal(raw.train.x[:], IMAGES)
    assert raw.classes == CLASSES


def test_supervised_keys_choose_among_features(version):
    write_features(version, {**FEATURES, "mask": IMAGE, "coarse": LABEL})
    np.testing.assert_array_equal(read(version).train.x[:], IMAGES)
    write_prepared(version, SPLITS, supervisedKeys={})
    assert len(read(version).train.x) == 24
    write_features(version, {**FEATURES, "mask": IMAGE, "coarse": LABEL})
    refused(version, r"exactly one feature must be of class Image, .*there are id \(Text\), image \(Image\),.*mask")
    write_features(version, {"image": IMAGE, "caption": TEXT})
    refused(version, "exactly one feature must be of class ClassLabel")


def test_features_within_features(version):
    rows = [example(view__image=encoded(x), label=int(y)) for x, y in zip(IMAGES, Y, strict=True)]
    write_prepared(version, {"train": [rows]}, supervisedKeys={})
    inner = {"featuresDict": {"features": {"image": IMAGE}}, "pythonClassName": DICT}
    write_features(version, {"view": inner, "label": LABEL})
    np.testing.assert_array_equal(read(version).train.x[:], IMAGES)


def test_classes_without_names_are_counted(version):
    (version / "label.labels.txt").unlink()
    assert read(version).classes is None
    write_features(version, {**FEATURES, "label": {**LABEL, "classLabel": {"numClasses": "2"}}})
    refused(version, r"flowers-train\.tfrecord-00000-of-00002, record 2 has the label 2; allowed is 0 to 1")


def test_a_split_without_labels_is_none(version):
    unknown = [example(image=encoded(x), label=-1) for x in IMAGES]
    write_prepared(version, {**SPLITS, "test": [unknown]})
    assert read(version).test is None
    write_prepared(version, {**SPLITS, "test": [[*unknown, ROWS[0]]]})
    refused(version, "record 0 has the label -1")


def test_a_part_may_come_from_another_set(version, tmp_path):
    write_prepared(tmp_path / "other" / "1.0.0", {"test": [ROWS[:5]]})
    assert len(read(version, test=str(tmp_path / "other")).test.x) == 5
    (tmp_path / "other" / "1.0.0" / "label.labels.txt").write_text("rose\ndaisy\ntulip\n")
    refused(version, r"data\.test: .* has other classes than the rest", test=str(tmp_path / "other"))


def test_which_folders_are_versions(version, tmp_path):
    refused(tmp_path, r"must be a version folder .*; found none; give the path of one version")
    shutil.copytree(version, version.parent / "2.0.0")
    refused(version.parent, r"found 1\.2\.0, 2\.0\.0; give")
    (version / "features.json").unlink()
    refused(version, r"features\.json cannot be read .*copy the whole version folder")
    (version / "features.json").write_text("[]")
    refused(version, "holds no JSON object")
    (version / "dataset_info.json").write_text("{")
    refused(version, r"dataset_info\.json cannot be read")


@pytest.mark.parametrize("written", ["array_record", "riegeli", "parquet"])
def test_other_file_formats_are_refused(version, written):
    write_prepared(version, SPLITS, fileFormat=written)
    refused(version, rf"was prepared as {written}; allowed is tfrecord: prepare it again .*file_format='tfrecord'")


def test_floats_are_no_images_to_read(version):
    write_features(version, {**FEATURES, "image": {**IMAGE, "image": {"dtype": "float32"}}})
    refused(version, "images of type float32 cannot be read; allowed are uint8 and uint16")


def test_shards_must_be_there_and_whole(version):
    shard = version / "flowers-train.tfrecord-00001-of-00002"
    content = shard.read_bytes()
    shard.write_bytes((version / "flowers-validation.tfrecord-00000-of-00001").read_bytes())
    refused(version, r"00001-of-00002 holds 9 records, but dataset_info\.json says 11")
    shard.write_bytes(content[:-3])
    refused(version, r"flowers-train\.tfrecord-00001-of-00002, record 10 is cut short or damaged")
    shard.unlink()
    refused(version, "00001-of-00002 is missing; copy the whole version folder")
    info = json.loads((version / "dataset_info.json").read_text())
    (version / "dataset_info.json").write_text(json.dumps({**info, "splits": [{"name": "train"}]}))
    refused(version, "names no shard of train")


def test_texts_are_those_prepared_and_empty_ones_are_counted(tmp_path):
    words = [f"wörds of {y}" for y in Y]
    rows = [example(text=word, label=int(y)) for word, y in zip(words, Y, strict=True)]
    version = tmp_path / "reviews" / "plain_text" / "1.0.0"
    items = [{"featureKey": "text"}, {"featureKey": "label"}]
    splits = {"train": [rows[:13], rows[13:]], "test": [[*rows[:4], example(text="", label=1)]]}
    write_prepared(version, splits, supervisedKeys={"tuple": {"items": items}})
    write_features(version, {"label": LABEL, "text": TEXT})
    settings = Data(format="tfds_text", path=str(version.parent))
    raw = datasets.get("tfds_text")(settings)
    assert raw.train.x.tolist() == words and raw.test.x.tolist() == [*words[:4], ""]
    np.testing.assert_array_equal(raw.train.y, Y)
    assert raw.classes == CLASSES
    if find_spec("sentencepiece"):
        assert "1 of 5 test texts are empty and left out" in load_texts(settings, 0).notes
    refused(version, "exactly one feature must be of class Image")
    write_prepared(version, {"train": [[example(text=b"\xff", label=0)]]}, supervisedKeys={"tuple": {"items": items}})
    write_features(version, {"label": LABEL, "text": TEXT})
    with pytest.raises(MissingError, match=r"record 0: b'\\xff' is no UTF-8 text"):
        datasets.get("tfds_text")(settings)
