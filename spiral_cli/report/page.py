"""`report.html`: what a run's files say as one page that loads nothing. Rebuilt from them at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spiral_cli.console.texts import counted, drop_text, duration, number, size
from spiral_cli.console.texts import verdict as judged
from spiral_cli.report import figures
from spiral_cli.report.beside_lines import group_lines, lines
from spiral_cli.report.cautions import cautions, dropped
from spiral_cli.report.read import Told, read_run
from spiral_cli.report.verdict import asked, verdict
from spiral_cli.run import Ledger, RunFolder, write_text


def write_page(run: RunFolder) -> Told:
    """Write a run's `report.html` from its other files; return what they said.

    Raises:
        MissingError, UsageError: as `read_run`.
    """
    told = read_run(run)
    write_text(run.page, page(told))
    return told


def rebuild(run: RunFolder) -> Told:
    """Write the page of a run again, as `write_page`; a finished run goes on being one.

    Raises:
        RunMismatchError: a finished run is in use.
    """
    finished = Ledger(run).find("finished")
    if finished is None or run.relative(run.page) not in finished["files"]:
        return write_page(run)
    with run.claimed():
        told = write_page(run)
        Ledger(run).renew("finished", run.page)
    return told


def page(told: Told) -> str:
    """Return the page of one run."""
    report = told.report
    return render(
        "report.html",
        told=told,
        report=report,
        verdict=verdict(report),
        asked=asked(report["recipe"]),
        cautions=cautions(report),
        drops={part: dropped(report, part) for part in ("validation", "test")} if report["selected"] else {},
        plots=plots(told),
    )


def comparison_page(comparison: Mapping[str, Any]) -> str:
    """Return the page of several runs, from what `beside.beside` found."""
    rows = comparison["runs"]
    groups, of_groups = group_lines(comparison)
    finished = [row for row in rows if row["student"] is not None]
    return render(
        "compare.html",
        comparison=comparison,
        names=[row["name"] for row in rows],
        lines=lines(comparison),
        groups=groups,
        group_lines=of_groups,
        plot=figures.runs(finished) if finished else None,
    )


def plots(told: Told) -> dict[str, Any]:
    """Return the figures of one run by name; those that its files say nothing for are left out."""
    report, stages, details = told.report, told.stages, told.details
    exported = [one for one in report["artifacts"] if one["status"] == "ok"]
    timed = [one for one in exported if one["latency_ms"] and one["teacher_latency_ms"]]
    students = [stage for stage in stages if stage.kind == "round"]
    found = {
        "tradeoff": figures.tradeoff(report) if report["rounds"] else None,
        "layers": figures.layers(details["layers"]) if details.get("layers") else None,
        "classes": figures.classes(details["classes"], details.get("class_metric", "recall"))
        if details.get("classes")
        else None,
        "rounds": figures.losses(students) if students else None,
        **{stage.kind: figures.losses([stage]) for stage in stages if stage.kind != "round"},
        "bytes": figures.sizes(exported) if exported else None,
        "latency": figures.latencies(timed) if timed else None,
    }
    return {name: figure for name, figure in found.items() if figure is not None}


def embedded(figure: Any) -> Markup:
    """Return a figure as JSON that may stand inside a script element: Plotly escapes what would end it."""
    return Markup(figure.to_json())


def render(template: str, **facts: Any) -> str:
    """Return a page; Plotly's script is in it once, whatever its plots."""
    from plotly.offline import get_plotlyjs

    surroundings = Environment(
        loader=PackageLoader("spiral_cli.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    texts = (number, drop_text, duration, size, counted, judged)
    surroundings.filters.update({text.__name__: text for text in (*texts, embedded)})
    return surroundings.get_template(template).render(plotly=Markup(get_plotlyjs()), **facts)
