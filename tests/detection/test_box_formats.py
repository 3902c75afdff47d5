"""COCO, Pascal VOC and YOLO: what is read, what is mended and counted, what is refused and in which words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn import CLASSES, Shape, coco_of, picture, write_coco, write_voc, write_yolo, xml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spiral_cli.data.boxes import load_boxes
from spiral_cli.data.stream import Stream
from spiral_cli.errors import MissingError, UsageError
from spiral_cli.recipe.data import Data
from spiral_cli.tasks.drawing import draw

SIZE = (40, 60)
DISC, SQUARE = Shape("disc", (4, 6, 24, 26)), Shape("square", (30, 10, 50, 30))
TRAIN = [[DISC, SQUARE], [SQUARE], [], [DISC]] * 3
VALIDATION, TEST = [[DISC]], [[SQUARE, DISC]]
WRITERS = {"voc": write_voc, "yolo": write_yolo, "coco": write_coco}


def load(format: str, root: Path, **more):
    return load_boxes(Data(**{"format": format, "path": str(root), **more}), 0)


def there(y: np.ndarray) -> list[tuple[float, ...]]:
    return [tuple(map(float, row)) for row in y if row[4] >= 0]


@pytest.mark.parametrize("format", WRITERS)
def test_a_set_is_read_as_it_was_drawn(format, tmp_path):
    WRITERS[format](tmp_path / "set", {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    dataset = load(format, tmp_path / "set")
    assert dataset.preprocessing.classes == CLASSES
    assert dataset.train.x.shape == (12, 40, 60, 3) and dataset.train.x.dtype == np.uint8
    np.testing.assert_array_equal(dataset.test.x[0], np.asarray(picture(TEST[0], SIZE)))
    assert there(dataset.validation.y[0]) == [(4.0, 6.0, 24.0, 26.0, 0.0)]
    assert sorted(there(dataset.test.y[0])) == [(4.0, 6.0, 24.0, 26.0, 0.0), (30.0, 10.0, 50.0, 30.0, 1.0)]
    assert dataset.train.y.shape == (12, 2, 5) and there(dataset.train.y[2]) == []
    assert [note for note in dataset.notes if "no object" in note and note.startswith("train: 3")]


@pytest.mark.parametrize("format", WRITERS)
def test_a_part_without_images_of_its_own_is_carved_and_the_validation_part_is_the_test(format, tmp_path):
    WRITERS[format](tmp_path / "set", {"train": TRAIN, "val": TEST}, SIZE)
    dataset = load(format, tmp_path / "set", validation=0.25)
    assert [len(split.x) for split in (dataset.train, dataset.validation, dataset.test)] == [9, 3, 1]
    assert len(there(dataset.test.y[0])) == 2


def test_boxes_are_stretched_with_their_image_and_found_again(tmp_path):
    write_voc(tmp_path, {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    dataset = load("voc", tmp_path, image_size=[80, 90])
    assert dataset.train.x.shape[1:] == (80, 90, 3)
    box = dataset.validation.y[0, 0, :4]
    np.testing.assert_allclose(box, [4 * 1.5, 6 * 2, 24 * 1.5, 26 * 2])
    np.testing.assert_allclose(dataset.preprocessing.original(box, SIZE), DISC.box)


def test_classes_are_in_the_order_the_recipe_says(tmp_path):
    write_coco(tmp_path / "set", {"train": TRAIN, "val": VALIDATION}, SIZE)
    dataset = load("coco", tmp_path / "set", classes=["square", "disc"], validation=0.25)
    assert dataset.preprocessing.classes == ("square", "disc")
    assert there(dataset.test.y[0]) == [(4.0, 6.0, 24.0, 26.0, 1.0)]
    with pytest.raises(UsageError, match="the set's classes are disc, square"):
        load("coco", tmp_path / "set", classes=["square", "ring"])


def test_the_rarest_class_of_an_image_decides_where_it_goes(tmp_path):
    many = [[DISC, SQUARE]] * 2 + [[SQUARE]] * 18
    write_voc(tmp_path, {"train": many, "test": TEST}, SIZE)
    dataset = load("voc", tmp_path, validation=0.2)
    with_disc = [sum((row[:, 4] == 0).any() for row in split.y) for split in (dataset.train, dataset.validation)]
    assert with_disc == [1, 1]


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    write_voc(tmp_path, {"train": TRAIN}, SIZE)
    assert load("voc", tmp_path).fingerprint() == load("voc", tmp_path).fingerprint()


# What is wrong and can be mended.


def voc_with(root: Path, objects) -> None:
    write_voc(root, {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    (root / "Annotations/train000.xml").write_text(xml("train000.png", SIZE, objects))


@pytest.mark.parametrize(
    ("edges", "left", "said"),
    [
        ((5, 7, 5, 7), [], "1 boxes have no area and are left out"),
        ((20, 7, 10, 17), [], "1 boxes have no area and are left out"),
        ((61, 1, 90, 20), [], "1 boxes lie outside of their image and are left out"),
        ((-20, -30, 10, 20), [(0.0, 0.0, 10.0, 20.0, 0.0)], "1 boxes reach beyond their image and are cut off"),
        ((51, 1, 61, 20), [(50.0, 0.0, 60.0, 20.0, 0.0)], None),
        ((2.5, 3.5, 10.25, 11), [(1.5, 2.5, 10.25, 11.0, 0.0)], None),
    ],
)
def test_boxes_are_cut_off_at_the_edge_and_what_vanishes_is_counted(edges, left, said, tmp_path):
    voc_with(tmp_path, [("disc", edges), ("square", (1, 1, 8, 8))])
    dataset = load("voc", tmp_path)
    assert there(dataset.train.y[0]) == [*left, (0.0, 0.0, 8.0, 8.0, 1.0)]
    mending = [note for note in dataset.notes if " boxes " in note]
    assert len(mending) == (said is not None)
    assert said is None or (said in mending[0] and "train000.png" in mending[0])


@pytest.mark.parametrize("damage", ["missing", "empty", "cut short", "text"])
def test_images_that_cannot_be_decoded_are_left_out_and_counted(damage, tmp_path):
    write_voc(tmp_path, {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    file = tmp_path / "JPEGImages/train003.png"
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes({"empty": b"", "cut short": content[: len(content) // 2], "text": b"no image"}[damage])
    dataset = load("voc", tmp_path)
    assert len(dataset.train.x) == len(TRAIN) - 1
    assert [note for note in dataset.notes if note.startswith("train: 1 images") and "train003" in note]


def test_a_part_of_which_nothing_can_be_read_is_refused(tmp_path):
    write_voc(tmp_path, {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    (tmp_path / "JPEGImages/val000.png").unlink()
    with pytest.raises(MissingError, match="none of the 1 validation images can be read"):
        load("voc", tmp_path)


def test_crowds_are_left_out_and_counted(tmp_path):
    write_coco(tmp_path / "set", {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    file = tmp_path / "set/annotations/instances_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["iscrowd"] = 1
    file.write_text(json.dumps(content))
    dataset = load("coco", tmp_path / "set")
    assert "1 boxes of crowds (iscrowd) are left out" in dataset.notes
    assert len(there(dataset.train.y[0])) == 1


def test_images_without_a_label_file_have_no_objects(tmp_path):
    write_yolo(tmp_path, {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    (tmp_path / "labels/train/000.txt").unlink()
    dataset = load("yolo", tmp_path)
    assert there(dataset.train.y[0]) == []
    assert dataset.notes[0] == (
        "1 images have no label file, in labels or beside them, and count as images without objects "
        f"(first: {tmp_path}/images/train/000.png)"
    )


def test_yolo_labels_beside_their_images_are_found_in_a_folder_called_images_too(tmp_path):
    root = tmp_path / "images/set"  # what lies above the data is not asked
    write_yolo(root, {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    wanted = load("yolo", root).fingerprint()
    (tmp_path / "labels/set").mkdir(parents=True)
    for part in ("train", "val", "test"):
        for file in (root / "labels" / part).iterdir():
            file.rename(root / "images" / part / file.name)
    assert load("yolo", root).fingerprint() == wanted
    parts = {"train": "train", "validation": "val", "test": "test"}
    own = {part: f"{root}/images/{name}" for part, name in parts.items()}
    assert load_boxes(Data(format="yolo", classes=list(CLASSES), **own), 0).fingerprint() == wanted
    (root / "labels/test/000.txt").write_text("1 0.5 0.5 0.5 0.5")  # in labels it is looked for first
    assert there(load("yolo", root).test.y[0]) == [(15.0, 10.0, 45.0, 30.0, 1.0)]
    only = tmp_path / "darknet"
    only.mkdir()
    (root / "images/train").rename(only / "images")
    (only / "classes.txt").write_text("disc\nsquare\n")
    assert sum(len(there(y)) for y in load("yolo", only).train.y) > 0


@pytest.mark.parametrize("format", WRITERS)
def test_a_train_part_without_a_box_is_refused(format, tmp_path):
    WRITERS[format](tmp_path / "set", {"train": [[]] * 4, "val": VALIDATION, "test": TEST}, SIZE)
    said = f"not one of 4 train images has a box.*found as {format}: .*train: 4 images have no object"
    if format == "yolo":
        shutil.rmtree(tmp_path / "set/labels/train")
        said = "not one of 4 train images has a box.*4 images have no label file, in labels or beside them.*000.png"
    with pytest.raises(MissingError, match=said):
        load(format, tmp_path / "set")


@pytest.mark.parametrize("stream", [False, True])
def test_pictures_of_train_that_are_measured_on_are_told(stream, tmp_path):
    """As in coco8.yaml and the like, which try a program out."""
    write_yolo(tmp_path, {"train": [[Shape("disc", (n, 6, 20 + n, 26))] for n in range(20)]}, SIZE)
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [disc, square]\n")
    dataset = load("yolo", tmp_path, stream=stream)
    assert f"{len(dataset.test.y)} of {len(dataset.test.y)} test" not in str(dataset.notes)  # carved off: not learnt
    (told,) = [note for note in dataset.notes if "are in train, too" in note]
    assert told.startswith("18 of 20 test examples")


@pytest.mark.parametrize("part", ["val", "test"])
def test_a_part_without_a_box_measures_nothing_and_is_refused(part, tmp_path):
    write_coco(tmp_path / "set", {"train": TRAIN, "val": VALIDATION, "test": TEST, part: [[], []]}, SIZE)
    with pytest.raises(MissingError, match=r"not one of 2 (validation|test) images has a box.*nothing to measure"):
        load("coco", tmp_path / "set")


def test_a_size_that_is_not_the_file_s_is_told(tmp_path):
    write_coco(tmp_path / "set", {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    assert not [note for note in load("coco", tmp_path / "set").notes if "another size" in note]
    file = tmp_path / "set/annotations/instances_train2017.json"
    content = coco_of(TRAIN, SIZE)
    content["images"][3].update(width=640, height=480)
    file.write_text(json.dumps(content))
    (note,) = [note for note in load("coco", tmp_path / "set").notes if "another size" in note]
    assert note.startswith("train: 1 images have another size than is written") and "003.png" in note


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_is_seen_upright_and_its_boxes_are_where_people_drew_them(turn, tmp_path):
    """Each file holds the pixels turned as EXIF's tag says, so that upright all are one picture."""
    write_yolo(tmp_path, {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    file = tmp_path / "images/test/000.png"
    shown = picture(TEST[0], SIZE)
    back = [None, None, 0, 3, 1, 5, 2, 6, 4][turn]  # Pillow's number of what undoes the turn
    exif = Image.Exif()
    exif[0x0112] = turn
    (shown if back is None else shown.transpose(Image.Transpose(back))).save(file, exif=exif)
    for more in ({}, {"image_size": [40, 60]}):
        dataset = load("yolo", tmp_path, **more)
        np.testing.assert_array_equal(dataset.test.x[0], np.asarray(shown))
        assert len(there(dataset.test.y[0])) == 2
    np.testing.assert_array_equal(np.asarray(draw(file, [])), np.asarray(shown))


@pytest.mark.parametrize("format", WRITERS)
def test_objects_may_be_of_one_class(format, tmp_path):
    WRITERS[format](tmp_path / "set", {"train": [[DISC]] * 4, "val": VALIDATION, "test": VALIDATION}, SIZE)
    if format == "yolo":
        (tmp_path / "set/data.yaml").unlink()
    content = tmp_path / "set/annotations/instances_train2017.json"
    if format == "coco":
        for file in content.parent.iterdir():
            file.write_text(json.dumps({**json.loads(file.read_text()), "categories": [{"id": 3, "name": "disc"}]}))
    dataset = load(format, tmp_path / "set", classes=["disc"])
    assert dataset.preprocessing.classes == ("disc",) and there(dataset.test.y[0]) == [(4.0, 6.0, 24.0, 26.0, 0.0)]


def test_a_class_that_train_lacks_is_told(tmp_path):
    write_voc(tmp_path, {"train": [[DISC]] * 4, "val": VALIDATION, "test": TEST}, SIZE)
    assert [note for note in load("voc", tmp_path).notes if "the class 'square' has no box in train" in note]


def test_grey_images_stay_grey_and_sizes_that_differ_need_one(tmp_path):
    write_voc(tmp_path, {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    picture([], (50, 50)).save(tmp_path / "JPEGImages/train000.png")
    with pytest.raises(MissingError, match=r"differ in height x width.*set data.image_size"):
        load("voc", tmp_path)
    assert load("voc", tmp_path, image_size=[32, 32], channels=1).train.x.shape[1:] == (32, 32, 1)


# What is wrong and is refused.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<annotation><object>", r"train000\.xml, line 1: is no XML"),
        (xml("a", SIZE, [("", (1, 1, 2, 2))]), r"train000\.xml, object 1: has no name"),
        (xml("a", SIZE, [("disc", (1, 1, 9, 9)), ("disc", (1, "x", 2, 2))]), r"object 2: received '1 x 2 2'"),
        (xml("a", SIZE, [("disc", (1, 1, "nan", 2))]), "a box is 4 finite numbers"),
        ("<annotation><object><name>disc</name></object></annotation>", "nothing nothing nothing nothing"),
    ],
)
def test_malformed_xml_is_refused(content, said, tmp_path):
    write_voc(tmp_path, {"train": TRAIN, "val": VALIDATION}, SIZE)
    (tmp_path / "Annotations/train000.xml").write_text(content)
    with pytest.raises(MissingError, match=said):
        load("voc", tmp_path)


def apart(root: Path, images: str, annotations: str) -> None:
    """Move the images and XML files of a set of Pascal VOC, named by their parts, to folders of a part each."""
    for file in [*(root / "JPEGImages").iterdir(), *(root / "Annotations").iterdir()]:
        part = {"trai": "train", "val0": "valid", "test": "test"}[file.name[:4]]
        folder = root / (annotations if file.suffix == ".xml" else images).format(part=part)
        folder.mkdir(parents=True, exist_ok=True)
        file.rename(folder / file.name)
    shutil.rmtree(root / "ImageSets")
    for folder in ("JPEGImages", "Annotations"):
        (root / folder).rmdir()


@pytest.mark.parametrize(
    ("images", "annotations"),
    [("{part}", "{part}"), ("{part}/images", "{part}/annotations"), ("{part}/JPEGImages", "{part}/Annotations")],
)
def test_voc_in_folders_of_parts(images, annotations, tmp_path):
    write_voc(tmp_path, {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    wanted = load("voc", tmp_path)
    apart(tmp_path, images, annotations)
    dataset = load("voc", tmp_path)
    assert dataset.fingerprint() == wanted.fingerprint()
    own = {part: f"{tmp_path}/{name}" for part, name in (("train", "train"), ("validation", "valid"), ("test", "test"))}
    assert load_boxes(Data(format="voc", **own), 0).fingerprint() == wanted.fingerprint()
    for file in (tmp_path / annotations.format(part="test")).glob("*.xml"):
        file.rename(file.with_name(f"._{file.name}"))  # hidden
    dataset = load("voc", tmp_path, validation=0.25)
    assert [len(part.x) for part in (dataset.train, dataset.validation, dataset.test)] == [9, 3, 1]
    assert dataset.notes[0] == f"{tmp_path}/test holds no .xml file and is left out"


@pytest.mark.parametrize(("images", "annotations"), [("", ""), ("images", "annotations"), ("Images", "ANNOTATIONS")])
def test_voc_in_one_folder_or_two(images, annotations, tmp_path):
    write_voc(tmp_path, {"train": TRAIN}, SIZE)
    for name in ("train001", "train003"):  # by what the file says, where its own name is of no image
        (tmp_path / f"Annotations/{name}.xml").rename(tmp_path / f"Annotations/{name}b.xml")
    shutil.rmtree(tmp_path / "ImageSets")
    wanted = load("voc", tmp_path).fingerprint()
    (tmp_path / "ImageSets").mkdir()
    apart(tmp_path, images, annotations)
    assert load("voc", tmp_path).fingerprint() == wanted
    assert load_boxes(Data(format="voc", train=str(tmp_path / annotations)), 0).fingerprint() == wanted


def test_an_unknown_class_of_voc_is_refused(tmp_path):
    write_voc(tmp_path, {"train": TRAIN, "val": VALIDATION}, SIZE)
    with pytest.raises(MissingError, match=r"train000\.xml: the class 'square' is not one of disc, squares.*squares"):
        load("voc", tmp_path, classes=["disc", "squares"])


def test_a_listed_image_without_annotation_is_refused_with_the_line(tmp_path):
    write_voc(tmp_path, {"train": TRAIN, "val": VALIDATION}, SIZE)
    (tmp_path / "Annotations/train001.xml").unlink()
    with pytest.raises(MissingError, match=r"train\.txt, line 2: there is no .*train001\.xml"):
        load("voc", tmp_path)


def test_names_in_a_list_may_hold_spaces_and_a_mark_behind_them(tmp_path):
    write_voc(tmp_path, {"train": TRAIN, "test": TEST}, SIZE)
    names = [f"train{number:03d}" for number in range(len(TRAIN))]
    wanted = load("voc", tmp_path).fingerprint()
    (tmp_path / "ImageSets/Main/train.txt").write_text(
        "".join(f"{name}  {n % 3 - 1}\n" for n, name in enumerate(names))
    )
    assert load("voc", tmp_path).fingerprint() == wanted
    for name in names:
        for file in (tmp_path / f"Annotations/{name}.xml", tmp_path / f"JPEGImages/{name}.png"):
            file.rename(file.with_stem(f"{name} 0"))
    (tmp_path / "ImageSets/Main/train.txt").write_text("".join(f"{name} 0\r\n" for name in names))
    assert load("voc", tmp_path).fingerprint() == wanted
    (tmp_path / "ImageSets/Main/train.txt").write_text("train000 0 2\n")
    with pytest.raises(MissingError, match=r"train\.txt, line 1: there is no .*train000 0 2\.xml"):
        load("voc", tmp_path)


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "utf-16", "utf-8-sig"])
def test_xml_is_read_in_the_encoding_it_declares(tmp_path, encoding):
    write_voc(tmp_path, {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    declared = encoding.removesuffix("-sig")
    for file in (tmp_path / "Annotations").iterdir():
        text = file.read_text().replace("disc", "Käse")
        file.write_bytes(f'<?xml version="1.0" encoding="{declared}"?>{text}'.encode(encoding))
    assert load("voc", tmp_path).preprocessing.classes == ("Käse", "square")
    (tmp_path / "Annotations/train000.xml").write_bytes(b'<?xml version="1.0" encoding="klingon"?><annotation/>')
    with pytest.raises(MissingError, match=r"train000\.xml, line 1: (is no XML|has an encoding that cannot be read)"):
        load("voc", tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0 0.5 0.5 0.1", r"000\.txt, line 2: received 4 fields"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2", r"line 2: received 7 fields.*polygon"),
        ("2 0.5 0.5 0.1 0.1", r"line 2: the class '2' is none of 0 to 1"),
        ("disc 0.5 0.5 0.1 0.1", "the class 'disc' is none of 0 to 1"),
        ("-1 0.5 0.5 0.1 0.1", "the class '-1' is none of 0 to 1"),
        ("0 0.5 half 0.1 0.1", r"line 2: received '0.5 half 0.1 0.1'; a box is 4 finite numbers"),
        ("0 0.5 inf 0.1 0.1", "a box is 4 finite numbers"),
    ],
)
def test_malformed_lines_are_refused(line, said, tmp_path):
    write_yolo(tmp_path, {"train": TRAIN, "val": VALIDATION}, SIZE)
    file = tmp_path / "labels/train/000.txt"
    first = file.read_text().splitlines()[0]
    file.write_text(f"{first}\n{line}\n")
    with pytest.raises(MissingError, match=said):
        load("yolo", tmp_path)


def test_yolo_in_folders_of_parts_and_by_data_yaml(tmp_path):
    write_yolo(tmp_path / "a", {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    wanted = load("yolo", tmp_path / "a").fingerprint()
    for part in ("train", "val", "test"):
        (tmp_path / "b" / part).mkdir(parents=True)
        for kind in ("images", "labels"):
            (tmp_path / "a" / kind / part).rename(tmp_path / "b" / part / kind)
    (tmp_path / "b/data.yaml").write_text("names: {1: square, 0: disc}\n")
    assert load("yolo", tmp_path / "b").fingerprint() == wanted
    (tmp_path / "c").mkdir()
    (tmp_path / "b").rename(tmp_path / "c/shapes")
    (tmp_path / "c/data.yaml").write_text(
        "path: shapes\ntrain: train/images\nval: val/images\ntest: test/images\nnames: [disc, square]\n"
    )
    assert load("yolo", tmp_path / "c").fingerprint() == wanted
    (tmp_path / "c/data.yaml").write_text("train: shapes/train/images\nnames: {'0': disc, '1': square}\n")
    dataset = load("yolo", tmp_path / "c", validation=0.25, test=f"{tmp_path}/c/shapes/test/images")
    assert len(dataset.test.x) == 1 and dataset.preprocessing.classes == CLASSES
    (tmp_path / "c/data.yaml").write_text("train: shapes/train/images\nnames: {1: disc, 2: square}\n")
    with pytest.raises(MissingError, match=r"c/data\.yaml: names are of 1, 2; count from 0"):
        load("yolo", tmp_path / "c")
    (tmp_path / "c/data.yaml").write_text("names: [disc\n")
    with pytest.raises(MissingError, match=r"data\.yaml, line 2: is no YAML"):
        load("yolo", tmp_path / "c")


def counts(root: Path, text: str) -> list[int]:
    (root / "data.yaml").write_text(text + "\nnames: [disc, square]\n")
    dataset = load("yolo", root, validation=0.25)
    return [len(split.x) for split in (dataset.train, dataset.validation, dataset.test)]


def test_data_yaml_is_believed_before_the_names_of_folders(tmp_path):
    write_yolo(tmp_path, {"train": TRAIN, "more": TRAIN[:4], "held": [[DISC]] * 2, "test": TEST}, SIZE)
    files = [f"./images/train/{number:03d}.png" for number in range(8)]
    (tmp_path / "some.txt").write_text("\n".join(files) + "\n\n")
    assert counts(tmp_path, "") == [9, 3, 1]
    assert counts(tmp_path, "train: images/train\nval: images/held") == [9, 3, 2]
    assert counts(tmp_path, "train: images/train\nval: images/held\ntest: images/test") == [12, 2, 1]
    assert counts(tmp_path, "train: [images/train, images/more]\nval: images/held\ntest: images/test") == [16, 2, 1]
    assert counts(tmp_path, "train: some.txt\nvalid: [images/held]\ntest:") == [5, 3, 2]
    assert counts(tmp_path, f"path: {tmp_path}/images\ntrain: ../some.txt\nval: held") == [5, 3, 2]
    assert counts(tmp_path, "train: ../images/train\nval: ../images/held") == [9, 3, 2]  # as Roboflow writes them


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: images/train\nval: images/held", r"data\.yaml: val names images/held, which is not in .*; correct it"),
        ("train: [images/train, images/more]", r"data\.yaml: train names images/more, which is not in"),
        ("train: some.txt", r"some\.txt, line 2: there is no image images/train/099\.png; paths are from"),
        ("train: images/train/000.png", r"000\.png: a part of a yolo set is a folder of images, or a \.txt file"),
    ],
)
def test_what_data_yaml_names_must_be_there(tmp_path, text, said):
    write_yolo(tmp_path, {"train": TRAIN, "val": VALIDATION}, SIZE)
    (tmp_path / "some.txt").write_text("images/train/000.png\nimages/train/099.png\n")
    with pytest.raises(MissingError, match=said):
        counts(tmp_path, text)


def test_yolo_needs_names(tmp_path):
    write_yolo(tmp_path, {"train": TRAIN, "val": VALIDATION}, SIZE)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(
        MissingError, match=r"no data\.yaml with names and no classes\.txt or obj\.names, nor .*; give data\.cl"
    ):
        load("yolo", tmp_path)
    (tmp_path / "classes.txt").write_text("disc\nsquare\n")
    assert load("yolo", tmp_path).preprocessing.classes == CLASSES


def test_one_yaml_file_of_any_name_is_found_or_given(tmp_path):
    write_yolo(tmp_path, {"train": TRAIN, "more": VALIDATION, "test": TEST}, SIZE)
    text = "path: ../elsewhere\ntrain: images/train\nval: images/more\ntest: images/test\nnames: {0: disc, 1: square}\n"
    wanted = counts(tmp_path, text)
    assert wanted == [12, 1, 1]
    (tmp_path / "data.yaml").rename(tmp_path / "shapes.yml")
    (tmp_path / "hyp.yaml").write_text("lr0: 0.01\n")
    (tmp_path / "broken.yaml").write_text("names: [disc\n")
    for place in (tmp_path, tmp_path / "shapes.yml"):
        dataset = load("yolo", place)
        assert [len(part.x) for part in (dataset.train, dataset.validation, dataset.test)] == wanted
    (tmp_path / "other.yaml").write_text("names: [square, disc]\n")  # which of them is meant nobody knows
    with pytest.raises(MissingError, match=r"or as data\.path a YAML file with names"):
        load("yolo", tmp_path)
    assert load("yolo", tmp_path / "other.yaml").preprocessing.classes == ("square", "disc")
    with pytest.raises(MissingError, match=r"000\.txt is a file; allowed is a folder, or the YAML file that describes"):
        load("yolo", tmp_path / "labels/train/000.txt")


@pytest.mark.parametrize("list", ["classes.txt", "obj.names"])
@pytest.mark.parametrize("place", [".", "labels", "labels/{part}"])
def test_lists_of_names_lie_in_the_folder_or_beside_the_labels(place, list, tmp_path):
    write_yolo(tmp_path, {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    wanted = load("yolo", tmp_path).fingerprint()
    (tmp_path / "data.yaml").unlink()
    for part in ("train", "val", "test"):
        (tmp_path / place.format(part=part) / list).write_text("disc\r\nsquare\r\n")
    dataset = load("yolo", tmp_path)
    assert dataset.fingerprint() == wanted and dataset.preprocessing.classes == CLASSES
    if "{part}" in place:
        (tmp_path / "labels/val" / list).write_text("square\ndisc\n")
        said = r"labels/test/\S+ \(disc, square\) and .*labels/val/\S+ \(square, disc\) differ; .*give data\.classes"
        with pytest.raises(MissingError, match=said):
            load("yolo", tmp_path)
        assert load("yolo", tmp_path, classes=["disc", "square"]).fingerprint() == wanted


def test_yolo_as_labelimg_leaves_it_in_one_folder(tmp_path):
    write_yolo(tmp_path, {"train": TRAIN}, SIZE)
    wanted = load("yolo", tmp_path).fingerprint()
    (tmp_path / "data.yaml").unlink()
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in [*(tmp_path / "images/train").iterdir(), *(tmp_path / "labels/train").iterdir()]:
        file.rename(flat / file.name)
    (flat / "classes.txt").write_text("disc\nsquare\n")
    assert load("yolo", flat).fingerprint() == wanted
    for ending in (".png", ".txt"):  # a label file, no list of images
        (flat / f"000{ending}").rename(flat / f"train{ending}")
    again = load("yolo", flat)
    assert sum(len(part.x) for part in (again.train, again.validation, again.test)) == 12


def test_yolo_as_cvat_writes_it(tmp_path):
    write_yolo(tmp_path, {"train": TRAIN, "valid": VALIDATION}, SIZE)
    wanted = load("yolo", tmp_path, validation=0.25).fingerprint()
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "obj.names").write_text("disc\nsquare\n")
    for part in ("train", "valid"):
        folder = tmp_path / f"obj_{part}_data"
        (tmp_path / "images" / part).rename(folder)
        for file in (tmp_path / "labels" / part).iterdir():
            file.rename(folder / file.name)
        names = sorted(file.name for file in folder.glob("*.png"))
        (tmp_path / f"{part}.txt").write_text("".join(f"data/obj_{part}_data/{name}\n" for name in names))
    for folder in ("images", "labels"):
        shutil.rmtree(tmp_path / folder)
    assert load("yolo", tmp_path, validation=0.25).fingerprint() == wanted
    own = {part: f"{tmp_path}/{name}.txt" for part, name in (("train", "train"), ("test", "valid"))}
    assert load_boxes(Data(format="yolo", validation=0.25, **own), 0).fingerprint() == wanted
    (tmp_path / "train.txt").write_text("data/obj_train_data/099.png\n")
    with pytest.raises(MissingError, match=r"train\.txt, line 1: there is no image data/obj_train_data/099\.png"):
        load("yolo", tmp_path)


@pytest.mark.parametrize("entry", ["../test/images", "test/images\nroboflow: {version: 1}"])
def test_a_part_that_roboflow_names_and_did_not_export_is_left_out_and_told(entry, tmp_path):
    write_yolo(tmp_path, {"train": TRAIN, "dev": TEST}, SIZE)
    assert counts(tmp_path, f"train: images/train\nval: ../images/dev\ntest: {entry}") == [9, 3, 1]
    name = entry.partition("\n")[0]
    note = f"{tmp_path}/data.yaml: test names {name}, where no image is; the part is left out"
    assert note in load("yolo", tmp_path).notes
    with pytest.raises(MissingError, match=rf"data\.yaml: train names {name}, which is not in"):
        counts(tmp_path, f"train: {entry}\nval: images/dev")
    own = load("yolo", tmp_path, train=f"{tmp_path}/images/train")  # what is given is not asked for
    assert len(own.train.x) + len(own.validation.x) == 12


def test_an_empty_part_of_data_yaml_is_left_out_and_told_unless_it_is_train(tmp_path):
    write_yolo(tmp_path, {"train": TRAIN, "dev": TEST, "test": []}, SIZE)
    assert counts(tmp_path, "train: images/train\nval: images/dev\ntest: images/test") == [9, 3, 1]
    assert "test names images/test, where no image is; the part is left out" in load("yolo", tmp_path).notes[0]
    with pytest.raises(MissingError, match="the train part has no image"):
        counts(tmp_path, "train: images/test\nval: images/dev")


def test_coco_beside_its_images_and_by_paths_of_files(tmp_path):
    write_coco(tmp_path / "a", {"train": TRAIN, "val": VALIDATION, "test": TEST}, SIZE)
    wanted = load("coco", tmp_path / "a").fingerprint()
    files = {part: f"{tmp_path}/a/annotations/instances_{part}2017.json" for part in ("train", "val", "test")}
    by_path = Data(format="coco", train=files["train"], validation=files["val"], test=files["test"])
    assert load_boxes(by_path, 0).fingerprint() == wanted
    for part, name in (("train", "train"), ("val", "valid"), ("test", "test")):
        folder = tmp_path / "b" / name
        folder.parent.mkdir(exist_ok=True)
        (tmp_path / "a" / f"{part}2017").rename(folder)
        Path(files[part]).rename(folder / "_annotations.coco.json")
    assert load("coco", tmp_path / "b").fingerprint() == wanted


def broken(content: dict, change) -> dict:
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("categories"), "has no list of categories"),
        (lambda c: c["categories"][0].pop("name"), "a category lacks its id or name"),
        (
            lambda c: c["categories"].append({"id": 3, "name": "ring"}),
            r"categories\[2\]: the id 3 is taken by 'disc', so 'ring' needs another",
        ),
        (lambda c: c["images"][1].pop("file_name"), r"images\[1\]: lacks its id or file_name"),
        (lambda c: c["images"][1].update(id=10), r"images\[1\]: the id 10 is taken by 000\.png"),
        (lambda c: c["annotations"][2].update(image_id=99), r"annotations\[2\]: its image_id is of none"),
        (
            lambda c: c["annotations"][2].update(category_id=4),
            r"annotations\[2\]: the category_id 4 is not one of 3, 7",
        ),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), r"annotations\[0\], bbox: received '1 2 3'"),
        (lambda c: c["annotations"][0].update(bbox=None), r"annotations\[0\], bbox: received 'None'"),
    ],
)
def test_malformed_coco_is_refused(change, said, tmp_path):
    write_coco(tmp_path / "set", {"train": TRAIN}, SIZE)
    file = tmp_path / "set/annotations/instances_train2017.json"
    file.write_text(json.dumps(broken(coco_of(TRAIN, SIZE), change)))
    with pytest.raises(MissingError, match=said) as caught:
        load("coco", tmp_path / "set")
    assert str(file) in str(caught.value)


def test_a_coco_file_that_is_no_json_is_refused_with_the_line(tmp_path):
    write_coco(tmp_path / "set", {"train": TRAIN}, SIZE)
    (tmp_path / "set/annotations/instances_train2017.json").write_text('{"images": [],\n oops}')
    with pytest.raises(MissingError, match=r"instances_train2017\.json, line 2: is no JSON"):
        load("coco", tmp_path / "set")


@pytest.mark.parametrize(
    ("format", "said"),
    [
        (
            "voc",
            r"holds no \.xml file, .*; read are Annotations with JPEGImages .*annotations with images.* train, valid",
        ),
        ("yolo", "holds no images/train"),
        ("coco", "holds no annotations/instances_train"),
    ],
)
def test_an_empty_folder_is_refused(format, said, tmp_path):
    with pytest.raises(MissingError, match=said):
        load(format, tmp_path)


def test_what_takes_too_much_memory_stays_on_disk_and_is_the_same_set(tmp_path):
    write_voc(tmp_path, {"train": TRAIN, "val": VALIDATION}, SIZE)
    damaged = tmp_path / "JPEGImages/train003.png"
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    size = 13 * 40 * 60 * 3
    held, unread = (load("voc", tmp_path, memory_gb=most / 1e9) for most in (size, size - 1))
    assert held.notes == unread.notes and "1 images are damaged and are left out" in " ".join(held.notes)
    for part in ("train", "validation", "test"):
        one, other = getattr(held, part), getattr(unread, part)
        assert isinstance(one.x, np.ndarray) and isinstance(other.x, Stream)
        np.testing.assert_array_equal(one.x, other.x[:])
        np.testing.assert_array_equal(one.y, other.y)
    assert held.fingerprint() == unread.fingerprint() != load("voc", tmp_path, image_size=[20, 30]).fingerprint()


# However a file is broken, the set is read or refused: nothing else comes out.


def read_or_refused(format: str, root: Path) -> None:
    try:
        dataset = load(format, root)
    except (MissingError, UsageError):
        return
    for split in (dataset.train, dataset.validation, dataset.test):
        boxes = split.y[split.y[..., 4] >= 0]
        assert np.isfinite(split.y).all() and (boxes[:, 2:4] > boxes[:, :2]).all()
        assert (boxes[:, :4] >= 0).all() and (boxes[:, 2] <= SIZE[1]).all() and (boxes[:, 3] <= SIZE[0]).all()


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sets")
    for format, write in WRITERS.items():
        write(root / format, {"train": [[DISC, SQUARE]] * 3, "val": VALIDATION, "test": TEST}, SIZE)
    return {format: root / format for format in WRITERS}


words = st.one_of(
    st.sampled_from(["0", "1", "-1", "7", "0.5", "1e308", "-1e308", "nan", "inf", "9" * 5000, "disc", "²", "\x00"]),
    st.floats(allow_nan=True).map(repr),
    st.text(max_size=5),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(words, min_size=4, max_size=6).map(" ".join), max_size=3).map("\n".join))
def test_any_label_file_is_read_or_refused(sets, text):
    (sets["yolo"] / "labels/train/000.txt").write_text(text)
    read_or_refused("yolo", sets["yolo"])


@settings(deadline=None, max_examples=60)
@given(words, st.tuples(words, words, words, words))
def test_any_xml_is_read_or_refused(sets, name, edges):
    (sets["voc"] / "Annotations/train000.xml").write_text(xml("a.png", SIZE, [(name, edges)]))
    read_or_refused("voc", sets["voc"])


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from([10, 3, 7, 1e308]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "name", "bbox"]), inner),
    max_leaves=5,
)
places = st.tuples(
    st.sampled_from(["images", "annotations", "categories"]),
    st.integers(0, 1),
    st.sampled_from([None, "id", "name", "file_name", "image_id", "category_id", "bbox", "iscrowd"]),
)


@settings(deadline=None, max_examples=120)
@given(places, anything)
def test_any_json_is_read_or_refused(sets, place, value):
    section, index, key = place
    content = coco_of([[DISC, SQUARE]] * 3, SIZE)
    if key is None:
        content[section][index] = value
    else:
        content[section][index][key] = value
    (sets["coco"] / "annotations/instances_train2017.json").write_text(json.dumps(content))
    read_or_refused("coco", sets["coco"])
