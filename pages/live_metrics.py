"""Live metrics: is it well, is it fast, is it used, is it liked, what does it cost.

Invariant: numbers only, never what anyone said; the view is in the link; a refresh changes the numbers in
their places and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pandas as pd
import streamlit as st

from coach_core.access import allowed, require
from coach_core.metrics import Figures, Report
from coach_core.types import Actor
from coach_core.ui import figures, marks, shared, widgets

if TYPE_CHECKING:
    import plotly.graph_objects as go


EVERY = 5.0  # seconds between two looks
RANGES = {
    "1 h": timedelta(hours=1),
    "24 h": timedelta(days=1),
    "7 days": timedelta(days=7),
    "30 days": timedelta(days=30),
    "90 days": timedelta(days=90),
}
ZOOM = "zoom"
ANY_PERSONA, ANY_BACKEND = "Any persona", "Any backend"
SPEEDS = {"First word": "first_token", "Whole answer": "total"}
USES = {"Turns": "turns", "Tokens": "tokens"}
#: Zooming is ours (see _zoom): a chart forgets its own with each refresh.
CONFIG = {
    "displaylogo": False,
    "doubleClick": False,
    "modeBarButtonsToRemove": [
        "zoom2d",
        "pan2d",
        "select2d",
        "lasso2d",
        "zoomIn2d",
        "zoomOut2d",
        "autoScale2d",
        "resetScale2d",
    ],
}


def page() -> None:
    with st.container(width=widgets.WIDE), shared.guard():
        coach, actor = shared.coach(), shared.actor()
        require(actor, "metrics")
        st.title("Live metrics")
        labels = widgets.backend_labels(coach, actor)
        view = _ask(coach.persona_names(actor), labels)
        st.fragment(_report, run_every=EVERY, key="report")(view, labels)


def _ask(personas: Mapping[UUID, str], labels: Mapping[str, str]) -> tuple[str, UUID | None, str]:
    """Range, persona and backend, all of them kept in the link."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        bound: dict[str, Any] = {"bind": "query-params", "label_visibility": "collapsed"}
        span = st.segmented_control(
            "Range", list(RANGES), default="24 h", required=True, key="range", on_change=_whole, **bound
        )
        ids = {name: persona for persona, name in personas.items()}
        persona = st.selectbox("Persona", [ANY_PERSONA, *ids], key="persona_is", width=168, **bound)
        names = {label: name for name, label in labels.items()}
        backend = st.selectbox("Backend", [ANY_BACKEND, *names], key="backend_is", width=168, **bound)
    return span, ids.get(persona), names.get(backend, "")


def _report(view: tuple[str, UUID | None, str], labels: Mapping[str, str]) -> None:
    with shared.guard():
        coach, actor = shared.coach(), shared.actor()
        span, persona_id, backend = view
        report = coach.metrics(actor, since=RANGES[span], backend=backend, persona_id=persona_id)
        if not report.total.turns:
            _nothing(actor, span)
            return
        look = _look(report, labels)
        if look.stretch:
            _stretch(*look.stretch)
        before = f"vs {span} before"
        _well(report, look, before)
        _fast(report, look, before)
        _used(report, look, before)
        _liked(report, look, before)
        _cost(report, look, before)
        _details(report, labels)


def _look(report: Report, labels: Mapping[str, str]) -> figures.Look:
    palette, dark = shared.colours(), shared.dark()
    theme = "dark" if dark else "light"
    return figures.Look(
        colours=figures.colours_of(list(labels), list(report.backends), palette),
        labels=labels,
        good=st.get_option(f"theme.{theme}.greenColor"),
        loss=st.get_option(f"theme.{theme}.redColor"),
        text=st.get_option(f"theme.{theme}.grayTextColor"),
        grid=st.get_option(f"theme.{theme}.borderColor"),
        zone=shared.zone(),
        stretch=_zoomed(),
    )


def _zoom(key: str) -> None:
    """The stretch of time that was drawn over a chart becomes the stretch that all charts and the link show."""
    box = st.session_state[key]["selection"]["box"]
    if box:
        first, last = sorted(datetime.fromisoformat(str(x)) for x in box[0]["x"])
        if last - first >= timedelta(minutes=1):
            st.query_params[ZOOM] = f"{first:%Y-%m-%dT%H:%M}~{last:%Y-%m-%dT%H:%M}"


def _zoomed() -> tuple[datetime, datetime] | None:
    """The stretch in the link, in the viewer's time; None for all."""
    try:
        first, last = map(datetime.fromisoformat, st.query_params.get(ZOOM, "").split("~"))
    except ValueError:
        return None
    return (first, last) if first < last else None


def _whole() -> None:
    st.query_params.pop(ZOOM, None)


def _stretch(first: datetime, last: datetime) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        say = f"Charts show {first:%-d %b, %H:%M} to {last:%-d %b, %H:%M}; numbers are of the whole time."
        st.markdown(f":gray[:small[{marks.plain(say)}]]", width="content")
        st.button("Whole time", icon=":material/zoom_out_map:", type="tertiary", on_click=_whole)


def _nothing(actor: Actor, span: str) -> None:
    say = f"In the last {span} nobody asked anything that fits. Choose a longer time, or ask the first question."
    with widgets.empty(":material/monitoring:", "Nothing to count yet", say):
        if allowed(actor.role, "chat"):
            st.page_link(widgets.page("chat"), label="Ask a question", query_params=widgets.link())


# -- the five questions -----------------------------------------------------------------------------


def _well(report: Report, look: figures.Look, before: str) -> None:
    now, was = report.total, report.previous
    share, old = _arrived(now), _arrived(was)
    with _question("Is it well?", "well") as (number, chart):
        with number:
            st.metric(
                "Answers that arrived",
                _percent(share),
                _points(share, old),
                chart_data=figures.spark(report, _arrived),
                **_against(was, before),
                help="Turns that did not fail and were not cut off.",
            )
            st.caption(f"{widgets.count(now.failed, 'turn')} of {now.turns:,} failed")
            if now.citations:
                _cited(report, before)
            if looked_after := _looked_after(now.counts):
                st.caption(looked_after)
        with chart:
            if now.errors:
                _chart(figures.failures(report, look), "well", "Turns that failed, by kind")
            else:
                _chart(figures.stacked(report, look, lambda f: f.completed, "turns"), "well", "Turns that went well")
                st.caption(":material/check_circle: No errors in this time")


def _looked_after(counts: Mapping[str, int]) -> str:
    """What the guard and care have done in this time, in words; "" where they had nothing to do."""
    told = (
        ("guard_activations", "answer", "taken back by the guard"),
        ("guard_failed", "answer", "replaced by a sentence"),
        ("tool_arguments_wrong", "call", "of tools that did not fit"),
        ("care_referrals", "referral", "to help lines"),
    )
    return ", ".join(f"{widgets.count(n, what)} {rest}" for name, what, rest in told if (n := counts.get(name, 0)))


def _cited(report: Report, before: str) -> None:
    """Of the sentences that bear [n], the share whose passage says what they say."""
    now, was = report.total, report.previous
    st.metric(
        "Citations that hold",
        _percent(now.held),
        _points(now.held, was.held),
        chart_data=figures.spark(report, lambda f: f.held),
        **({"delta_description": before} if was.citations else {}),
        help="Sentences of answers whose cited passage says what they say, as far as that can be checked.",
    )
    st.caption(f"of {now.citations:,} checked, {now.counts.get('citations_wrong', 0):,} may go beyond their passage")


def _fast(report: Report, look: figures.Look, before: str) -> None:
    now, was = report.total, report.previous
    with _question("Is it fast?", "fast") as (number, chart):
        with number:
            st.metric(
                "First word, p95",
                _time(now.first_token.p95),
                _change(now.first_token.p95, was.first_token.p95),
                delta_color="inverse",
                chart_data=figures.spark(report, lambda f: f.first_token.p95),
                **_against(was, before),
                help="95 of 100 answers begin within this time.",
            )
            st.caption(f"half within {_time(now.first_token.p50)}  \nwhole answers {_time(now.total.p50)}")
        with chart:
            which = st.segmented_control(
                "Time of", list(SPEEDS), default="First word", required=True, key="speed", bind="query-params",
                label_visibility="collapsed",
            )  # fmt: skip
            _chart(figures.times(report, look, SPEEDS[which]), f"fast_{which}", f"{which}: p50, p95 and p99 by backend")
            st.caption("solid: p95, dotted: p50, dashed: p99")


def _used(report: Report, look: figures.Look, before: str) -> None:
    now, was = report.total, report.previous
    with _question("Is it used?", "used") as (number, chart):
        with number:
            st.metric(
                "Turns",
                f"{now.turns:,}",
                _change(now.turns, was.turns),
                chart_data=figures.spark(report, lambda f: f.turns),
                **_against(was, before),
            )
            tokens = f"{now.input_tokens:,} tokens in, {now.output_tokens:,} out"
            st.caption(f"{widgets.count(now.active_threads or 0, 'active thread')}  \n{tokens}")
        with chart:
            which = st.segmented_control(
                "Use in", list(USES), default="Turns", required=True, key="use", bind="query-params",
                label_visibility="collapsed",
            )  # fmt: skip
            if USES[which] == "turns":
                figure = figures.stacked(report, look, lambda f: f.turns, "turns")
            else:
                figure = figures.stacked(report, look, lambda f: f.input_tokens + f.output_tokens, "tokens")
            _chart(figure, f"used_{which}", f"{which} by backend")


def _liked(report: Report, look: figures.Look, before: str) -> None:
    now, was = report.total, report.previous
    with _question("Is it liked?", "liked") as (number, chart):
        with number:
            st.metric(
                "Thumbs that point up",
                _percent(now.satisfaction),
                _points(now.satisfaction, was.satisfaction),
                chart_data=figures.spark(report, lambda f: f.satisfaction),
                **_against(was, before),
            )
            st.caption(f"{now.up:,} up, {now.down:,} down")
            if now.counts.get("memories_recalled"):
                _remembered(report, before)
        with chart:
            if now.up + now.down:
                _chart(figures.thumbs(report, look), "liked", "Thumbs up and down")
            else:
                st.caption("No thumbs were given in this time.")


def _remembered(report: Report, before: str) -> None:
    """Of the memories that answers were told and somebody judged, the share that was right."""
    now, was = report.total, report.previous
    st.metric(
        "Memories that were right",
        _percent(now.remembered),
        _points(now.remembered, was.remembered),
        chart_data=figures.spark(report, lambda f: f.remembered),
        **({"delta_description": before} if was.memories_judged else {}),
        help="Memories that an answer was told, as coaches judge them in the details of answers.",
    )
    recalled = now.counts.get("memories_recalled", 0)
    st.caption(f"of {now.memories_judged:,} judged; {recalled:,} came to mind in answers")


def _cost(report: Report, look: figures.Look, before: str) -> None:
    now, was = report.total, report.previous
    with _question("What does it cost?", "cost") as (number, chart):
        with number:
            st.metric(
                "US dollars",
                _escape(shared.money(now.cost)),
                _change(now.cost, was.cost),
                delta_color="inverse",
                chart_data=figures.spark(report, lambda f: f.cost / 1_000_000),
                **_against(was, before),
                help="By the public prices of the models that answered; what a server of your own costs is not in it.",
            )
            a_turn = now.cost // now.turns
            st.caption(f"{_escape(shared.money(a_turn))} a turn")
        with chart:
            if now.cost:
                figure = figures.stacked(report, look, lambda f: f.cost / 1_000_000, "US dollars", ",.4f")
                _chart(figure, "cost", "Cost by backend")
            else:
                st.caption("Nothing that has a price answered in this time.")


# -- pieces -----------------------------------------------------------------------------------------


class _question:
    """A card: the question, its number left and its chart right."""

    def __init__(self, title: str, key: str) -> None:
        self.card = st.container(border=True, key=f"card_{key}")
        self.card.subheader(title, anchor=False)

    def __enter__(self) -> tuple[Any, Any]:
        number, chart = self.card.columns([2, 5], gap="medium")
        return number, chart

    def __exit__(self, *_: object) -> None:
        pass


def _chart(figure: go.Figure, key: str, alt: str) -> None:
    name = f"chart_{key}"
    st.plotly_chart(figure, key=name, config=CONFIG, alt=alt, on_select=partial(_zoom, name), selection_mode="box")


def _details(report: Report, labels: Mapping[str, str]) -> None:
    st.subheader("By backend", anchor=False)
    frame = pd.DataFrame(figures.table(report, labels))
    number = st.column_config.NumberColumn
    kinds = {c: number(format="%.2f s") for c in frame.columns if c.endswith(tuple(figures.DASHES))}
    kinds |= {c: number(format="localized") for c in ("Turns", "Failed", "Tokens in", "Tokens out")}
    kinds["Cost"] = number(format="$%.4f")
    kinds["Citations that hold"] = number(format="%.1f %%", help="Of the citations that could be checked")
    kinds["Citations checked"] = number(format="localized")
    st.dataframe(
        frame, hide_index=True, column_config=kinds, placeholder="\u2013", key="by_backend",
        alt="Figures by backend",
    )  # fmt: skip
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        minutes = int(report.step.total_seconds() // 60)
        step = f"{minutes} min" if minutes < 60 else f"{minutes // 60} h"
        now = shared.local(report.until).strftime("%H:%M:%S")
        st.caption(
            f"As of {now}, by itself every {EVERY:.0f} s; each bar or dot is {step}; draw over a chart to zoom",
            width="content",
        )
        st.download_button(
            "Download CSV", partial(figures.as_csv, report), f"metrics-{report.until:%Y%m%d-%H%M}.csv", "text/csv",
            icon=":material/download:", on_click="ignore", key="csv",
        )  # fmt: skip


def _against(was: Figures, before: str) -> dict[str, Any]:
    """What a change is against; nothing where there was no turn to compare with."""
    return {"delta_description": before} if was.turns else {}


def _arrived(f: Figures) -> float | None:
    return None if f.error_rate is None else 1 - f.error_rate


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share:.1%}"


def _points(now: float | None, was: float | None) -> str | int | None:
    """The change of a share, in percentage points."""
    if now is None or was is None:
        return None
    change = round(100 * (now - was), 1)
    return f"{change:+.1f} points" if change else 0


def _change(now: float | None, was: float | None) -> str | int | None:
    """The change in percent; None where there was nothing to compare with."""
    if not was or now is None:
        return None
    change = round(100 * (now - was) / was)
    return f"{change:+,} %" if change else 0


def _time(milliseconds: float | None) -> str:
    return "\u2013" if milliseconds is None else shared.seconds(milliseconds)


def _escape(text: str) -> str:
    return marks.plain(text)


page()
