"""Overlaps of boxes against counting the cells of a grid that they cover."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from spiral_cli.tasks.overlap import giou, iou, matches

GRID = 12
edges = st.tuples(st.integers(0, GRID - 1), st.integers(1, GRID)).filter(lambda pair: pair[0] < pair[1])
boxes = st.tuples(edges, edges).map(lambda xy: (xy[0][0], xy[1][0], xy[0][1], xy[1][1]))


def cells(box) -> np.ndarray:
    left, top, right, bottom = box
    covered = np.zeros((GRID, GRID), bool)
    covered[top:bottom, left:right] = True
    return covered


@settings(deadline=None, max_examples=60)
@given(boxes, boxes)
def test_overlaps_are_those_of_counted_cells(a, b):
    inside, union = (cells(a) & cells(b)).sum(), (cells(a) | cells(b)).sum()
    around = cells((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))).sum()
    one, other = np.array([a], np.float32), np.array([b], np.float32)
    np.testing.assert_allclose(iou(one, other), [[inside / union]], rtol=1e-6)
    wanted = inside / union - (around - union) / around
    np.testing.assert_allclose(giou(tf.constant(one), tf.constant(other)), [wanted], rtol=1e-5, atol=1e-6)


def test_giou_of_the_paper_s_extremes():
    unit = tf.constant([[0.0, 0.0, 1.0, 1.0]])
    np.testing.assert_allclose(giou(unit, unit), [1.0])
    far = giou(unit, tf.constant([[999.0, 0.0, 1000.0, 1.0]]))
    np.testing.assert_allclose(far, [-998 / 1000], rtol=1e-5)


def test_boxes_that_do_not_meet_are_pulled_together():
    box = tf.Variable([[0.0, 0.0, 1.0, 1.0]])
    with tf.GradientTape() as tape:
        lost = 1.0 - giou(box, tf.constant([[3.0, 0.0, 4.0, 1.0]]))
    assert tape.gradient(lost, box)[0, 2] < 0  # a right edge further to the right loses less


def test_boxes_without_area_give_numbers():
    nothing = tf.constant([[2.0, 2.0, 2.0, 2.0]])
    assert np.isfinite(giou(nothing, nothing)).all()
    assert np.isfinite(iou(nothing.numpy(), nothing.numpy())).all()


def test_each_box_is_matched_once_the_best_pairs_first():
    a = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], np.float32)
    b = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    assert matches(a, b, np.array([0, 0, 1]), np.array([0, 1])) == 2
    assert matches(a, b, np.array([0, 0, 1]), np.array([0, 0])) == 1  # another class
    assert matches(a[:0], b, np.array([], int), np.array([0, 1])) == 0
