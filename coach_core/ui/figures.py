"""A report of numbers as plotly figures, a table and CSV.

Invariant: a colour means the same backend in every figure, red means loss; times are the viewer's, every
axis and value has its unit; all figures of a page show the same stretch of time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import plotly.graph_objects as go

from coach_core.metrics import Figures, Report

HEIGHT = 260
COUNTED = (
    "citations_checked",
    "citations_wrong",
    "memories_recalled",
    "memories_judged_right",
    "memories_judged_wrong",
)
DASHES = {"p50": "dot", "p95": "solid", "p99": "dash"}
Value = Callable[[Figures], float | None]


@dataclass(frozen=True, slots=True)
class Look:
    """What a figure cannot take from Streamlit's theme: colours by backend, loss, text; the zone; the stretch
    of (local) time to show, None for all of it."""

    colours: Mapping[str, str]
    labels: Mapping[str, str]
    good: str
    loss: str
    text: str
    grid: str
    zone: ZoneInfo
    stretch: tuple[datetime, datetime] | None = None


def colours_of(known: Sequence[str], seen: Sequence[str], palette: Sequence[str]) -> dict[str, str]:
    """backend -> colour, by its place among all there are; one that is gone comes after them, by name."""
    names = [*known, *sorted(set(seen) - set(known))]
    return {name: palette[i % len(palette)] for i, name in enumerate(names)} if palette else {}


def stacked(report: Report, look: Look, value: Value, unit: str, form: str = ",.0f") -> go.Figure:
    """Bars over time, a colour a backend."""
    figure = _figure(look, unit)
    for name in report.backends:
        figure.add_bar(
            x=_times(report, name, look),
            y=[value(p.figures) or 0 for p in report.series[name]],
            name=look.labels.get(name, name),
            marker_color=look.colours.get(name),
            hovertemplate=f"%{{y:{form}}} {unit}",
        )
    figure.update_layout(barmode="stack")
    return figure


def times(report: Report, look: Look, which: str) -> go.Figure:
    """p95 (solid), p50 (dotted), p99 (dashed) over time, a colour a backend; `which` is first_token or total."""
    figure = _figure(look, "seconds")
    at = _times(report, "", look)
    # Times without a turn are part of the picture too.
    figure.add_scatter(x=[at[0], at[-1]], y=[0, 0], opacity=0, showlegend=False, hoverinfo="skip", name="span")
    for name in report.backends:
        label = look.labels.get(name, name)
        for quantile, dash in DASHES.items():
            figure.add_scatter(
                x=_times(report, name, look),
                y=[_seconds(getattr(getattr(p.figures, which), quantile)) for p in report.series[name]],
                name=label if quantile == "p95" else f"{label}, {quantile}",
                legendgroup=name,
                showlegend=quantile == "p95",
                mode="lines+markers",
                line={"color": look.colours.get(name), "dash": dash, "width": 2.5 if quantile == "p95" else 1.5},
                marker={"size": 5},
                connectgaps=True,
                hovertemplate=f"%{{y:.2f}} s<extra>{label}, {quantile}</extra>",
            )
    return figure


def failures(report: Report, look: Look) -> go.Figure:
    """Turns that failed over time, by kind, in shades of the colour of loss."""
    figure = _figure(look, "turns")
    kinds = sorted(report.total.errors, key=lambda k: -report.total.errors[k])
    for number, kind in enumerate(kinds):
        figure.add_bar(
            x=_times(report, "", look),
            y=[p.figures.errors.get(kind, 0) for p in report.series[""]],
            name=kind.replace("_", " "),
            marker={"color": look.loss, "opacity": max(0.3, 1 - 0.2 * number)},
            hovertemplate="%{y} turns",
        )
    if max((sum(p.figures.errors.values()) for p in report.series[""]), default=0) <= 5:
        figure.update_yaxes(dtick=1)  # no halves of a turn
    figure.update_layout(barmode="stack")
    return figure


def thumbs(report: Report, look: Look) -> go.Figure:
    """Thumbs up above the line, thumbs down beneath it."""
    figure = _figure(look, "thumbs")
    at = _times(report, "", look)
    ups = [p.figures.up for p in report.series[""]]
    downs = [p.figures.down for p in report.series[""]]
    figure.add_bar(x=at, y=ups, name="up", marker_color=look.good, hovertemplate="%{y} up")
    figure.add_bar(
        x=at, y=[-n for n in downs], name="down", marker_color=look.loss, customdata=downs,
        hovertemplate="%{customdata} down",
    )  # fmt: skip
    figure.update_layout(barmode="relative")
    return figure


def spark(report: Report, value: Value) -> list[float] | None:
    """The values over time for a spark line; None when there are too few to draw one."""
    values = [v for p in report.series[""] if (v := value(p.figures)) is not None]
    return [float(v) for v in values] if len(values) > 1 else None


def table(report: Report, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row a backend: how many, how fast, how much."""
    return [
        {
            "Backend": labels.get(name, name),
            "Turns": f.turns,
            "Failed": f.failed,
            **{f"First word {q}": _seconds(getattr(f.first_token, q)) for q in DASHES},
            **{f"Whole answer {q}": _seconds(getattr(f.total, q)) for q in DASHES},
            "Tokens in": f.input_tokens,
            "Tokens out": f.output_tokens,
            "Citations that hold": None if f.held is None else 100 * f.held,
            "Citations checked": f.citations,
            "Cost": f.cost / 1_000_000,
        }
        for name, f in report.backends.items()
    ]


def as_csv(report: Report) -> str:
    """Every point of every backend: times in UTC, durations in ms, cost in US dollars."""
    out = io.StringIO()
    names = ("turns", "completed", "failed", "input_tokens", "output_tokens", "cached_tokens", "up", "down")
    quantiles = [(part, q) for part in ("first_token", "total") for q in DASHES]
    writer = csv.writer(out)
    heads = [f"{part}_{q}_ms" for part, q in quantiles]
    writer.writerow(["at", "backend", *names, *COUNTED, "cost_usd", *heads, "errors"])
    for backend in report.backends:
        for point in report.series[backend]:
            f = point.figures
            spans = [getattr(getattr(f, part), q) for part, q in quantiles]
            errors = " ".join(f"{kind}={number}" for kind, number in sorted(f.errors.items()))
            sums = [*(getattr(f, name) for name in names), *(f.counts.get(name, 0) for name in COUNTED)]
            rounded = ["" if ms is None else round(ms, 1) for ms in spans]
            writer.writerow([point.at.isoformat(), backend, *sums, f.cost / 1_000_000, *rounded, errors])
    return out.getvalue()


def _figure(look: Look, unit: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=HEIGHT,
        margin={"l": 4, "r": 4, "t": 28, "b": 4},
        dragmode="select",
        selectdirection="h",
        hovermode="x unified",
        showlegend=True,
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"size": 12, "color": look.text},
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        bargap=0.25,
        font={"color": look.text},
        xaxis={"range": look.stretch, "showgrid": False, "tickfont": {"color": look.text}, "automargin": True},
        yaxis={
            "title": {"text": unit, "font": {"size": 12, "color": look.text}},
            "gridcolor": look.grid,
            "zerolinecolor": look.grid,
            "tickfont": {"color": look.text},
            "rangemode": "tozero",
            "minallowed": None if unit == "thumbs" else 0,
            "tickformat": ",~g",
            "automargin": True,
            "fixedrange": True,
        },
    )
    return figure


def _times(report: Report, name: str, look: Look) -> list[datetime]:
    """Local times without their zone: plotly would show any zone as UTC."""
    return [p.at.astimezone(look.zone).replace(tzinfo=None) for p in report.series[name]]


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
