"""Who a client is: the dialogs that add, change and delete one.

Invariant: deleting names what goes with the client, and is undone from the line that says so.
"""

from __future__ import annotations

import zoneinfo
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING, get_args

import streamlit as st

from coach_core.types import Actor, Client, ClientDraft, MemoryMode
from coach_core.ui import marks, shared, widgets
from pages import _dialog, _undo

if TYPE_CHECKING:
    from coach_core.coach import Coach

MODES: dict[MemoryMode, tuple[str, str]] = {
    "review": ("Ask me first", "What they say is proposed; it is remembered once you said yes."),
    "automatic": ("Remember by itself", "Kept at once. You can change or forget each of it later."),
    "off": ("Note nothing", "Nothing that is said from now on is noted."),
}
LOCALES = (
    "en-GB", "en-US", "en-IE", "en-CA", "en-AU", "de-DE", "de-AT", "de-CH", "es-ES", "es-MX", "es-AR",
    "zh-CN", "zh-TW", "zh-HK", "ar-EG", "ar-SA", "ar-AE", "fr-FR", "it-IT",
)  # fmt: skip


@st.dialog("New client", icon=":material/person_add:", width="medium", on_dismiss=_dialog.forget)
def _add(coach: Coach, actor: Actor) -> None:
    given = _fields(None)
    if _dialog.buttons("Add", "really_add_client", no="Cancel"):
        with shared.guard():
            made = coach.save_client(actor, given)
            widgets.go(client=str(made.id))
            _undo.offer("clients", f"{marks.plain(made.name)} is added. Begin with what they want now.")
            _dialog.close()


@st.dialog("Edit client", icon=":material/edit:", width="medium", on_dismiss=_dialog.forget)
def _edit(coach: Coach, actor: Actor, client: Client) -> None:
    given = _fields(client)
    if _dialog.buttons("Save", "really_save_client", no="Cancel"):
        with shared.guard():
            coach.save_client(actor, given, client.id)
            undo = partial(coach.save_client, actor, client.draft, client.id)
            _undo.offer("clients", f"{marks.plain(given.name.strip())} saved.", undo)
            _dialog.close()


def _fields(client: Client | None) -> ClientDraft:
    """The fields of a client, filled with what is known."""
    draft = client.draft if client else ClientDraft("")
    of = f"_{client.id}" if client else "_new"
    name = st.text_input("Name", draft.name, key=f"client_name{of}")
    style = st.text_area(
        "Preferred style (optional)", draft.style, height=70, key=f"client_style{of}",
        placeholder="Direct, with an example; no homework before Monday",
    )  # fmt: skip
    left, right = st.columns(2)
    lines = "One a line"
    values = left.text_area(
        "Values (optional)", "\n".join(draft.values), height=100, key=f"client_values{of}", placeholder=lines
    )
    limits = right.text_area(
        "To be respected (optional)", "\n".join(draft.constraints), height=100, key=f"client_limits{of}",
        placeholder="No calls on Friday\nDoes not want to speak of money",
    )  # fmt: skip
    mode = st.radio(
        "What they say in threads", list(MODES), index=list(MODES).index(draft.memory_mode), key=f"client_mode{of}",
        format_func=lambda m: MODES[m][0], captions=[MODES[m][1] for m in get_args(MemoryMode)],
    )  # fmt: skip
    left, right = st.columns(2)
    known = list(dict.fromkeys([*([draft.locale] if draft.locale else []), *LOCALES]))
    locale = left.selectbox(
        "Language and country (optional)", known, index=known.index(draft.locale) if draft.locale else None,
        key=f"client_locale{of}", accept_new_options=True, placeholder="en-GB",
        help="Help lines in a crisis are those of this country.",
    )  # fmt: skip
    zones = _zones()
    zone = right.selectbox(
        "Time zone (optional)", zones, index=zones.index(draft.time_zone) if draft.time_zone in zones else None,
        key=f"client_zone{of}", placeholder=str(shared.zone()),
    )  # fmt: skip
    upcoming = shared.local(draft.next_session).replace(tzinfo=None) if draft.next_session else None
    session = st.datetime_input(
        f"Next session (optional, {shared.zone()} time)", upcoming, key=f"client_session{of}", format="YYYY-MM-DD"
    )
    return ClientDraft(
        name=name,
        style=style.strip(),
        values=tuple(values.splitlines()),
        constraints=tuple(limits.splitlines()),
        locale=(locale or "").strip(),
        time_zone=zone or "",
        memory_mode=mode,
        next_session=in_zone(session),
    )


def in_zone(moment: datetime | None) -> datetime | None:
    """A time as it was typed, in the viewer's zone."""
    return moment.replace(tzinfo=shared.zone()) if moment else None


@cache
def _zones() -> list[str]:
    return sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone and not zone.startswith("Etc/"))


@st.dialog("Delete client", icon=":material/delete:", on_dismiss=_dialog.forget)
def _delete(coach: Coach, actor: Actor, client: Client) -> None:
    threads = len(coach.client_threads(actor, client.id))
    kept = coach.memories(actor, client.id)[1]
    noted = len(coach.session_notes(actor, client.id))
    memories = "1 memory" if kept == 1 else f"{kept:,} memories"
    st.markdown(
        f"**{marks.plain(client.name)}** goes from every list, with **{memories}** and "
        f"**{widgets.count(noted, 'session note')}**. Nothing of it comes to mind in any answer."
    )
    if threads:
        st.caption(f"{widgets.count(threads, 'thread')} about them can still be read on the page Threads.")
    st.caption("You can undo it at once, or later under Deleted clients.")
    if _dialog.buttons("Delete", "really_delete_client"):
        with shared.guard():
            coach.delete_client(actor, client.id)
            undo = partial(coach.restore_client, actor, client.id)
            _undo.offer("clients", f"{marks.plain(client.name)} deleted.", undo)
            widgets.go()
            _dialog.close()


DIALOGS = {"add": _add, "edit": _edit, "delete": _delete}
