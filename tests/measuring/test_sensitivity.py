"""Each layer pruned by itself: the student comes back bit for bit, and what is suggested adds up and runs."""

from __future__ import annotations

import csv
import io

import keras
import numpy as np
import pytest
from browser import DESKTOP, PHONE, browser
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import Y as CLASSES
from small_runs import fitted, run, small, write_data, write_recipe

from spiral_cli.console.sensitivity import sensitivity_text
from spiral_cli.errors import InterruptedRun, UsageError
from spiral_cli.events import silent
from spiral_cli.recipe import load_recipe
from spiral_cli.report.tolerance import tolerance_page
from spiral_cli.run import RunFolder
from spiral_cli.sensitivity import run as verb
from spiral_cli.sensitivity.asked import refuse_existing
from spiral_cli.sensitivity.curves import Curve, Point
from spiral_cli.sensitivity.suggest import DIGITS, estimated, hull, overall, risen, suggest
from spiral_cli.sensitivity.written import write_suggestion
from spiral_cli.training.control import Control

AT = (0.5, 0.9)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A recipe with a trained teacher of a convolution, normalisation and two dense layers."""
    folder = tmp_path_factory.mktemp("sensitivity")
    write_data(folder)
    fitted(small(), CLASSES, loss()).save(folder / "teacher.keras")
    return folder


def loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def recipe_in(folder, **prune):
    settings = {"schedule": {"kind": "geometric", "final_sparsity": 0.8, "rounds": 2}, **prune}
    return load_recipe(
        write_recipe(
            folder,
            teacher={"path": "teacher.keras"},
            prune=settings,
            guard={"max_drop": 1.0},
            train={"epochs": 1},
            distill={"alpha": 1.0},
        )
    )


@pytest.fixture(scope="module")
def measured(place):
    """Measure once, and note the student's variables before and after."""
    states = []
    real = verb.measured

    def noted(bench, *rest):
        states.append([variable.numpy() for variable in bench.model.variables])
        found = real(bench, *rest)
        states.append([variable.numpy() for variable in bench.model.variables])
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verb, "measured", noted)
        result = verb.sensitivity(recipe_in(place), RunFolder(place / "run"), AT, listen=silent, control=Control())
    return result, *states


def test_the_student_is_what_it_was_bit_for_bit(measured):
    _, before, after = measured
    assert len(before) == len(after) > 3
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))


def test_every_layer_has_its_dense_point_those_asked_for_and_the_whole_layer_at_zero(measured):
    result, *_ = measured
    assert [layer["name"] for layer in result["layers"]] == ["conv/kernel", "hidden/kernel", "last/kernel"]
    assert result["sparsities"] == [0.5, 0.9, 1.0]
    for layer in result["layers"]:
        sparsities = [point["sparsity"] for point in layer["points"]]
        assert sparsities == sorted(sparsities)
        assert sparsities[0] == 0.0 and sparsities[-1] == 1.0
        kept = [round((1 - one) * layer["weights"], 6) for one in sparsities]
        assert kept[1:3] == [round(layer["weights"] * (1 - one)) for one in AT]
        dense, *others = layer["points"]
        assert (dense["metric"], dense["drop"]) == (result["metric"], 0.0)
        assert all(point["drop"] == pytest.approx(result["metric"] - point["metric"]) for point in others)
    # Without its last layer a model knows nothing: the largest class, of three.
    assert result["layers"][-1]["points"][-1]["metric"] < 0.5


def test_the_csv_holds_every_point(measured, place):
    result, *_ = measured
    rows = list(csv.DictReader(io.StringIO((place / "run" / "sensitivity.csv").read_text())))
    assert len(rows) == 3 * 4
    told = [(row["layer"], float(row["sparsity"]), float(row["accuracy"]), float(row["drop"])) for row in rows]
    assert told == [
        (layer["name"], point["sparsity"], point["metric"], point["drop"])
        for layer in result["layers"]
        for point in layer["points"]
    ]


def test_the_recipe_that_is_written_meets_the_schedule_and_runs(measured, place):
    result, *_ = measured
    path = place / "by-layer.yaml"
    write_suggestion(recipe_in(place), result, RunFolder(place / "run"), path)
    written = load_recipe(path)
    assert written.name == "spiral-by-layer"
    assert written.prune.allocation == {layer["name"]: layer["suggested"] for layer in result["layers"]}
    assert written.data.path == str(place / "data.npz")
    report, _ = run(path, "allocated", teacher_from=place / "run")
    assert report["rounds"][-1]["sparsity"] == pytest.approx(0.8, abs=2 / 500)
    with pytest.raises(UsageError, match="is not overwritten"):
        refuse_existing(path)


def test_text_and_page_show_every_layer(measured):
    result, *_ = measured
    text, page = sensitivity_text(result, 80), tolerance_page(result)
    assert max(map(len, text.splitlines())) <= 80
    for layer in result["layers"]:
        assert layer["name"] in text and layer["name"] in page
        assert f"{layer['suggested']:.4f}" in text


def test_the_page_opens_in_a_browser_and_loads_nothing(measured, tmp_path):
    result, *_ = measured
    file = tmp_path / "sensitivity.html"
    file.write_text(tolerance_page(result), "utf-8")
    with browser(tmp_path / "profile") as tab:
        for width in (DESKTOP, PHONE):
            tab.show(file, width=width)
            assert tab.errors() == []
            own = [one for one in tab.requests() if not one.startswith("chrome")]  # a new tab has a page of its own
            assert own == [file.as_uri()]
            assert tab.ask("return document.documentElement.scrollWidth") == width
            count = "return document.querySelectorAll('[data-figure=curves-figure] .scatterlayer .js-line').length"
            lines = tab.ask(count)
            assert lines == len(result["layers"])


def test_a_criterion_of_gradients_and_groups_of_weights_are_measured_too(place, tmp_path):
    recipe = recipe_in(place, criterion="taylor", granularity={"n": 2, "m": 4})
    result = verb.sensitivity(recipe, RunFolder(tmp_path / "run"), (0.5,), listen=silent, control=Control())
    assert [layer["points"][1]["sparsity"] for layer in result["layers"]] == [
        pytest.approx(0.5, abs=0.06)  # the convolution has nine inputs, so one group of one
    ] * 3


def test_a_stop_leaves_the_layer_whole(place, tmp_path, monkeypatch):
    """An error in the middle of a layer puts its weights back."""
    from spiral_cli.sensitivity import curves

    seen = []
    real = curves.points

    def stopped(bench, one, *rest):
        before = one.variable.numpy()
        try:
            yield from real(bench, one, *rest)
        finally:
            seen.append((before, one.variable.numpy()))

    monkeypatch.setattr(curves, "points", stopped)
    asked = iter([False] * 2 + [True] * 9)

    class Stops(Control):
        def check(self):
            if next(asked):
                raise InterruptedRun("stopped")

    with pytest.raises(InterruptedRun):
        verb.sensitivity(recipe_in(place), RunFolder(tmp_path / "run"), AT, listen=silent, control=Stops())
    [(before, after)] = seen
    assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize("criterion", ["l2", "taylor"])
def test_channels_that_leave_together_are_measured_as_smaller_models(place, tmp_path, criterion):
    schedule = {"kind": "geometric", "final_sparsity": 0.5, "rounds": 2}
    recipe = recipe_in(place, granularity="channel", criterion=criterion, schedule=schedule)
    asked = (0.25, 0.5)
    folder = RunFolder(tmp_path / "run")
    result = verb.sensitivity(recipe, folder, asked, listen=silent, control=Control())
    widths = {layer.name: layer.weights[0].shape[-1] for layer in small().layers if layer.name in ("conv", "hidden")}
    assert {one["name"]: one["weights"] for one in result["layers"]} == widths and result["unit"] == "channels"
    for one in result["layers"]:
        dense, *others, least = one["points"]
        assert (dense["sparsity"], dense["metric"], dense["drop"]) == (0.0, result["metric"], 0.0)
        assert [point["sparsity"] for point in others] == [
            pytest.approx(np.ceil(part * one["weights"]) / one["weights"]) for part in asked
        ]
        assert least["sparsity"] == pytest.approx(1.0 - 1.0 / one["weights"])  # one channel is always left
        assert all(point["drop"] == pytest.approx(dense["metric"] - point["metric"]) for point in (*others, least))
    assert result["final_sparsity"] == pytest.approx(0.5, abs=1e-5)
    assert "channels" in sensitivity_text(result, 80) and "Channels" in tolerance_page(result)
    path = tmp_path / "by-layer.yaml"
    write_suggestion(recipe, result, folder, path)
    assert load_recipe(path).prune.allocation == {one["name"]: one["suggested"] for one in result["layers"]}
    run(path, str(tmp_path / "narrow"), teacher_from=folder.root)
    for one in result["layers"]:
        kept = keras.saving.load_model(tmp_path / "narrow/student.keras").get_layer(one["name"]).weights[0].shape[-1]
        assert kept == pytest.approx((1.0 - one["suggested"]) * one["weights"], abs=1.0)


def curve(name: str, weights: int, drops: list[float | None]) -> Curve:
    sparsities = np.linspace(0.0, 1.0, len(drops) + 1).tolist()
    return Curve(name, weights, tuple(Point(s, None, d) for s, d in zip(sparsities, [0.0, *drops], strict=True)))


drops = st.lists(st.one_of(st.none(), st.floats(-0.1, 1.0)), min_size=1, max_size=6)


layers_drawn = st.lists(st.tuples(st.integers(2, 10**8), drops), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(layers_drawn, st.floats(0.0, 0.999))
def test_what_is_suggested_meets_the_whole_and_leaves_a_weight_everywhere(layers, final):
    found = [curve(f"layer{i}", weights, measured) for i, (weights, measured) in enumerate(layers)]
    allocation = suggest(found, final)
    most = sum(one.weights - 1 for one in found) / sum(one.weights for one in found)
    assert overall(allocation, found) == pytest.approx(min(final, most), abs=10.0**-DIGITS)
    for one in found:
        assert 0.0 <= allocation[one.name] <= 1.0 - 1.0 / one.weights + 10.0**-DIGITS
        assert allocation[one.name] < 1.0  # as a recipe wants it
        x, y = hull(*risen(one))
        assert (np.diff(y) >= 0).all() and (np.diff(x) > 0).all()
        slope = np.diff(y) / np.diff(x)
        assert (np.diff(slope) >= -1e-12 - 1e-9 * abs(slope[:-1])).all()
        assert (np.interp(risen(one)[0], x, y) <= risen(one)[1] + 1e-9).all()


@settings(max_examples=100, deadline=None)
@given(layers_drawn, st.floats(0.05, 0.95), st.data())
def test_no_other_allocation_of_the_same_whole_is_estimated_to_cost_less(layers, final, data):
    found = [curve(f"layer{i}", 1000 + weights, measured) for i, (weights, measured) in enumerate(layers)]
    sizes = np.array([one.weights for one in found])
    allocation = suggest(found, final)
    drawn = np.array([data.draw(st.floats(0.0, 0.999)) for _ in found])
    others = drawn + (final - np.average(drawn, weights=sizes))  # moved to the same whole
    if (others < 0).any() or (others > 1 - 1 / sizes).any():
        return
    ours = sum(estimated(one, allocation[one.name]) for one in found)
    theirs = sum(estimated(one, other) for one, other in zip(found, others, strict=True))
    assert ours <= theirs + 0.01  # each sparsity is rounded, and a layer's last weight stays


def test_the_layer_that_loses_less_a_weight_is_cut_more():
    found = [curve("tender", 1000, [0.2, 0.4]), curve("tough", 1000, [0.0, 0.4]), curve("small", 10, [0.0, 0.4])]
    # First halves of the tough and the small, which are free; then the tender's, for 0.0004 a weight.
    assert suggest(found, 0.5) == {"tender": 0.5, "tough": 0.5, "small": 0.5}
    assert suggest(found, 505 / 2010) == {"tender": 0.0, "tough": 0.5, "small": 0.5}
    assert estimated(found[1], 0.75) == pytest.approx(0.2)


def test_a_lucky_point_promises_nothing_and_nan_is_worst():
    removed, rising = risen(curve("a", 100, [0.3, -0.1, None, 0.5]))
    assert removed.tolist() == [0.0, 25.0, 50.0, 75.0, 100.0]
    assert rising.tolist() == [0.0, 0.3, 0.3, 1.5, 1.5]
    assert hull(removed, rising)[0].tolist() == [0.0, 50.0, 100.0]
