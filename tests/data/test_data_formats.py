"""Formats read from files written by hand, and what their errors say."""

from __future__ import annotations

import gzip
import socket
import struct
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from spiral_cli.data.download import keras_set
from spiral_cli.data.formats import fashion_mnist as fashion
from spiral_cli.data.formats.image_folder import image_folder
from spiral_cli.data.formats.npz import npz
from spiral_cli.data.idx_files import read_idx
from spiral_cli.data.load import load_dataset
from spiral_cli.data.raw import Arrays
from spiral_cli.errors import MissingError
from spiral_cli.recipe.data import Data
from spiral_cli.registry import datasets

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def idx_bytes(array: np.ndarray) -> bytes:
    header = struct.pack(">BBBB", 0, 0, 0x08, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_pair(folder, part, images, labels, gz=False, dot="-"):
    for kind, array, rank in (("images", images, 3), ("labels", np.asarray(labels), 1)):
        data = idx_bytes(array)
        name = f"{part}-{kind}{dot}idx{rank}-ubyte"
        (folder / f"{name}.gz").write_bytes(gzip.compress(data)) if gz else (folder / name).write_bytes(data)


def data(kind: str, **keys) -> Data:
    return Data(format=kind, **keys)


# idx


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
def test_idx_reads_the_standard_names(tmp_path, gz, dot):
    write_pair(tmp_path, "train", IMAGES, [1, 0], gz, dot)
    write_pair(tmp_path, "t10k", IMAGES[:1], [1], gz, dot)
    raw = datasets.get("idx")(data("idx", path=str(tmp_path)))
    np.testing.assert_array_equal(raw.train.x, IMAGES)
    np.testing.assert_array_equal(raw.train.y, [1, 0])
    np.testing.assert_array_equal(raw.test.x, IMAGES[:1])
    assert raw.validation is None


def test_idx_parts_of_their_own_replace_those_of_path(tmp_path):
    for name in ("set", "more"):
        (tmp_path / name).mkdir()
    write_pair(tmp_path / "set", "train", IMAGES, [0, 1])
    write_pair(tmp_path / "set", "t10k", IMAGES, [0, 0])
    write_pair(tmp_path / "more", "held", IMAGES, [1, 1])
    stated = {"path": str(tmp_path / "set"), "test": str(tmp_path / "more")}
    raw = datasets.get("idx")(data("idx", **stated))
    np.testing.assert_array_equal(raw.test.y, [1, 1])
    stated["test"] = str(tmp_path / "more" / "held-images-idx3-ubyte")
    np.testing.assert_array_equal(datasets.get("idx")(data("idx", **stated)).test.y, [1, 1])


@pytest.mark.parametrize(("code", "kind"), [(0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")])
def test_idx_values_of_several_bytes_are_big_endian(tmp_path, code, kind):
    values = np.array([[-1, 2, 300]], kind)
    (tmp_path / "file").write_bytes(struct.pack(">BBBBII", 0, 0, code, 2, 1, 3) + values.tobytes())
    read = read_idx(tmp_path / "file")
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, [[-1, 2, 300]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no idx file: it begins with 0x;"),
        (b"\x89PNG\r\n", "begins with 0x89504e47"),
        (b"\0\0\x07\x01\0\0\0\x01\0", "begins with 0x00000701"),
        (idx_bytes(IMAGES)[:-1], r"holds 39 bytes, but its header promises 40 for the shape \(2, 3, 4\)"),
        (idx_bytes(IMAGES) + b"\0", "holds 41 bytes, but its header promises 40"),
        (idx_bytes(IMAGES)[:9], "cut short or is damaged"),
    ],
)
def test_idx_files_must_be_whole(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(MissingError, match=message):
        read_idx(tmp_path / "file")


def test_idx_gzip_must_be_whole(tmp_path):
    (tmp_path / "file.gz").write_bytes(gzip.compress(idx_bytes(IMAGES))[:-9])
    with pytest.raises(MissingError, match=r"file\.gz cannot be read"):
        read_idx(tmp_path / "file.gz")


def test_idx_folders_without_files_or_labels(tmp_path):
    with pytest.raises(MissingError, match=r"data\.path: there is no file or folder"):
        datasets.get("idx")(data("idx", path=str(tmp_path / "nowhere")))
    with pytest.raises(MissingError, match="is no folder of train-images-idx3-ubyte"):
        datasets.get("idx")(data("idx", path=str(tmp_path)))
    write_pair(tmp_path, "train", IMAGES, [0, 1])
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(MissingError, match=r"has no labels beside it; expected .*train-labels-idx1-ubyte"):
        datasets.get("idx")(data("idx", path=str(tmp_path)))


@pytest.mark.skipif(not fashion.PACKAGE.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed")
def test_fashion_mnist_from_the_debian_package():
    raw = datasets.get("fashion_mnist")(data("fashion_mnist"))
    assert raw.train.x.shape == (60_000, 28, 28) and raw.test.x.shape == (10_000, 28, 28)
    np.testing.assert_array_equal(np.bincount(raw.train.y), np.full(10, 6_000))
    assert raw.classes[9] == "Ankle boot" and raw.train.y[0] == 9


def test_fashion_mnist_falls_back_on_keras(monkeypatch, tmp_path):
    monkeypatch.setattr(fashion, "PACKAGE", tmp_path / "not-installed")
    monkeypatch.setattr(
        keras.datasets.fashion_mnist,
        "load_data",
        lambda: ((IMAGES, np.array([0, 1])), (IMAGES, np.array([1, 0]))),
    )
    raw = fashion.fashion_mnist(data("fashion_mnist"))
    np.testing.assert_array_equal(raw.test.y, [1, 0])


# keras.datasets


def test_a_download_is_impatient_quiet_and_explained(monkeypatch, capsys):
    seen = []

    def load_data():
        print("progress")
        seen.append(socket.getdefaulttimeout())
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)
    before = socket.getdefaulttimeout()
    with pytest.raises(MissingError, match=r"mnist is not in Keras' cache.*URL fetch failure.*connect to the network"):
        datasets.get("mnist")(data("mnist"))
    assert seen == [10.0] and socket.getdefaulttimeout() == before
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_keras_sets_have_their_class_names(monkeypatch, name, classes):
    part = (np.zeros((classes, 4, 4, 3), np.uint8), np.arange(classes)[:, None])
    monkeypatch.setattr(getattr(keras.datasets, name), "load_data", lambda: (part, part))
    raw = datasets.get(name)(data(name))
    assert len(set(raw.classes)) == classes and list(raw.classes) == sorted(raw.classes)
    assert keras_set(name).classes is None


# digits


def test_digits_are_whole_and_spread_over_all_values():
    raw = datasets.get("digits")(data("digits"))
    assert raw.train.x.shape == (1797, 8, 8) and raw.train.x.dtype == np.uint8
    assert raw.train.x.min() == 0 and raw.train.x.max() == 255
    assert set(np.unique(raw.train.x)) <= {round(step * 255 / 16) for step in range(17)}
    assert np.bincount(raw.train.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


# npz


def test_npz_reads_all_parts_of_one_file(tmp_path):
    path = tmp_path / "set.npz"
    y, w = np.array([0, 1]), np.array([1.0, 2.0])
    np.savez(path, x_train=IMAGES, y_train=y, w_train=w, x_val=IMAGES + 1, y_val=y, x_test=IMAGES, y_test=1 - y)
    raw = npz(data("npz", path=str(path)))
    np.testing.assert_array_equal(raw.train.weight, w)
    np.testing.assert_array_equal(raw.validation.x, IMAGES + 1)
    np.testing.assert_array_equal(raw.test.y, [1, 0])
    assert raw.classes is None


@pytest.mark.parametrize("ending", ["validation", "valid", "val"])
def test_npz_reads_a_folder_and_files_of_their_own(tmp_path, ending):
    for name, shift in (("train", 0), (ending, 1), ("other", 2)):
        np.savez(tmp_path / f"{name}.npz", x=IMAGES + shift, y=["b", "a"], classes=["a", "b"])
    raw = npz(data("npz", path=str(tmp_path), test=str(tmp_path / "other.npz")))
    assert [raw.train.x[0, 0, 0], raw.validation.x[0, 0, 0], raw.test.x[0, 0, 0]] == [0, 1, 2]
    own = npz(data("npz", train=str(tmp_path / "train.npz"), test=str(tmp_path / "other.npz")))
    assert own.validation is None and own.train.y.tolist() == ["b", "a"]


def test_npz_never_unpickles(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    np.savez(tmp_path / "bad.npz", x=np.array([Trap()], object), y=[0])
    with pytest.raises(MissingError, match=r"bad\.npz cannot be read as \.npz \(Object arrays"):
        npz(data("npz", path=str(tmp_path / "bad.npz")))
    assert not (tmp_path / "sprung").exists()


def test_npz_files_that_are_something_else(tmp_path):
    np.savez(tmp_path / "names.npz", images=IMAGES)
    np.savez(tmp_path / "half.npz", x_train=IMAGES)
    np.savez(tmp_path / "both.npz", x_train=IMAGES, y_train=[0, 1], x_test=IMAGES, y_test=[0, 1])
    np.save(tmp_path / "one.npy", IMAGES)
    (tmp_path / "text.npz").write_text("no archive")
    whole = (tmp_path / "both.npz").read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[: len(whole) // 2])
    for name, message in {
        "names.npz": "holds images; needed are x_train and y_train",
        "half.npz": "holds x_train but no y_train",
        "one.npy": "is a single .npy array",
        "text.npz": "cannot be read as .npz",
        "short.npz": "cannot be read as .npz",
    }.items():
        with pytest.raises(MissingError, match=message):
            npz(data("npz", path=str(tmp_path / name)))
    with pytest.raises(MissingError, match="holds train, test; the file of one part"):
        npz(data("npz", train=str(tmp_path / "both.npz")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match=r"holds no train\.npz"):
        npz(data("npz", path=str(tmp_path / "empty")))


def test_a_format_without_any_path_is_a_mistake_of_the_recipe():
    with pytest.raises(ValidationError, match="received format 'npz' without 'path'"):
        Data(format="npz")


# image_folder


def picture(folder, name, value, mode="L", size=(4, 3)):
    """Write one image of a single colour; ``size`` is (width, height), as Pillow has it."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(folder / name)


def two_classes(root, mode="L"):
    grey = mode == "L"
    for index in range(4):
        picture(root / "cat", f"{index}.png", 10 * index if grey else (10 * index, 0, 0), mode)
        picture(root / "ant", f"{index}.bmp", 100 + index if grey else (100 + index, 0, 0), mode)


def test_class_folders_are_read_in_order(tmp_path):
    two_classes(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    raw = image_folder(data("image_folder", path=str(tmp_path)))
    assert raw.classes == ("ant", "cat") and raw.train.y.tolist() == ["ant"] * 4 + ["cat"] * 4
    assert raw.train.x.shape == (8, 3, 4, 1) and raw.train.x.dtype == np.uint8
    assert raw.train.x[:][:, 2, 3, 0].tolist() == [100, 101, 102, 103, 0, 10, 20, 30]


@pytest.mark.parametrize(
    "names", [("train", "valid", "test"), ("Train", "val", "TEST"), ("train", "validation", "testing")]
)
def test_part_folders_are_found(tmp_path, names):
    for name in names:
        two_classes(tmp_path / name)
    raw = image_folder(data("image_folder", path=str(tmp_path)))
    assert [len(part.x) for part in (raw.train, raw.validation, raw.test)] == [8, 8, 8]


def test_a_class_may_be_called_train(tmp_path):
    two_classes(tmp_path)
    picture(tmp_path / "train", "locomotive.png", 7)
    raw = image_folder(data("image_folder", path=str(tmp_path)))
    assert raw.classes == ("ant", "cat", "train") and len(raw.train.x) == 9 and raw.test is None


def test_one_colour_image_makes_all_three_channels(tmp_path):
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "test", "RGB")
    raw = image_folder(data("image_folder", path=str(tmp_path)))
    assert raw.train.x.shape[3] == raw.test.x.shape[3] == 3
    assert raw.test.x.image(0)[0, 0].tolist() == [100, 0, 0]
    grey = image_folder(data("image_folder", path=str(tmp_path), channels=1))
    assert grey.test.x.shape[3] == 1 and grey.test.x.image(0)[0, 0, 0] == 30  # 0.299 of 100


def test_palette_and_16_bit_images_keep_their_values(tmp_path):
    picture(tmp_path / "a", "1.gif", 60, "L")
    Image.fromarray(np.full((3, 4), 128 * 257, np.uint16)).save(tmp_path / "a" / "2.png")
    picture(tmp_path / "b", "1.png", 200, "LA")
    raw = image_folder(data("image_folder", path=str(tmp_path)))
    assert raw.train.x[:][:, 0, 0].tolist() == [[60], [128], [200]]


def test_jpegs_are_read_nearly_exactly(tmp_path):
    picture(tmp_path / "a", "1.JPG", (200, 100, 50), "RGB", (16, 16))
    picture(tmp_path / "b", "1.jpeg", (20, 40, 60), "RGB", (16, 16))
    x = image_folder(data("image_folder", path=str(tmp_path))).train.x[:].astype(int)
    assert np.abs(x - np.array([[[[200, 100, 50]]], [[[20, 40, 60]]]])).max() <= 4


def test_sizes_must_agree_or_be_stated(tmp_path):
    two_classes(tmp_path)
    picture(tmp_path / "cat", "9.png", 7, size=(6, 5))
    with pytest.raises(MissingError, match=r"3x4, .*9\.png 5x6; set data\.image_size"):
        image_folder(data("image_folder", path=str(tmp_path)))
    raw = image_folder(data("image_folder", path=str(tmp_path), image_size=[2, 8]))
    assert raw.train.x.shape == (9, 2, 8, 1)
    assert (raw.train.x.image(8) == 7).all()


def test_what_is_wrong_with_image_folders(tmp_path):
    def refused(message, **keys):
        with pytest.raises(MissingError, match=message):
            image_folder(data("image_folder", path=str(tmp_path), **keys)).train.x[:]

    refused("must hold a folder for each class with files ending in .png or .*; found no folder")
    (tmp_path / "cat").mkdir()
    refused("; found cat$")
    (tmp_path / "ant").mkdir()
    refused("; found ant, cat$")
    picture(tmp_path / "cat", "0.png", 0)
    refused(r"class 'ant' is empty: .*ant")
    (tmp_path / "ant" / "broken.png").write_bytes(b"no png")
    refused(r"broken\.png cannot be read as an image")
    picture(tmp_path / "ant", "broken.png", 3, size=(64, 64))
    whole = (tmp_path / "ant" / "broken.png").read_bytes()
    (tmp_path / "ant" / "broken.png").write_bytes(whole[: len(whole) // 2])
    refused(r"broken\.png cannot be read as an image", image_size=[3, 4])
    refused(r"data\.test: there is no file or folder", test=str(tmp_path / "nowhere"))


def test_classes_of_the_parts_must_agree(tmp_path):
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "test")
    picture(tmp_path / "test" / "dog", "0.png", 0)
    with pytest.raises(MissingError, match="train and test must agree, but test has 'dog' and train has not"):
        image_folder(data("image_folder", path=str(tmp_path)))


def test_the_recipes_class_order_is_that_of_the_outputs(tmp_path):
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "test")
    dataset = load_dataset(data("image_folder", path=str(tmp_path), classes=["cat", "ant"], validation=0.25), 0)
    assert dataset.preprocessing.classes == ("cat", "ant")
    np.testing.assert_array_equal(dataset.test.y, [1] * 4 + [0] * 4)


def test_reading_numpy_formats_leaves_tensorflow_alone(tmp_path):
    write_pair(tmp_path, "train", np.tile(IMAGES, (20, 1, 1)), [0, 1] * 20)
    np.savez(tmp_path / "set.npz", x=np.tile(IMAGES, (20, 1, 1)), y=[0, 1] * 20)
    code = (
        "import sys; from spiral_cli.data import load_dataset; from spiral_cli.recipe.data import Data; "
        f"load_dataset(Data(format='idx', path={str(tmp_path)!r}), 0); "
        f"load_dataset(Data(format='npz', path={str(tmp_path / 'set.npz')!r}), 0); "
        "load_dataset(Data(format='digits'), 0); "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_arrays_take_examples_with_their_weights():
    taken = Arrays(IMAGES, np.array([5, 6]), np.array([0.5, 1.5])).take(np.array([1]))
    assert taken.x[0, 0, 0] == 12 and taken.y.tolist() == [6] and taken.weight.tolist() == [1.5]


def test_what_tools_leave_beside_the_images_is_passed_over(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / name, "1.png", 128)
        for odd in (".ipynb_checkpoints/1-checkpoint.png", "._1.png", "__MACOSX/1.png"):
            picture((tmp_path / name / odd).parent, Path(odd).name, 128)
        (tmp_path / name / "folder.png").mkdir()
    raw = datasets.get("image_folder")(data("image_folder", path=str(tmp_path)))
    assert len(raw.train.x) == 2


@pytest.mark.parametrize("suffix", [".webp", ".tif", ".tiff", ".bmp", ".gif", ".jpg"])
def test_images_of_every_common_suffix_are_read(tmp_path, suffix):
    for name in ("a", "b"):
        picture(tmp_path / name, f"1{suffix}", 128)
    assert len(datasets.get("image_folder")(data("image_folder", path=str(tmp_path))).train.x) == 2
