"""Runs side by side: which settings differ, which differ by the seed alone, and what seeds explain."""

from __future__ import annotations

import json
from statistics import mean, stdev

import pytest
from made import ARTIFACT, FAILED, RECIPE, ROWS, report, selected, write_run

from spiral_cli.cli.output import Output
from spiral_cli.cli.pages import compare
from spiral_cli.console.side_by_side import side_by_side
from spiral_cli.errors import UsageError
from spiral_cli.report.beside import beside, differing, names_of
from spiral_cli.report.beside_lines import group_lines, lines
from spiral_cli.report.read import read_run


@pytest.fixture
def runs(tmp_path):
    """Return a function that writes a run and returns its folder: a seed, a test accuracy, settings, other facts."""

    def write(name: str, seed: int = 0, test: float = 0.95, settings: str = "", **changes):
        text = f"seed: {seed}\n{RECIPE}{settings}"
        said = report(tmp_path, text, **{"selected": selected(ROWS[-1], test), **changes})
        return write_run(tmp_path / name, said, None, text).root

    return write


def compared(*folders):
    from spiral_cli.run import RunFolder

    names = names_of(folders)
    return beside({name: read_run(RunFolder(folder)) for name, folder in zip(names, folders, strict=True)})


def test_settings_that_differ_whatever_their_form():
    one = {"name": "a", "seed": 0, "prune": {"granularity": "unstructured", "cut": 0.5}, "export": ["keras"]}
    two = {"name": "b", "seed": 1, "prune": {"granularity": {"n": 2, "m": 4}, "cut": 0.5, "newer": 1}, "export": []}
    assert differing([one, two]) == {
        "prune.granularity": ["unstructured", {"n": 2, "m": 4}],
        "export": [["keras"], []],
    }
    assert differing([one, one]) == {}


def test_runs_of_other_seeds_are_one_group(runs):
    tests = [0.95, 0.952, 0.947]
    found = compared(
        *(runs(f"s{seed}", seed, test) for seed, test in enumerate(tests)),
        runs("lamp", 0, 0.94, "prune: {allocation: lamp}\n"),
    )
    three, single = found["groups"]
    assert (three["runs"], three["seeds"]) == (["s0", "s1", "s2"], [0, 1, 2])
    assert three["student"] == {"mean": mean(tests), "std": stdev(tests), "runs": 3}
    assert three["drop"]["mean"] == pytest.approx(0.96 - mean(tests))
    assert single["runs"] == ["lamp"] and single["student"]["std"] is None
    assert found["differences"] == {"prune.allocation": ["global", "global", "global", "lamp"]}
    assert [one["kind"] for one in found["warnings"]] == ["one_seed"]
    names, texts = group_lines(found)
    assert names == ["s0 (+2)"]
    assert dict(texts)["student"] == ["0.9497 ± 0.0025"] and dict(texts)["drop"] == ["+0.0103 ± 0.0025"]


def test_the_same_seed_twice_tells_nothing_of_seeds(runs):
    found = compared(runs("a", 0, 0.95), runs("b", 0, 0.952))
    [group] = found["groups"]
    assert group["drop"]["std"] is None


def test_a_drop_inside_the_noise_of_its_seeds(runs):
    found = compared(*(runs(f"s{seed}", seed, test) for seed, test in enumerate([0.95, 0.97, 0.958])))
    [warning] = found["warnings"]
    assert warning["kind"] == "inside_noise"
    assert "mean drop +0.0007 is smaller than its standard deviation over 3 seeds, 0.0101" in warning["text"]


@pytest.mark.parametrize(("other", "told"), [((0.951, 0.949, 0.953), True), ((0.921, 0.919, 0.923), False)])
def test_two_recipes_that_seeds_do_not_tell_apart(runs, other, told):
    ours = [runs(f"a{seed}", seed, test) for seed, test in enumerate([0.95, 0.952, 0.948])]
    theirs = [runs(f"b{seed}", seed, test, "select: best\n") for seed, test in enumerate(other)]
    texts = [one["text"] for one in compared(*ours, *theirs)["warnings"]]
    assert any("not significant at the 5 % level" in text for text in texts) == told


def test_what_cannot_be_compared_is_said(runs):
    text = "guard: {monitor: loss}\n"
    said = RECIPE.replace("guard: {max_drop: 0.02}\n", "")
    one = runs("a")
    two = write_run(one.parent / "b", report(one.parent, said + text), None, said + text).root
    small = runs("c", data={"train": 1, "validation": 10_000, "test": 5000})
    texts = [one["text"] for one in compared(one, two, small)["warnings"]]
    assert "The runs watch different metrics: their figures cannot be compared directly." in texts
    assert "The runs have test parts of different size: their figures cannot be compared directly." in texts


def test_lines_of_runs_finished_failed_and_not(runs, tmp_path):
    whole = runs("whole", artifacts=[ARTIFACT, FAILED])
    going = write_run(tmp_path / "going", None, None).root
    found = dict(lines(compared(whole, going)))
    assert found["status"] == ["ok", "unfinished"]
    assert found["test accuracy"] == ["0.9500", "-"]
    assert found["drop"] == ["+0.0100", "-"]
    assert (found["parameters"], found["nonzero"]) == (["1,000", "-"], ["220", "-"])
    assert (found["litert size"], found["litert ms"]) == (["40 kB", "-"], ["0.5", "-"])
    assert found["litert_int8 size"] == ["failed", "-"]


def test_runs_of_one_name_are_called_by_their_paths(tmp_path):
    assert names_of([tmp_path / "a/run", tmp_path / "b/run"]) == [str(tmp_path / "a/run"), str(tmp_path / "b/run")]
    assert names_of([tmp_path / "a/run", tmp_path / "b/other"]) == ["run", "other"]


@pytest.mark.parametrize("count", [2, 5, 12])
def test_the_table_keeps_to_80_columns_and_loses_nothing(count):
    names = [f"a-run-of-some-length-{index}" for index in range(count)]
    rows = [("status", ["ok"] * count), ("prune.schedule", [json.dumps([0.5, index]) for index in range(count)])]
    text = side_by_side(names, rows, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert all(name in text for name in names)
    assert text.count("ok") == count
    assert all(f"[0.5, {index}]" in text for index in range(count))


def test_the_verb_shows_them_and_writes_a_page(runs, tmp_path, capsys):
    folders = [runs("a", 0, 0.95), runs("b", 1, 0.953)]
    assert compare(folders, tmp_path / "out" / "page.html", Output(json=True)) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert [row["name"] for row in result["runs"]] == ["a", "b"]
    assert result["path"] == str(tmp_path / "out" / "page.html")
    table = shown.err.partition(str(tmp_path))[0]  # behind it stands the page's path, of any length
    assert max(map(len, table.splitlines())) <= 80 and "the teacher's" in table
    assert "0.9515 ± 0.0021" in shown.err
    page = (tmp_path / "out" / "page.html").read_text("utf-8")
    assert "2 runs side by side" in page and "0.9515 ± 0.0021" in page


def test_one_run_is_not_compared(tmp_path):
    for folders in ([tmp_path], [tmp_path, tmp_path]):
        with pytest.raises(UsageError, match="two different runs or more"):
            compare(folders, None, Output())
