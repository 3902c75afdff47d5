"""Each trap by itself: a report that is free of it, and one that is in it."""

from __future__ import annotations

import pytest
from made import ARTIFACT, FAILED, ROWS, report, row, selected

from spiral_cli.console.closing import report_text
from spiral_cli.report.cautions import cautions, dropped


@pytest.fixture
def made(tmp_path):
    def build(**changes):
        return report(tmp_path, **changes)

    return build


def kinds(said) -> list[str]:
    return [caution.kind for caution in cautions(said)]


def only(said, kind: str):
    """Return the one caution of a report, which is of this kind."""
    [found] = cautions(said)
    assert found.kind == kind
    assert found.text.endswith((".", said["artifacts"][0]["reason"] or "."))
    assert len(found.short) < 110
    return found


def counts(validation=None, test=None) -> dict:
    return {
        part: {"examples": 10_000, "only_teacher": lost, "only_student": won}
        for part, (lost, won) in (("validation", validation or (150, 60)), ("test", test or (160, 60)))
    }


def test_a_sound_run_is_warned_of_nothing(made):
    assert kinds(made()) == []
    assert made()["warnings"] == []


def test_a_run_without_a_student_is_warned_of_nothing(made):
    assert kinds(made(selected=None, artifacts=[], status="time_limit", rows=[])) == []


def test_zeros_that_do_not_make_it_faster(made):
    slow = {**ARTIFACT, "latency_ms": 0.97}
    found = only(made(artifacts=[slow, {**ARTIFACT, "kind": "litert_int8"}]), "zeros_not_faster")
    assert found.short == "78 % zeros, but litert at 0.97 of the teacher's latency"
    assert "litert takes 0.97 ms where the teacher takes 1 ms (LiteRT 2.3, 2 threads)." in found.text
    other = {**slow, "kind": "onnx", "latency_ms": 1.2, "runtime": None}
    found = only(made(artifacts=[slow, other]), "zeros_not_faster")
    assert found.short == "78 % zeros, but litert, onnx at 0.97 to 1.20 of the teacher's latency"
    assert "onnx takes 1.2 ms where the teacher takes 1 ms (onnx, 2 threads)" in found.text


@pytest.mark.parametrize(
    "artifact",
    [
        {**ARTIFACT, "latency_ms": 0.8},  # faster
        {**ARTIFACT, "latency_ms": 0.97, "teacher_latency_ms": None},  # nothing to compare with
        {key: value for key, value in ARTIFACT.items() if not key.startswith("teacher_")},  # an older report
    ],
)
def test_zeros_that_do_or_of_which_it_is_not_known(made, artifact):
    assert kinds(made(artifacts=[artifact])) == []


def test_a_student_of_fewer_channels_has_no_zeros_to_blame(made):
    chosen = {**selected(ROWS[-1]), "nonzero": 220, "parameters": 230}
    assert kinds(made(selected=chosen, artifacts=[{**ARTIFACT, "latency_ms": 2.0}])) == []


def test_a_validation_part_too_small_for_its_budget(made):
    few = {"examples": 200, "only_teacher": 3, "only_student": 1}
    chosen = {**selected(ROWS[-1]), "paired": {"validation": few, "test": counts()["test"]}}
    said = made(selected=chosen, data={"train": 1000, "validation": 200, "test": 10_000})
    found = only(said, "validation_too_small")
    low, high = dropped(said, "validation").interval
    needed = -(-200 * ((high - low) / 0.02) ** 2 // 1)
    assert found.short == f"200 validation examples are few for max_drop 0.02: about {needed:,.0f} examples would do"
    assert f"from {low:+.4f} to {high:+.4f}: {high - low:.4f} wide" in found.text
    assert "Whether a round was kept" in found.text


def test_where_pairs_are_not_known_the_interval_is_wider_and_says_so(made):
    chosen = {**selected(ROWS[-1]), "paired": {"validation": None, "test": counts()["test"]}}
    said = made(selected=chosen, data={"train": 1000, "validation": 1000, "test": 10_000})
    found = only(said, "validation_too_small")
    assert "without knowing on which examples the two differ" in found.text
    assert not dropped(said, "validation").paired


def test_no_number_of_examples_judges_a_budget_of_nothing(made):
    said = made(text="data: {format: digits}\nteacher: {model: mlp}\nguard: {max_drop: 0}\n")
    said["selected"]["within_budget"] = False
    found = only(said, "validation_too_small")
    assert "no number of examples can judge a budget of 0" in found.text


def test_of_a_metric_that_counts_no_examples_no_interval_is_claimed(made):
    text = "data: {format: digits}\nteacher: {model: mlp}\nguard: {monitor: loss, max_drop: 0.1}\n"
    said = made(text=text, data={"train": 1, "validation": 10, "test": 10})
    assert dropped(said, "test").value == pytest.approx(0.06)
    assert dropped(said, "test").interval is None
    assert kinds(said) == []


def test_a_student_that_its_test_part_cannot_tell_from_the_teacher(made):
    near = row(1, 0.5, 0.9594)
    chosen = {**selected(near, test=0.9595), "paired": counts((86, 80), (85, 80))}
    found = only(made(rows=[near], selected=chosen), "inside_noise")
    assert found.short == "the drop on test, +0.0005, is less than its standard error 0.0013"
    assert "another seed may turn the sign round" in found.text


def test_two_that_decide_everything_alike_are_not_called_noise(made):
    same = row(1, 0.5, 0.96)
    chosen = {**selected(same, test=0.96), "paired": counts((0, 0), (0, 0))}
    assert kinds(made(rows=[same], selected=chosen)) == []


def test_a_budget_kept_on_validation_and_missed_on_test(made):
    chosen = {**selected(ROWS[-1], test=0.935), "paired": counts(test=(310, 60))}
    found = only(made(selected=chosen), "test_disagrees")
    assert found.short == "the drop is +0.0090 on validation, +0.0250 on test: outside max_drop 0.02 on test"


def test_two_drops_further_apart_than_chance_explains(made):
    better = row(1, 0.5, 0.968)
    chosen = {**selected(better, test=0.95), "paired": counts(validation=(20, 100))}
    found = only(made(rows=[better], selected=chosen), "test_disagrees")
    assert "more apart than chance explains" in found.short
    near = {**chosen, "paired": {part: {**one, "examples": 100} for part, one in counts((2, 3), (3, 2)).items()}}
    assert "test_disagrees" not in kinds(made(rows=[better], selected=near))


def test_an_export_that_failed(made):
    said = made(artifacts=[FAILED])
    found = only(said, "export_failed")
    assert found.short == "export to litert_int8 failed"
    assert "it gives NaN for 3 of 1,000 examples" in found.text


def test_the_report_holds_them_as_plain_data(made):
    said = made(artifacts=[FAILED])
    assert said["warnings"] == [vars(one) for one in cautions(said)]


def test_an_older_report_says_what_it_can(made):
    said = made(artifacts=[FAILED])
    del said["data"], said["selected"]["paired"], said["warnings"]
    assert kinds(said) == ["export_failed"]


def test_the_closing_text_of_a_run_ends_with_them(made, tmp_path):
    text = report_text(made(artifacts=[FAILED]), tmp_path)
    assert text.splitlines()[-2:] == [
        f"report                 {tmp_path / 'report.html'}",
        "warning                export to litert_int8 failed",
    ]
