"""The plots of a page, made by Plotly from plain data.

Colours are names of the page's own (``var(--student)``), which it turns into those of its theme, and into
others when the theme changes. Names that people chose are escaped: Plotly reads tags in its labels.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from spiral_cli.console.texts import drop_text, number, size
from spiral_cli.guard import monitor_mode
from spiral_cli.report.read import Stage

Rows = Sequence[Mapping[str, Any]]
STUDENT, TEACHER, FOURTH, BAD, TEXT, GRID, MUTED = (
    f"var(--{name})" for name in ("student", "teacher", "fourth", "bad", "text", "grid", "muted")
)
TERMS = {  # losses by name: what a legend calls them, and their colours
    "loss": ("total", TEXT),
    "task_loss": ("task", TEACHER),
    "distillation_loss": ("distillation", STUDENT),
    "feature_loss": ("features", FOURTH),
}
LONGEST = 22  # characters of a name beside an axis
MOST_CLASSES = 30  # in one plot; the table beneath holds all
ROW = 22  # pixels of a bar and its gap
FEW_STAGES = 4  # that are named in full
STEPS = {1: (1, 2, 5), 3: (1, 3)}  # ticks of a power of ten, on an axis of up to so many


def tradeoff(report: Mapping[str, Any]) -> go.Figure:
    """Return the monitored metric of every try against its density, with teacher and budget."""
    monitor, rows = report["monitor"], report["rounds"]
    figure = framed(380)
    styles = {True: ("accepted", STUDENT, "circle"), False: ("rolled back", BAD, "x-thin-open")}
    for accepted, (name, colour, symbol) in styles.items():
        tries = [row for row in rows if row["accepted"] == accepted]
        if tries:
            figure.add_scatter(
                name=name,
                x=[row["density"] for row in tries],
                y=[row["metrics"]["validation"][monitor] for row in tries],
                mode="lines+markers" if accepted else "markers",
                line={"color": colour, "width": 2},
                marker={"color": colour, "size": 9, "symbol": symbol, "line": {"color": colour, "width": 2}},
                customdata=[
                    [row["round"], row["attempt"], f"{row['nonzero']:,}", drop_text(row["drop"])] for row in tries
                ],
                hovertemplate="round %{customdata[0]}, try %{customdata[1]}<br>density %{x:.4g}"
                "<br>%{customdata[2]} weights left<br>%{y:.4f}, drop %{customdata[3]}<extra>" + name + "</extra>",
            )
    if chosen := report["selected"]:
        figure.add_scatter(
            name="chosen",
            x=[chosen["density"]],
            y=[chosen["metrics"]["validation"][monitor]],
            mode="markers",
            marker={"color": TEXT, "size": 17, "symbol": "circle-open", "line": {"width": 2}},
            hoverinfo="skip",
        )
    teacher = report["teacher"]["metrics"]["validation"][monitor]
    sign = 1 if monitor_mode(monitor, report["recipe"]["guard"]["mode"]) == "min" else -1
    budget = teacher + sign * report["max_drop"]
    level(figure, teacher, f"teacher {number(teacher)}", TEACHER)
    level(figure, budget, f"budget {number(budget)}", MUTED, "dash")
    densities(figure, [row["density"] for row in rows])
    return figure.update_yaxes(title_text=f"validation {monitor.replace('_', ' ')}", tickformat=".3f")


def layers(rows: Rows) -> go.Figure:
    """Return the sparsity of every layer, in the order of the network, with what is left of it."""
    names = [short(row["name"]) for row in rows]
    sparsities = [1.0 - row["nonzero"] / row["of"] for row in rows]
    left = [f"{row['nonzero']:,} of {row['of']:,}" for row in rows]
    figure = framed(90 + ROW * len(rows))
    figure.add_bar(
        y=list(range(len(rows))),
        x=sparsities,
        orientation="h",
        marker={"color": STUDENT},
        text=[f"{sparsity:.4f}" for sparsity in sparsities],
        textposition="inside",
        insidetextanchor="end",
        textfont={"color": "var(--page)"},
        customdata=list(zip([html.escape(row["name"]) for row in rows], left, strict=True)),
        hovertemplate="%{customdata[0]}<br>sparsity %{x:.4f}<br>%{customdata[1]} weights left<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1], title_text="sparsity: fraction of the layer's weights that is gone")
    return listed(figure, names)


def losses(stages: Sequence[Stage]) -> go.Figure:
    """Return the mean training losses of every epoch, one stage after the other; what was rolled back is dotted."""
    figure = framed(320)
    terms = [term for term in TERMS if any(term in stage.curve[0]["losses"] for stage in stages)]
    if terms == ["loss", "task_loss"]:
        terms = ["loss"]  # without a distillation loss the two are the same
    shown: set[str] = set()
    before = 0
    for stage in stages:
        epochs = list(range(before + 1, before + len(stage.curve) + 1))
        for term in terms:
            name, colour = TERMS[term] if len(terms) > 1 else ("training", TEXT)
            draw(figure, name, colour, epochs, [one["losses"].get(term) for one in stage.curve], stage, shown)
        if "loss" in stage.curve[0]["metrics"]:
            draw(figure, "validation", STUDENT, epochs, [one["metrics"]["loss"] for one in stage.curve], stage, shown)
        if len(stages) > 1:
            figure.add_annotation(
                text=stage.title if len(stages) <= FEW_STAGES else stage.title.removeprefix("round "),
                x=(epochs[0] + epochs[-1]) / 2,
                **{"y": 1, "yref": "paper", "yanchor": "top", "showarrow": False, "font": {"size": 11, "color": MUTED}},
            )
        if before:
            figure.add_vline(x=before + 0.5, line={"color": MUTED, "width": 1, "dash": "dot"})
        before = epochs[-1]
    values = [value for stage in stages for one in stage.curve for value in one["losses"].values()]
    figure.update_xaxes(title_text="epoch", range=[0.5, max(before, 2) + 0.5], showgrid=False)
    return figure.update_yaxes(type="log", title_text="loss (log)", **ticks(values))


def draw(
    figure: go.Figure, name: str, colour: str, epochs: list[int], values: list[Any], stage: Stage, shown: set[str]
) -> None:
    """Add one loss of one stage; the legend, and a click on it, hold for all stages."""
    figure.add_scatter(
        name=name,
        x=epochs,
        y=values,
        mode="lines+markers" if len(epochs) == 1 else "lines",
        line={"color": colour, "width": 2, "dash": "solid" if stage.kept else "dot"},
        legendgroup=name,
        showlegend=name not in shown,
        hovertemplate=f"{stage.title}, epoch %{{x}}<br>{name} %{{y:.4g}}<extra></extra>",
    )
    shown.add(name)


def sizes(rows: Rows) -> go.Figure:
    """Return the kilobytes of every exported file, entries of ``artifacts``, beside those of the teacher's."""
    bars = {"teacher": "teacher_bytes", "student": "bytes", "student, gzip": "gzip_bytes"}
    figure = framed(110 + ROW * len(bars) * len(rows))
    for (name, key), colour in zip(bars.items(), (TEACHER, STUDENT, FOURTH), strict=True):
        values = [row[key] / 1e3 if row[key] else None for row in rows]
        if any(values):
            figure.add_bar(
                name=name,
                y=list(range(len(rows))),
                x=values,
                orientation="h",
                marker={"color": colour},
                text=[size(row[key]) if row[key] else "" for row in rows],
                textangle=0,
                hovertemplate=f"%{{x:.4g}} kB<extra>{name}</extra>",
            )
    figure.update_xaxes(title_text="kB", rangemode="tozero")
    return listed(figure, [short(row["kind"]) for row in rows])


def latencies(rows: Rows) -> go.Figure:
    """Return the latency of every exported file in parts of that of the teacher in the same runtime.

    Args:
        rows: entries of ``artifacts`` that know both.
    """
    parts = [row["latency_ms"] / row["teacher_latency_ms"] for row in rows]
    figure = framed(100 + 2 * ROW * len(rows))
    figure.add_bar(
        name="student",
        y=list(range(len(rows))),
        x=parts,
        orientation="h",
        marker={"color": STUDENT},
        text=[f"{part:.2f}" for part in parts],
        textposition="inside",
        insidetextanchor="start",
        textangle=0,
        customdata=[[row["latency_ms"], row["teacher_latency_ms"]] for row in rows],
        hovertemplate="%{customdata[0]:.3g} ms, the teacher %{customdata[1]:.3g} ms<extra></extra>",
    )
    figure.add_vline(x=1, line={"color": TEACHER, "width": 2}, name="teacher = 1", showlegend=True)
    figure.update_xaxes(title_text="part of the teacher's latency", range=[0, 1.1 * max(1.0, *parts)])
    return listed(figure, [short(row["kind"]) for row in rows])


def classes(rows: Rows, metric: str) -> go.Figure:
    """Return the change of every class's metric on the test part, the largest loss first; of many the outermost."""
    rows = sorted(rows, key=lambda row: row["student"] - row["teacher"])
    if len(rows) > MOST_CLASSES:
        rows = [*rows[: MOST_CLASSES // 2], *rows[-MOST_CLASSES // 2 :]]
    changes = [row["student"] - row["teacher"] for row in rows]
    figure = framed(90 + ROW * len(rows))
    figure.add_bar(
        y=list(range(len(rows))),
        x=changes,
        orientation="h",
        marker={"color": [BAD if change < 0 else STUDENT for change in changes]},
        customdata=[
            [html.escape(row["name"]), number(row["teacher"]), number(row["student"]), row["examples"]] for row in rows
        ],
        hovertemplate="%{customdata[0]}: %{customdata[1]} → %{customdata[2]}, %{x:+.4f}"
        "<br>of %{customdata[3]:,} examples<extra></extra>",
    )
    widest = max(0.01, *(abs(change) for change in changes)) * 1.1
    figure.update_xaxes(
        title_text=f"change of {metric}, student − teacher", tickformat="+.3~f", range=[-widest, widest], zeroline=True
    )
    return listed(figure, [short(row["name"]) for row in rows])


def runs(rows: Rows) -> go.Figure:
    """Return the test metric of several runs against their density, one point a run."""
    figure = framed(380)
    colours = (STUDENT, TEACHER, BAD, FOURTH)
    for index, row in enumerate(rows):
        figure.add_scatter(
            name=short(row["name"]),
            x=[row["density"]],
            y=[row["student"]],
            mode="markers",
            marker={"size": 11, "color": colours[index % len(colours)], "symbol": index % 8},
            hovertemplate=f"{html.escape(row['name'])}<br>density %{{x:.4g}}<br>%{{y:.4f}}<extra></extra>",
        )
    densities(figure, [row["density"] for row in rows])
    monitors = " or ".join(sorted({row["monitor"].replace("_", " ") for row in rows}))
    return figure.update_yaxes(title_text=f"test {monitors}", tickformat=".3f")


def framed(height: int) -> go.Figure:
    """Return an empty figure in the page's own colours and font."""
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": TEXT},
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        hoverlabel={"bgcolor": "var(--box)", "bordercolor": GRID, "font": {"color": TEXT}},
        dragmode=False,  # a finger scrolls the page
    )
    axis = {
        **{"gridcolor": GRID, "linecolor": GRID, "zerolinecolor": MUTED, "zeroline": False, "automargin": True},
        "title": {"font": {"size": 13, "color": MUTED}, "standoff": 8},
    }
    figure.update_xaxes(**axis)
    return figure.update_yaxes(**axis)


def level(figure: go.Figure, y: float, name: str, colour: str, dash: str = "solid") -> go.Figure:
    """Draw a value across the whole figure, behind what else there is; the legend names it."""
    line = {"color": colour, "width": 1.5, "dash": dash}
    return figure.add_hline(y=y, line=line, layer="below", name=name, showlegend=True)


def densities(figure: go.Figure, values: Sequence[float]) -> go.Figure:
    """Let a figure's axis show densities, which fall from left to right."""
    title = "density: weights left, logarithmic"
    return figure.update_xaxes(type="log", autorange="reversed", title_text=title, tickangle=0, **ticks(values))


def ticks(values: Sequence[float]) -> dict[str, list[Any]]:
    """Return ticks of a logarithmic axis, fewer of every power of ten the more of these there are.

    Where the values lie so close that at most one is among them, the least and the largest value are ticks instead.
    """
    known = [value for value in values if value > 0] or [1.0]
    least, most = min(known), max(known)
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    steps = next((steps for decades, steps in STEPS.items() if high - low <= decades), (1,))
    places = [step * 10.0**power for power in range(low, high + 1) for step in steps]
    if sum(least <= place <= most for place in places) < 2:
        places = [least, most]
    named = {f"{place:.4g}": place for place in places}
    return {"tickvals": list(named.values()), "ticktext": list(named)}


def listed(figure: go.Figure, names: Sequence[str]) -> go.Figure:
    """Name the places of an upright axis from the top down: places, for two names may be alike."""
    places = list(range(len(names)))
    return figure.update_yaxes(tickvals=places, ticktext=names, range=[len(names) - 0.5, -0.5], showgrid=False)


def short(name: str) -> str:
    """Return a name that fits beside an axis; of a long one the end is what tells it from others."""
    return html.escape(name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}")
