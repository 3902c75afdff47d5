"""`sensitivity.html`: what each layer loses by itself, as a page that loads nothing."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from spiral_cli.console.texts import drop_text
from spiral_cli.report import figures
from spiral_cli.report.page import render

COLOURS = (figures.STUDENT, figures.TEACHER, figures.BAD, figures.FOURTH, figures.TEXT)
DASHES = ("solid", "dash", "dot", "dashdot")  # another for every turn through the colours


def tolerance_page(result: Mapping[str, Any]) -> str:
    """Return the page of a measurement.

    Args:
        result: of `spiral_cli.sensitivity.run`.
    """
    rows = [
        {"name": one["name"], "of": one["weights"], "nonzero": round((1.0 - one["suggested"]) * one["weights"])}
        for one in result["layers"]
    ]
    return render("sensitivity.html", result=result, curves=curves(result), suggested=figures.layers(rows))


def curves(result: Mapping[str, Any]) -> go.Figure:
    """Return the drop of every layer against its density; the whole layer at zero has no place on such an axis."""
    figure = figures.framed(440)
    densities: list[float] = []
    for number, layer in enumerate(result["layers"]):
        points = [point for point in layer["points"] if point["sparsity"] < 1.0 and point["drop"] is not None]
        colour = COLOURS[number % len(COLOURS)]
        x = [1.0 - point["sparsity"] for point in points]
        densities += x
        figure.add_scatter(
            name=figures.short(layer["name"]),
            x=x,
            y=[point["drop"] for point in points],
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": DASHES[number // len(COLOURS) % len(DASHES)]},
            marker={"color": colour, "size": 7},
            customdata=[[drop_text(point["drop"])] for point in points],
            hovertemplate=f"{html.escape(layer['name'])}<br>density %{{x:.4g}}, drop %{{customdata[0]}}<extra></extra>",
        )
    figure.add_scatter(
        name="suggested",
        x=[1.0 - layer["suggested"] for layer in result["layers"]],
        y=[layer["estimated_drop"] for layer in result["layers"]],
        mode="markers",
        marker={"color": "rgba(0,0,0,0)", "size": 14, "symbol": "diamond", "line": {"color": figures.TEXT, "width": 2}},
        customdata=[[html.escape(layer["name"])] for layer in result["layers"]],
        hovertemplate="%{customdata[0]}<br>density %{x:.4g}<extra>suggested</extra>",
    )
    figures.densities(figure, densities)
    return figure.update_yaxes(title_text=f"drop of validation {result['monitor'].replace('_', ' ')}", tickformat=".3f")
