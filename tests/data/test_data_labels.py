"""How labels are read, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from spiral_cli.data.labels import class_weights, read_labels
from spiral_cli.errors import MissingError, UsageError


def read(y, stated="auto", own=None, wanted=None):
    return read_labels({"train": np.asarray(y)}, stated, own, wanted)


@pytest.mark.parametrize("y", [[0, 1, 2, 1], [[0], [1], [2], [1]], [0.0, 1.0, 2.0, 1.0]])
def test_whole_numbers_are_sparse(y):
    labels = read(y)
    assert labels.kind == "sparse" and labels.classes == ("0", "1", "2")
    assert labels.y["train"].dtype == np.int64
    np.testing.assert_array_equal(labels.y["train"], [0, 1, 2, 1])


@pytest.mark.parametrize(("stated", "kind"), [("auto", "sparse"), ("binary", "binary")])
def test_zeros_and_ones_are_binary_only_if_said(stated, kind):
    labels = read([0, 1, 1], stated)
    assert labels.kind == kind and labels.classes == ("0", "1")
    np.testing.assert_array_equal(labels.y["train"], [0, 1, 1])


def test_rows_with_one_1_are_one_hot_and_others_multi_label():
    assert read([[1, 0, 0], [0, 1, 0], [0, 0, 1]]).kind == "one_hot"
    labels = read([[1, 0, 1], [0, 1, 0]])
    assert labels.kind == "multi_label" and labels.y["train"].dtype == np.float32
    assert read([[1, 0], [0, 1]], "multi_label").kind == "multi_label"


def test_one_part_with_several_labels_makes_all_multi_label():
    parts = {"train": np.eye(3), "test": np.array([[1, 1, 0]])}
    assert read_labels(parts, "auto", None, None).kind == "multi_label"


def test_names_are_sorted_or_in_the_recipes_order():
    assert read(["cat", "ant", "cat"]).classes == ("ant", "cat")
    np.testing.assert_array_equal(read(["cat", "ant", "cat"]).y["train"], [1, 0, 1])
    np.testing.assert_array_equal(read(["cat", "ant", "cat"], wanted=["cat", "ant"]).y["train"], [0, 1, 0])


def test_the_recipes_class_order_moves_indices_and_columns():
    own, wanted = ("a", "b", "c"), ["c", "a", "b"]
    labels = read([0, 1, 2, 2], own=own, wanted=wanted)
    assert labels.classes == ("c", "a", "b")
    np.testing.assert_array_equal(labels.y["train"], [1, 2, 0, 0])
    rows = read(np.eye(3)[[0, 1, 2]], own=own, wanted=wanted).y["train"]
    np.testing.assert_array_equal(rows.argmax(axis=1), [1, 2, 0])


@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        ([0, 5], {"own": ("a", "b")}, r"train labels run from 0 to 5; 2 classes have 0 to 1"),
        ([-1, 0, 1], {}, r"run from -1 to 1"),
        ([1, 2, 3], {}, r"no training example has the label 0, but 1 the label 3"),
        ([0, 1, 2, 2, 17], {}, r"no training example has the label 3, 4, 5, 6, 7, …, but 1 the label 17"),
        ([0.5, 1], {}, r"no class indices"),
        ([0, np.nan], {}, r"no class indices"),
        ([0, 1, 2], {"stated": "binary"}, r"run from 0 to 2; 2 classes"),
        ([0, 1], {"stated": "one_hot"}, r"one_hot, written as \(n, classes\)"),
        (np.eye(3), {"stated": "sparse"}, r"sparse, written as \(n,\)"),
        ([[1, 1], [0, 1]], {"stated": "one_hot"}, r"is multi_label meant"),
        ([[0.3, 0.7]], {}, r"other values than 0 and 1"),
        (np.eye(3), {"own": ("a", "b")}, r"3 wide, and 2 classes are named"),
        ([[1, 0, 0], [0, 1, 0]], {}, r"no training example has the label 2"),
        (np.array(["ä".encode("latin-1"), b"b"]), {}, r"train labels are bytes, but no UTF-8 text"),
        (["ant", "cap"], {"wanted": ["ant", "cat"]}, r"the class 'cap'.*did you mean 'cat'"),
        (["pos", "pos"], {}, r"there is only one class, 'pos', .*; at least two are needed: add examples of another$"),
        (["pos", "pos"], {"stated": "binary"}, r"there is only one class, 'pos'"),
        ([0, 0], {"own": ("pos",)}, r"there is only one class, 'pos'"),
        ([0, 0, 0], {}, r"there is only one class, '0'"),
        (np.zeros((2, 2, 2)), {}, r"shapes train \(2, 2, 2\)"),
    ],
)
def test_unusable_labels_are_named(y, arguments, message):
    with pytest.raises(MissingError, match=message):
        read(y, **arguments)


def test_classes_that_are_not_the_sets_own_are_refused():
    with pytest.raises(UsageError, match=r"data.classes is a, x, but the set's classes are a, b"):
        read([0, 1], own=("a", "b"), wanted=["a", "x"])


def test_balanced_weights_by_hand():
    labels = read([0, 0, 0, 1])
    weights = class_weights(labels, labels.y["train"], "balanced")  # 4 / (2 * 3), 4 / (2 * 1)
    np.testing.assert_allclose(weights, [2 / 3, 2 / 3, 2 / 3, 2], rtol=1e-6)
    assert weights.mean() == pytest.approx(1)


def test_named_weights_and_their_mistakes():
    labels = read(np.eye(2)[[0, 1, 1]], own=("ant", "cat"))
    np.testing.assert_allclose(class_weights(labels, labels.y["train"], {"cat": 3.0}), [1, 3, 3])
    with pytest.raises(UsageError, match=r"no class is named 'cap'.*did you mean 'cat'"):
        class_weights(labels, labels.y["train"], {"cap": 3.0})
    several = read([[1, 1], [0, 1]])
    with pytest.raises(UsageError, match="multi_label"):
        class_weights(several, several.y["train"], "balanced")


def test_labels_of_another_part_out_of_range_name_the_part():
    parts = {"train": np.array([0, 1, 2]), "test": np.array([0, 1, 7])}
    with pytest.raises(MissingError, match=r"test labels run from 0 to 7; 3 classes have 0 to 2"):
        read_labels(parts, "auto", None, None)
