"""Pages in a real headless Chromium: no error, no request, plots that are seen, in both themes and on a phone."""

from __future__ import annotations

import numpy as np
import pytest
from browser import DESKTOP, PHONE, browser
from made import details, report, write_run

from spiral_cli.report.beside import beside
from spiral_cli.report.page import comparison_page, write_page
from spiral_cli.report.read import read_run

LONG = "a-class-with-a-very-long-name-that-no-phone-has-room-for-in-one-line"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    run = write_run(folder / "run", report(folder), details((LONG, "dog", "</script><b>bird")))
    write_page(run)
    other = write_run(folder / "another-run-with-a-long-name", report(folder), details())
    told = {one.root.name: read_run(one) for one in (run, other)}
    comparison = folder / "compare.html"
    comparison.write_text(comparison_page(beside(told)), "utf-8")
    return {"report": run.page, "compare": comparison}


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


DRAWN = """
return [...document.querySelectorAll(".plot")].map(plot => {
  const box = plot.querySelector(".main-svg").getBoundingClientRect();
  const marks = [...plot.querySelectorAll(".points path, .point path, .js-line")];
  const drawn = marks.filter(one => one.getTotalLength() > 0).length;
  return {width: box.width, height: box.height, right: box.right, marks: drawn};
})
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("page", ["report", "compare"])
def test_a_page_opens_cleanly_and_its_plots_are_seen(tab, pages, page, width, theme):
    tab.requests()
    tab.show(pages[page], width=width, theme=theme)
    assert tab.errors() == []
    assert tab.requests() == [pages[page].as_uri()]
    plots = tab.ask(DRAWN)
    assert len(plots) == (7 if page == "report" else 1)
    for plot in plots:
        assert plot["width"] > 0.7 * min(width, 960) and plot["height"] > 100 and plot["marks"] >= 1
        assert plot["right"] <= width
    assert tab.ask("return document.documentElement.scrollWidth") == width
    for index in range(len(plots)):
        name = tab.ask("return document.querySelectorAll('.plot')[arguments[0]].dataset.figure", index)
        shot = tab.pixels(f"[data-figure={name}]")
        background = shot[0, 0]
        assert (background.mean() < 64) == (theme == "dark")
        differing = np.any(shot != background, axis=-1)
        assert 0.005 < differing.mean() < 0.9, f"{name} is {differing.mean():.4f} full"


def test_plots_follow_when_the_theme_changes(tab, pages):
    tab.show(pages["report"], theme="light")
    seen = {}
    for theme in ("light", "dark", "light"):
        tab.theme(theme)
        before, seen[theme] = seen.get(theme), tab.pixels("[data-figure=tradeoff-figure]")
        assert before is None or (before == seen[theme]).all()
    light, dark = seen["light"], seen["dark"]
    assert light[0, 0].tolist() == [255, 255, 255] and dark[0, 0].max() < 64
    student = {"light": (10, 102, 194), "dark": (108, 178, 248)}  # of style.css
    for theme, colour in student.items():
        assert np.all(seen[theme] == colour, axis=-1).sum() > 50


def test_wide_tables_scroll_inside_their_own_box(tab, pages):
    tab.show(pages["report"], width=PHONE)
    boxes = tab.ask("return [...document.querySelectorAll('.wide')].map(one => [one.clientWidth, one.scrollWidth])")
    assert all(shown <= PHONE for shown, _ in boxes)
    assert any(whole > shown for shown, whole in boxes)


def test_a_tall_phone_page_has_a_sentence_first(tab, pages):
    tab.show(pages["report"], width=PHONE)
    assert tab.ask("return document.querySelector('h1').getBoundingClientRect().bottom") < 400
    assert tab.ask("return parseFloat(getComputedStyle(document.querySelector('h1')).fontSize)") >= 20
