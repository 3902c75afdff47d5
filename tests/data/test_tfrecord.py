"""Images in TFRecord shards: what is read is what was written, held or streamed, and what errors say."""

from __future__ import annotations

import concurrent.futures
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from record_files import CLASSES, encoded, example, write_shard, write_shards

from spiral_cli.data import load_dataset
from spiral_cli.data.formats.tfrecord import part_of
from spiral_cli.data.pipeline import batches, pipeline
from spiral_cli.data.records import records
from spiral_cli.data.stream import Stream
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets
from spiral_cli.sources import stamp

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 8, 6, 3)).astype(np.uint8)
Y = np.arange(24) % 3


def labelled(images=IMAGES, y=Y, **more) -> list[bytes]:
    return [example(image=encoded(image), label=int(label), **more) for image, label in zip(images, y, strict=True)]


def read(folder, **keys):
    return datasets.get("tfrecord")(Data(format="tfrecord", path=str(folder), **keys))


@pytest.fixture
def folder(tmp_path):
    write_shards(tmp_path, "train", labelled())
    write_shards(tmp_path, "validation", labelled(255 - IMAGES[:9], Y[:9]), count=2)
    write_shards(tmp_path, "test", labelled(IMAGES[::-1], Y[::-1]), count=1)
    (tmp_path / "labels.txt").write_text("\n".join(CLASSES))
    (tmp_path / "README.md").write_text("no shard")
    return tmp_path


def test_images_labels_and_classes_are_those_written(folder):
    raw = read(folder)
    written = (
        (raw.train, IMAGES, Y),
        (raw.validation, 255 - IMAGES[:9], Y[:9]),
        (raw.test, IMAGES[::-1], Y[::-1]),
    )
    for part, images, y in written:
        np.testing.assert_array_equal(part.x[:], images)
        np.testing.assert_array_equal(part.y, y)
    assert raw.classes == CLASSES


def test_held_or_streamed_parts_and_batches_are_the_same(folder):
    settings = {"format": "tfrecord", "path": str(folder), "subset": 12}
    held, streamed = (load_dataset(Data(**settings, stream=stream), seed=3) for stream in (False, True))
    rows = np.random.default_rng(1).integers(0, 12, (4, 5))
    for part in ("train", "validation", "test"):
        ours, theirs = getattr(streamed, part), getattr(held, part)
        assert isinstance(ours.x, Stream) and isinstance(theirs.x, np.ndarray)
        np.testing.assert_array_equal(ours.x[:], theirs.x)
        np.testing.assert_array_equal(ours.y, theirs.y)
    for _ in range(2):
        ours, theirs = (list(pipeline(one.train.x, rows).as_numpy_iterator()) for one in (streamed, held))
        np.testing.assert_array_equal(ours, theirs)
    assert held.fingerprint() == streamed.fingerprint()
    assert held.preprocessing == streamed.preprocessing


def test_what_takes_more_than_the_budget_is_streamed(folder):
    settings = {"format": "tfrecord", "path": str(folder)}
    every = (24 + 9 + 24) * IMAGES[0].nbytes
    assert isinstance(load_dataset(Data(**settings, memory_gb=every / 1e9), 0).train.x, np.ndarray)
    assert isinstance(load_dataset(Data(**settings, memory_gb=(every - 1) / 1e9), 0).train.x, Stream)


def test_a_set_is_known_by_the_names_and_sizes_of_its_shards(folder):
    before = read(folder).train.x.stamp
    assert read(folder).train.x.stamp == before
    write_shards(folder, "train", [*labelled(), *labelled()[:1]])
    assert read(folder).train.x.stamp != before


def test_many_threads_may_read_at_once(folder):
    stream = read(folder).train.x
    rows = np.random.default_rng(2).integers(0, 24, 200)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        np.testing.assert_array_equal(list(pool.map(stream.image, rows)), IMAGES[rows])


def test_no_file_stays_open(folder):
    stream = read(folder).train.x
    before = len(os.listdir("/proc/self/fd"))
    stream[:]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_record_lies_where_the_index_says(folder):
    file = folder / "train-00001-of-00003.tfrecord"
    whole = file.read_bytes()
    assert [whole[place : place + len(record)] for place, record in records(file)] == labelled()[8:16]


# names of files


@pytest.mark.parametrize(
    "name",
    ["train-00000-of-00001", "cifar10-train.tfrecord-00000-of-00001", "Train_01.tfrec", "train.tfrecords"],
)
def test_the_usual_names_of_shards(tmp_path, name):
    write_shard(tmp_path / name, labelled())
    write_shard(tmp_path / name.lower().replace("train", "val"), labelled())
    raw = read(tmp_path)
    assert (len(raw.train.x), len(raw.validation.x), raw.test) == (24, 24, None)


@pytest.mark.parametrize(
    ("name", "part"),
    [("valid-1.tfrec", "validation"), ("testing.tfrecord", "test"), ("contrail.tfrecord", None), ("a-0-of-1", None)],
)
def test_a_word_of_the_name_says_the_part(name, part):
    assert part_of(name) == part


def test_shards_that_say_no_part_are_train(tmp_path):
    write_shards(tmp_path, "flowers", labelled())
    raw = read(tmp_path)
    assert len(raw.train.x) == 24 and raw.validation is raw.test is None
    write_shards(tmp_path, "test", labelled())
    with pytest.raises(MissingError, match=r"flowers-00000-of-00003\.tfrecord says no part by its name, as test-"):
        read(tmp_path)


def test_parts_may_have_folders_files_and_patterns_of_their_own(folder, tmp_path):
    write_shards(tmp_path / "more", "x", labelled(IMAGES[:6], Y[:6]), count=2)
    stated = {"train": str(folder / "train-0000[01]*"), "test": str(tmp_path / "more")}
    raw = datasets.get("tfrecord")(Data(format="tfrecord", **stated))
    np.testing.assert_array_equal(raw.train.x[:], IMAGES[:16])
    np.testing.assert_array_equal(raw.test.x[:], IMAGES[:6])
    raw = read(folder, validation=str(folder / "test-00000-of-00001.tfrecord"))
    assert [len(part.x) for part in (raw.train, raw.validation, raw.test)] == [24, 24, 24]
    assert len(read(folder / "train-*").train.x) == 24


def test_a_pattern_that_fits_other_files_now_is_another_source(folder):
    before = stamp(folder / "train-*")
    assert before[0] == 3
    write_shard(folder / "train-more.tfrecord", labelled())
    assert stamp(folder / "train-*")[0] == 4


# what records hold


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("keys", [("image__encoded", "image__class__label"), ("image_raw", "label")])
def test_other_keys_and_kinds(tmp_path, kind, keys):
    smooth = np.broadcast_to(np.arange(24, dtype=np.uint8)[:, None, None, None] * 10, (24, 8, 6, 3))
    rows = [example(**{keys[0]: encoded(x, kind), keys[1]: int(y)}) for x, y in zip(smooth, Y, strict=True)]
    write_shards(tmp_path, "train", rows)
    raw = read(tmp_path)
    assert np.abs(raw.train.x[:].astype(int) - smooth).max() <= (0 if kind == "png" else 2)
    np.testing.assert_array_equal(raw.train.y, Y)


@pytest.mark.parametrize("depth", [1, 3])
def test_raw_pixels_with_their_shape(tmp_path, depth):
    images = IMAGES[..., :depth]
    rows = [example(image_raw=x.tobytes(), height=8, width=6, depth=depth, label=0) for x in images]
    write_shards(tmp_path, "train", rows)
    np.testing.assert_array_equal(read(tmp_path).train.x[:], images)


def test_images_of_other_sizes_and_colours_are_brought_to_one(tmp_path):
    grey = IMAGES[..., :1]
    write_shards(tmp_path, "train", labelled(grey))
    assert read(tmp_path).train.x.shape == (24, 8, 6, 1)
    write_shards(tmp_path, "test", [*labelled(IMAGES[:1], Y[:1]), *labelled(IMAGES[:1, :5], Y[:1])], count=1)
    with pytest.raises(
        MissingError, match=r"train-00000\S*, record 0 has 8x6, \S*test-\S*, record 1 5x6; set data\.image_size"
    ):
        read(tmp_path)
    raw = read(tmp_path, image_size=[4, 4])
    assert raw.train.x.shape == (24, 4, 4, 3) and raw.test.x[:].shape == (2, 4, 4, 3)
    assert read(tmp_path, image_size=[4, 4], channels=1).test.x[:].shape == (2, 4, 4, 1)


def test_labels_may_be_names(tmp_path):
    named = [example(image=encoded(x), label=CLASSES[y]) for x, y in zip(IMAGES, Y, strict=True)]
    write_shards(tmp_path, "train", named)
    data = load_dataset(Data(format="tfrecord", path=str(tmp_path)), 0)
    assert data.preprocessing.classes == CLASSES
    order = ["tulip", "rose", "daisy"]
    (tmp_path / "labels.txt").write_text("0:tulip\n1:rose\n2:daisy\n")
    assert load_dataset(Data(format="tfrecord", path=str(tmp_path)), 0).preprocessing.classes == tuple(order)
    (tmp_path / "labels.txt").write_text("tulip\nrose\n")
    with pytest.raises(MissingError, match=r", record 0 has the label daisy; allowed is one of tulip, rose \(8 of 24"):
        read(tmp_path)


def test_names_beside_numbers_are_the_classes_where_they_tell_them_apart(tmp_path):
    def write(names):
        rows = [
            example(image=encoded(x), image__class__label=int(y), image__class__text=names[y])
            for x, y in zip(IMAGES, Y, strict=True)
        ]
        write_shards(tmp_path, "train", rows)
        return read(tmp_path)

    assert write(CLASSES).classes == CLASSES
    assert write(("crane", "crane", "rose")).classes is None
    assert write(("", "crane", "rose")).classes is None
    assert write(CLASSES).train.y.tolist() == Y.tolist()


def test_a_label_outside_the_classes_is_named(folder):
    rows = labelled()
    rows[10] = example(image=encoded(IMAGES[0]), label=3)
    write_shards(folder, "train", rows)
    with pytest.raises(
        MissingError, match=r"train-00001-of-00003\.tfrecord, record 2 has the label 3; allowed is 0 to 2 \(1 of 24"
    ):
        read(folder)
    (folder / "labels.txt").unlink()
    assert read(folder).train.y[10] == 3
    with pytest.raises(MissingError, match="record 2 has the label 3; allowed is 0 to 2"):
        read(folder, classes=list(CLASSES))
    write_shards(folder, "test", [example(image=encoded(IMAGES[0]), label=-1)], count=1)
    with pytest.raises(MissingError, match=r"test-\S*, record 0 has the label -1; allowed is 0, 1, 2, …"):
        read(folder)


# what is wrong


def test_what_a_record_must_hold(tmp_path):
    def refused(record, message):
        write_shard(tmp_path / "train.tfrecord", [*labelled()[:2], record])
        with pytest.raises(MissingError, match=re.escape(f"{tmp_path / 'train.tfrecord'}, record 2 ") + message):
            read(tmp_path).train.x[:]

    png = encoded(IMAGES[0])
    refused(example(label=1), "holds no image under image or image/encoded or image_raw; it holds label")
    refused(example(image=png), "holds no label under label or .*; it holds image")
    refused(example(image=png, label=1.5), "holds no label")
    refused(example(image=png, label=[1, 2]), "holds no label")
    refused(example(image=3, label=1), "holds no image")
    refused(example(), "holds no label .*; it holds nothing")
    refused(example(image=png, label="rose"), "has the label 'rose', but labels are all numbers or all names")
    refused(example(image=b"no image", label=1), "cannot be read as an image")
    refused(example(image=png[: len(png) // 2], label=1), "cannot be read as an image")
    refused(b"\xff\xff\xff", r"is no tf\.train\.Example")


def test_names_that_are_no_text(tmp_path):
    write_shard(tmp_path / "train.tfrecord", [example(image=encoded(IMAGES[0]), label=b"\xff")])
    with pytest.raises(MissingError, match=r"record 0: b'\\xff' is no UTF-8 text"):
        read(tmp_path)
    write_shard(tmp_path / "train.tfrecord", labelled())
    for content, message in ((b"\xff", "cannot be read"), (b"a\nb\na", "3 names, 2 of them different")):
        (tmp_path / "labels.txt").write_bytes(content)
        with pytest.raises(MissingError, match=message):
            read(tmp_path)


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_compressed_shards_are_refused(tmp_path, compression):
    write_shard(tmp_path / "train.tfrecord.gz", labelled(), compression)
    with pytest.raises(MissingError, match=rf"train\.tfrecord\.gz is compressed \({compression}\)"):
        read(tmp_path)


def test_a_damaged_shard_is_named_with_the_record(tmp_path):
    file = tmp_path / "train.tfrecord"
    write_shard(file, labelled())
    whole, places = file.read_bytes(), [place for place, _ in records(file)]

    def refused(content, message):
        file.write_bytes(content)
        with pytest.raises(MissingError, match=message):
            read(tmp_path)

    flipped = bytearray(whole)
    flipped[places[7] + 30] ^= 1
    refused(bytes(flipped), r"train\.tfrecord, record 7 is cut short or damaged \(corrupted record at \d+\)")
    refused(whole[:-1], "record 23 is cut short or damaged")
    refused(whole[: places[5] - 12 + 5], "record 5 is cut short or damaged; copy")
    refused(whole[: places[5]], "record 5 is cut short or damaged")
    refused(b"no records here, but text", "is no TFRecord file, or damaged at its start")
    refused(b"", "there is no record in any of 1 files")


def test_a_shard_that_changes_while_it_is_used_ends_the_reading(folder):
    data = load_dataset(Data(format="tfrecord", path=str(folder), stream=True), 0)
    file = folder / "train-00002-of-00003.tfrecord"
    whole = file.read_bytes()
    for content, message in (
        (whole[:-200], "became shorter while it was used"),
        (b"\xff" * len(whole), r"record \d is no tf\.train\.Example"),
        (None, "cannot be read .*; is it still there"),
    ):
        file.unlink() if content is None else file.write_bytes(content)
        with pytest.raises(MissingError, match=rf"^\S*train-00002-of-00003\.tfrecord.* {message}"):
            list(batches(data.train.x, 4))


def test_what_is_wrong_with_paths(folder, tmp_path):
    def refused(message, **keys):
        with pytest.raises(MissingError, match=message):
            datasets.get("tfrecord")(Data(format="tfrecord", **keys))

    refused(r"data\.path: there is no file or folder", path=str(tmp_path / "nowhere"))
    refused(r"data\.train: there is no file or folder .*other-\*", train=str(tmp_path / "other-*"))
    (tmp_path / "empty").mkdir()
    refused("empty holds no shard, named NAME-00000-of-00010", path=str(tmp_path / "empty"))
    (folder / "train-00001-of-00003.tfrecord").unlink()
    refused(r"holds train-\S*, but not train-00001-of-00003\.tfrecord; copy the rest", path=str(folder))


def test_the_format_is_listed_without_tensorflow():
    code = (
        "import sys; from spiral_cli.registry import datasets; from spiral_cli.recipe.data import Data; "
        "Data(format='tfrecord', path='x', stream=True); Data(format='tfds', path='x'); "
        "assert datasets.parts()['tfrecord'].summary; sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
