"""What every page needs: the Coach, the Actor, one way to draw errors, times in the viewer's zone.

Invariant: one Coach a process, opened by the first who asks and closed by the server's lifespan. A page
never makes an Actor itself; it comes from the profile chosen in the sidebar. A CoachError reaches the
person as its sentence at the top of the page, once, and never as a traceback.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from coach_core import access
from coach_core.errors import CoachError, ProfileNotFound
from coach_core.types import Actor, User, now
from coach_core.ui import markdown

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from coach_core.coach import Coach

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "pages"
STATIC = ROOT / "static"

#: The colours of [theme.light] and [theme.dark] in .streamlit/config.toml, for charts that ignore the theme.
_PALETTE = "theme.{}.chartCategoricalColors"

_P = ParamSpec("_P")
_R = TypeVar("_R")
_log = logging.getLogger(__name__)
_lock = threading.Lock()
_coach: Coach | None = None


def make_coach() -> Coach:
    """Build the Coach from the settings: the one factory, which tests replace."""
    from coach_core.coach import Coach

    return Coach.from_settings()


def coach() -> Coach:
    """The one Coach of this process."""
    global _coach
    with _lock:
        if _coach is None:
            _coach = make_coach()
        return _coach


def close_coach() -> None:
    """Let the Coach go, with all it started; a later `coach()` opens a new one."""
    global _coach
    with _lock:
        closing, _coach = _coach, None
    if closing is not None:
        closing.close()


def actor() -> Actor:
    """Who acts in this session: the profile chosen in the sidebar, else the owner."""
    chosen = st.session_state.get("_profile_id")
    if chosen is not None:
        try:
            return _here(coach().actor_for(chosen))
        except ProfileNotFound:
            del st.session_state["_profile_id"]
    return _here(coach().owner())


def _here(actor: Actor) -> Actor:
    """The actor with what the browser says of language and country."""
    return replace(actor, locale=str(st.context.locale or ""))


def choose_profile(user: User) -> None:
    st.session_state["_profile_id"] = user.id


def may(action: access.Action) -> bool:
    """Whether this session's role has `action`; for showing a control, never instead of the check behind it."""
    return access.allowed(actor().role, action)


# -- errors --------------------------------------------------------------------------------------------


def notice_area() -> None:
    """Set aside the place at the top where errors and short news of this run are drawn; main.py calls it."""
    st.session_state["_notice_area"] = st.container(key="notices")
    st.session_state["_shown"] = set()
    for kind, sentence in st.session_state.pop("_later", []):
        _draw_notice(kind, sentence)


def show_error(error: CoachError) -> None:
    """Draw the error's sentence at the top of the page; a second time in the same run it is not repeated."""
    _draw_notice("error", error.sentence)


def tell(sentence: str, kind: str = "info") -> None:
    """Draw a sentence (info, warning, success or error) at the top of the page, in this run."""
    _draw_notice(kind, sentence)


def tell_later(sentence: str, kind: str = "info") -> None:
    """As `tell`, but in the next run: for callbacks, and before st.rerun() or st.switch_page()."""
    st.session_state.setdefault("_later", []).append((kind, sentence))


@contextmanager
def guard() -> Generator[None]:
    """Draw a CoachError raised inside at the top of the page, and go on after the block."""
    try:
        yield
    except CoachError as error:
        _log.info("%s: %s", error.kind, error.sentence)
        show_error(error)


def safely(function: Callable[_P, _R]) -> Callable[_P, _R | None]:
    """For widget callbacks: a CoachError raised inside is drawn at the top of the run that follows."""

    @wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R | None:
        try:
            return function(*args, **kwargs)
        except CoachError as error:
            _log.info("%s: %s", error.kind, error.sentence)
            tell_later(error.sentence, "error")
            return None

    return wrapper


def _draw_notice(kind: str, sentence: str) -> None:
    area: DeltaGenerator | None = st.session_state.get("_notice_area")
    shown: set[str] = st.session_state.setdefault("_shown", set())
    if area is None or in_fragment():
        area = st.container()
    elif sentence in shown:
        return
    shown.add(sentence)
    icons = {"error": ":material/error:", "warning": ":material/warning:", "success": ":material/check:"}
    draw = {"error": area.error, "warning": area.warning, "success": area.success}.get(kind, area.info)
    draw(escape(sentence), icon=icons.get(kind, ":material/info:"))


def in_fragment() -> bool:
    """Whether a fragment alone is run, not the whole page."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and bool(context.fragment_ids_this_run)


def escape(text: str) -> str:
    """`text` as Markdown that shows it literally: for names, titles and sentences within labels."""
    apart = markdown.unswapped(text)
    return "".join(f"\\{c}" if c in r"\`*_{}[]<>()#+-!|$~:" else c for c in apart).replace("\n", " ")


# -- times, numbers, colours ---------------------------------------------------------------------------


def zone() -> ZoneInfo:
    """The viewer's time zone as the browser names it, else UTC."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def local(moment: datetime) -> datetime:
    return moment.astimezone(zone())


def exact(moment: datetime) -> str:
    """The whole time with its zone: for the hover."""
    return local(moment).strftime("%-d %B %Y, %H:%M:%S %Z")


def when(moment: datetime) -> str:
    """The time as a person would say it; give `exact(moment)` on hover."""
    here, today = local(moment), local(now())
    age = today - here
    if age < timedelta(seconds=60):
        return "just now"
    if age < timedelta(hours=1):
        return f"{int(age.total_seconds() // 60)} min ago"
    if here.date() == today.date():
        return here.strftime("%H:%M")
    if here.date() == today.date() - timedelta(days=1):
        return here.strftime("yesterday, %H:%M")
    if here.year == today.year:
        return here.strftime("%-d %b, %H:%M")
    return here.strftime("%-d %b %Y")


def day(moment: datetime) -> str:
    """The day meant, past or to come: today, tomorrow, 24 Nov."""
    here, today = local(moment).date(), local(now()).date()
    near = {0: "today", 1: "tomorrow", -1: "yesterday"}.get((here - today).days)
    return near or here.strftime("%-d %b" if here.year == today.year else "%-d %b %Y")


def seconds(milliseconds: float) -> str:
    """A duration with its unit: 480 ms, 1.2 s, 2 min 5 s."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f} s"
    minutes, rest = divmod(round(milliseconds / 1000), 60)
    return f"{minutes} min {rest} s"


def money(micro_dollars: int) -> str:
    """Micro-dollars as dollars, with as many digits as it takes to see something."""
    dollars = micro_dollars / 1_000_000
    return (
        f"${dollars:.2f}"
        if dollars >= 1 or not micro_dollars
        else f"${dollars:.2g}"
        if dollars < 0.01
        else f"${dollars:.3f}"
    )


def dark() -> bool:
    return st.context.theme.type == "dark"


def colours() -> list[str]:
    """The theme's categorical colours in the viewer's theme, for plotly's colorway."""
    return list(st.get_option(_PALETTE.format("dark" if dark() else "light")) or [])
