"""What a page says in every state of a run, and that what people named cannot break it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made import ARTIFACT, FAILED, RECIPE, ROWS, details, report, row, selected, write_run

from spiral_cli.errors import MissingError, RunMismatchError
from spiral_cli.report.figures import ticks
from spiral_cli.report.page import rebuild, write_page
from spiral_cli.report.read import read_run
from spiral_cli.report.verdict import asked
from spiral_cli.run import Ledger, RunFolder

WORST = row(1, 0.005, 0.7, accepted=False)
STATES = {
    "ok": ({}, "The student keeps 22 % of the prunable weights and a test accuracy of 0.9500, 0.0100 worse "),
    "as good": ({"selected": selected(ROWS[-1], test=0.96)}, "accuracy of 0.9600, the same as its teacher; "),
    "budget not met": (
        {"rows": [WORST], "selected": selected(WORST, test=0.71), "status": "budget_not_met"},
        "No student stayed within max_drop 0.02 of its teacher: the nearest keeps 0.5 % of the prunable weights and",
    ),
    "out of time": ({"status": "time_limit"}, "The time was up early; the student keeps 22 % of the prunable weights"),
    "out of time, none within": (
        {"rows": [WORST], "selected": selected(WORST, test=0.71), "status": "time_limit"},
        "The time was up early; no student stayed within max_drop 0.02",
    ),
    "nothing finished": (
        {"rows": [], "selected": None, "artifacts": [], "status": "time_limit"},
        "No round was finished, so there is no student yet.",
    ),
    "a failed export": ({"artifacts": [ARTIFACT, FAILED]}, "The student keeps 22 % of the prunable weights"),
    "only failed exports": ({"artifacts": [FAILED]}, "The student keeps 22 % of the prunable weights"),
}


class Reader(HTMLParser):
    """Collects texts outside scripts and styles, and the elements by name."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict]] = []
        self.silent = ""

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.silent = tag

    def handle_endtag(self, tag):
        if tag == self.silent:
            self.silent = ""

    def handle_data(self, data):
        if not self.silent:
            self.texts.append(data)

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def read_page(run: RunFolder) -> Reader:
    reader = Reader()
    reader.feed(run.page.read_text("utf-8"))
    return reader


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_its_sentence(state, tmp_path):
    changes, sentence = STATES[state]
    said = report(tmp_path, **changes)
    run = write_run(tmp_path / "run", said, details() if said["selected"] else None)
    if said["rounds"] != ROWS:
        Ledger(run).drop(lambda record: record["event"] == "round")
    write_page(run)
    page = read_page(run)
    assert sentence in page.text
    for artifact in said["artifacts"]:
        assert artifact["kind"] in page.text
        assert artifact["reason"] is None or artifact["reason"] in page.text
    for caution in said["warnings"]:
        assert caution["text"] in page.text


def test_a_page_says_all_that_was_measured(tmp_path):
    run = write_run(tmp_path / "run", report(tmp_path), details())
    write_page(run)
    page = read_page(run)
    for text in (
        "magnitude, unstructured, global allocation", "220 of 1,000 in the teacher", "rolled back", "accepted, chosen",
        "with 95 % confidence between +0.0062 and +0.0118 (paired)",
        "litert ok 40 kB 9 kB 80 kB 0.5 1 0.9500 1.0000 LiteRT 2.3, 2 threads",
        "cat 100 0.9000 0.9200 +0.0200", "d/bias a bias", "50,000 examples", "3.11.7", "digits",
    ):  # fmt: skip
        assert text in page.text, text
    plots = [attributes["data-figure"] for tag, attributes in page.elements if attributes.get("class") == "plot"]
    assert plots == [
        f"{name}-figure" for name in ("tradeoff", "bytes", "latency", "classes", "layers", "rounds", "teacher")
    ]
    assert [attributes["src"] for tag, attributes in page.elements if tag == "img"] == [
        details()["samples"][0]["shown"]["source"]
    ]


def figure(run: RunFolder, name: str) -> dict:
    found = re.search(rf'id="{name}-figure">(.*?)</script>', run.page.read_text("utf-8"))
    assert found is not None
    return json.loads(found[1])


def test_plots_hold_the_numbers_of_the_report(tmp_path):
    run = write_run(tmp_path / "run", report(tmp_path), details())
    write_page(run)
    accepted, rolled_back, chosen = figure(run, "tradeoff")["data"]
    assert (accepted["x"], accepted["y"]) == ([0.5, 0.22], [0.958, 0.951])
    assert (rolled_back["x"], rolled_back["y"]) == ([0.1], [0.92])
    assert (chosen["x"], chosen["y"]) == ([0.22], [0.951])
    assert [line["y0"] for line in figure(run, "tradeoff")["layout"]["shapes"]] == pytest.approx([0.96, 0.94])
    assert figure(run, "layers")["data"][0]["x"] == [0.75, 0.5]
    assert [one["x"] for one in figure(run, "bytes")["data"]] == [[80.0], [40.0], [9.0]]
    assert [one["x"] for one in figure(run, "latency")["data"]] == [[0.5]]
    assert figure(run, "classes")["layout"]["yaxis"]["ticktext"] == ["bird", "dog", "cat"]
    assert figure(run, "classes")["data"][0]["x"] == pytest.approx([-0.02, 0.0, 0.02])
    curves = figure(run, "rounds")["data"]
    assert [one["x"] for one in curves[::3]] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert [one["line"]["dash"] for one in curves[::3]] == ["solid", "dot", "solid"]
    assert curves[2]["y"] == [1.5, 0.75, 0.5]
    assert [one["name"] for one in figure(run, "teacher")["data"]] == ["training", "validation"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0.63, 0.3999], ["0.3999", "0.63"]),  # 0.5 alone lies between them
        ([0.4010, 0.39992], ["0.3999", "0.401"]),
        ([0.03, 0.03], ["0.03"]),
        ([0.6, 0.05], ["0.01", "0.03", "0.1", "0.3", "1", "3"]),
    ],
)
def test_a_logarithmic_axis_has_ticks_however_close_its_values_lie(values, told):
    found = ticks(values)
    assert found["ticktext"] == told
    assert sum(min(values) <= place <= max(values) for place in found["tickvals"]) >= min(2, len(set(values)))


HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>&amp;\"'"


def test_names_that_are_html_stay_names(tmp_path):
    text = RECIPE + f"plugins: []\nprune: {{ignore: [{json.dumps(HOSTILE)}]}}\n"
    said = report(tmp_path, text, versions={"python": HOSTILE}, artifacts=[{**FAILED, "reason": HOSTILE}])
    told = details((HOSTILE, "dog", "bird"))
    told["layers"][0]["name"] = HOSTILE
    run = write_run(tmp_path / "run", said, told, text)
    write_page(run)
    page = read_page(run)
    assert page.text.count(HOSTILE) >= 5
    assert page.tags.count("script") == page_of_nobody(tmp_path).tags.count("script")
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert "<script>" not in figure(run, "classes")["layout"]["yaxis"]["ticktext"][-1]


def page_of_nobody(tmp_path: Path) -> Reader:
    """Return the same page with ordinary names."""
    run = write_run(tmp_path / "ordinary", report(tmp_path, artifacts=[FAILED]), details())
    write_page(run)
    return read_page(run)


def test_a_page_loads_nothing_and_has_plotly_once(tmp_path):
    run = write_run(tmp_path / "run", report(tmp_path), details())
    write_page(run)
    page = read_page(run)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
    text = run.page.read_text("utf-8")
    assert text.count("plotly.js v") == 1
    assert len(text) < 5_200_000


def test_what_is_left_of_channels_is_in_the_table(tmp_path):
    rows = [{**one, "left": {"channels": 0.3, "flops": 0.1 + index}} for index, one in enumerate(ROWS)]
    run = write_run(tmp_path / "run", report(tmp_path, rows=rows), details())
    write_page(run)
    assert "weights left channels left flops left accuracy" in read_page(run).text
    assert "220 0.3000 2.1000 0.9510" in read_page(run).text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("prune: {granularity: {n: 2, m: 4}, schedule: [0.25, 0.5]}", ["2 of 4,", "to sparsities 0.25, 0.5"]),
        ("prune: {granularity: {block: [4, 2]}, allocation: {'*': 0.9}}", ["blocks of 4 × 2, sparsities by layer"]),
        (
            "prune: {granularity: channel, budget: {flops: 0.4}}",
            ["magnitude, channel, global", "to sparsity 0.6 in 5 rounds, which leaves 40 % of the flops"],
        ),
        ("student: {model: lenet5}", ["Student lenet5"]),
        ("distill: {features: [{teacher: a, student: b}]}", ["kl on outputs, and 1 layer, temperature 2"]),
        (
            "prune: {granularity: channel, weights: fresh}\ntrain: {expand: 4}",
            ["a round from fresh weights, adam", "batches of 128, kernels expanded 4 times"],
        ),
        ("export: [keras, litert]", ["Export keras, litert"]),
    ],
)
def test_what_was_asked_is_said_as_a_person_would(settings, words, tmp_path):
    said = report(tmp_path, RECIPE + settings + "\n")
    text = " ".join(f"{key} {words}" for key, words in asked(said["recipe"]).items())
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("augment", "words"),
    [("false", "mlp, 3 epochs, on the images as they are"), ("true", "mlp, 3 epochs")],
)
def test_who_saw_the_augmented_images_is_said(augment, words, tmp_path):
    views = RECIPE.replace("format: digits", "format: digits, augment: [flip, {crop: 1}]")
    text = views.replace("epochs: 3", f"epochs: 3, augment: {augment}")
    said = asked(report(tmp_path, text)["recipe"])
    assert said["Data"] == "digits, seen in 8 views by flip, crop 1"
    assert said["Teacher"] == words


def test_an_unfinished_run_shows_its_ledger(tmp_path):
    run = write_run(tmp_path / "run", None, None)
    told = rebuild(run)
    assert told.report["status"] == "unfinished"
    assert "This run has not ended: 3 tries of its rounds so far." in read_page(run).text
    assert told.missing == ("The run has not ended: no test figures and no exports yet. The same command resumes it.",)
    assert figure(run, "tradeoff")["data"][0]["x"] == [0.5, 0.22]


def test_a_run_that_went_on_after_its_report_is_unfinished(tmp_path):
    run = write_run(tmp_path / "run", report(tmp_path, rows=ROWS[:1], selected=selected(ROWS[0])), details())
    assert read_run(run).report["status"] == "unfinished"
    assert read_run(run).details == {}


def test_a_run_whose_teacher_still_trains(tmp_path):
    run = write_run(tmp_path / "run", None, None)
    Ledger(run).drop(lambda record: True)
    Ledger(run).append("opened", models={})
    rebuild(run)
    assert "This run has not ended: 0 tries of its rounds so far." in read_page(run).text


def test_an_older_run_says_what_it_does_not_tell(tmp_path):
    said = report(tmp_path, artifacts=[{key: value for key, value in ARTIFACT.items() if "teacher" not in key}])
    del said["data"], said["warnings"], said["selected"]["paired"]
    run = write_run(tmp_path / "run", said, None)
    records = [{key: value for key, value in one.items() if key != "curve"} for one in Ledger(run).read()]
    Ledger(run).write(records)
    told = rebuild(run)
    assert [sentence.partition(":")[0] for sentence in told.missing] == [
        "Layers, classes and examples", "Intervals", "Losses by epoch"
    ]  # fmt: skip
    assert all(sentence in read_page(run).text for sentence in told.missing)


def test_a_folder_that_is_no_run_and_a_damaged_report(tmp_path):
    with pytest.raises(MissingError, match=r"is no run folder: it has no report\.json and no ledger\.jsonl"):
        rebuild(RunFolder(tmp_path))
    run = write_run(tmp_path / "run", report(tmp_path), details())
    run.report.write_text(run.report.read_text()[:-20])
    with pytest.raises(MissingError, match=r"report\.json is damaged"):
        rebuild(run)


def test_a_finished_run_is_still_finished_when_its_page_is_made_anew(tmp_path):
    run = write_run(tmp_path / "run", report(tmp_path), details())
    write_page(run)
    record = Ledger(run).append("finished", files=(run.report, run.page))
    run.page.write_text("an older page")
    assert Ledger(run).damaged(record) == ["report.html"]
    rebuild(run)
    found = Ledger(run).find("finished")
    assert found is not None and Ledger(run).damaged(found) == []
    assert found["files"]["report.json"] == record["files"]["report.json"]
    with run.claimed(), pytest.raises(RunMismatchError, match="in use"):
        rebuild(run)


def test_the_same_files_make_the_same_page(tmp_path):
    run = write_run(tmp_path / "run", report(tmp_path), details())
    write_page(run)
    before = run.page.read_bytes()
    write_page(run)
    assert run.page.read_bytes() == before


def test_it_is_made_without_tensorflow(tmp_path):
    run = write_run(tmp_path / "run", report(tmp_path), details())
    script = (
        "import sys; from spiral_cli.cli import main; sys.argv = ['spiral', *sys.argv[1:]]; code = main(); "
        "print(code, [name for name in ('tensorflow', 'keras') if name in sys.modules], file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, "report", str(run.root), "--json"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.stderr.splitlines()[-1] == "0 []", done.stderr
    assert json.loads(done.stdout) == {
        "path": str(run.page),
        "missing": [],
        "warnings": [],
    }


@pytest.mark.slow
def test_a_wheel_has_the_templates(tmp_path):
    root = Path(__file__).parents[2]
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, tmp_path)
    shutil.copytree(root / "spiral_cli", tmp_path / "spiral_cli")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    if "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("setuptools, which builds wheels, cannot be fetched here")
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    templates = (root / "spiral_cli/report/templates").iterdir()
    assert {f"spiral_cli/report/templates/{path.name}" for path in templates} <= set(zipfile.ZipFile(wheel).namelist())
