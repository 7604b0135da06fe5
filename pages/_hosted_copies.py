"""Hosted copies: the vector stores at APIs that hold a collection's documents, and what differs.

Invariant: whoever fills a store has read what leaves the building and to which host, before. Stores that are
not the app's are looked at and never touched.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from coach_core.types import Actor, Collection, HostedCopy, now
from coach_core.ui import marks, shared, widgets
from pages import _dialog

if TYPE_CHECKING:
    from coach_core.coach import Coach

LOOK_AGAIN = 2.0
SOON = timedelta(days=7)
OTHERS = "_hosted_others"  # (endpoint, the stores that lie there)


def draw(coach: Coach, actor: Actor, collection: Collection, writes: bool) -> None:
    places = coach.hosted_places(actor)
    copies = coach.hosted_copies(actor, collection.id)
    if not copies:
        say = "The app searches these documents itself. A copy in a vector store lets an API search them too."
        with widgets.empty(":material/cloud_off:", "No API holds these documents", say):
            _filling(collection, copies, places, writes)
            if writes and not places:
                st.page_link(
                    widgets.page("settings"), label="Connect an endpoint that keeps stores", query_params=widgets.link()
                )
    else:
        moving = any(not c.ready and not c.failed for c in copies)
        st.fragment(_copies, run_every=LOOK_AGAIN if moving else None, key="hosted_copies")(collection, writes)
        with st.container(horizontal=True):
            _filling(collection, copies, places, writes)
    if writes and places:
        _others(coach, actor, places)


def _filling(collection: Collection, copies: list[HostedCopy], places: dict[str, str], writes: bool) -> None:
    filled = {c.endpoint for c in copies if c.of_collection}
    for endpoint, host in places.items():
        if writes and endpoint not in filled:
            asked = ("knowledge", "fill", collection, endpoint, host)
            label, icon = f"Fill a store at {shared.escape(endpoint)}", ":material/cloud_upload:"
            st.button(label, icon=icon, key=f"fill_{endpoint}", on_click=_dialog.ask, args=asked)


def _copies(collection: Collection, writes: bool) -> None:
    with shared.guard():
        coach, actor = shared.coach(), shared.actor()
        for copy in coach.hosted_copies(actor, collection.id):
            with st.container(border=True, key=f"copy_{copy.endpoint}_{copy.key}", gap="xsmall"):
                _head(copy)
                _differences(copy)
                _until(copy)
                if writes:
                    _ways(collection, copy)


def _head(copy: HostedCopy) -> None:
    icon = ":green[:material/cloud_done:]" if copy.ready else ":material/cloud_sync:"
    whose = "filled from this collection" if copy.of_collection else f"the store of {marks.plain(copy.name)}"
    st.markdown(f"{icon} **{marks.plain(copy.host or copy.endpoint)}**, {whose}")
    facts = [f"{copy.there} of {widgets.count(copy.documents, 'document')} there"]
    facts += [f"the store takes up {widgets.size(copy.bytes)}"] if copy.bytes else []
    facts += [f"in step {shared.when(copy.synced_at)}"] if copy.synced_at else []
    st.caption(marks.plain(", ".join(facts)), help=shared.exact(copy.synced_at) if copy.synced_at else None)
    if copy.why:
        st.caption(marks.plain(copy.why))


def _differences(copy: HostedCopy) -> None:
    for what, icon, names in (
        ("missing there", "cloud_upload", copy.missing),
        ("changed here since", "sync_problem", copy.changed),
        ("there and not here any more", "cloud_off", copy.extra),
    ):
        if names:
            more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
            told = marks.plain(", ".join(names[:5]) + more)
            st.markdown(f":orange[:material/{icon}:] **{len(names):,} {what}:** {told}")
    for failure in copy.failed:
        again = f" It is tried again {marks.plain(shared.exact(failure.again))}." if failure.again else ""
        st.markdown(f":red[:material/error:] **{marks.plain(failure.name)}** {marks.plain(failure.why)}{again}")


def _until(copy: HostedCopy) -> None:
    if copy.expires_at is None:
        return
    day = shared.local(copy.expires_at).strftime("%-d %B %Y")
    say = f"Expires on {day} unless it is searched; the app then fills it anew."
    if copy.expires_at - now() < SOON:
        st.warning(say, icon=":material/event_busy:")
    else:
        st.caption(f":material/event: {say}", help=shared.exact(copy.expires_at))


def _ways(collection: Collection, copy: HostedCopy) -> None:
    key = f"{copy.endpoint}_{copy.key}"
    with st.container(horizontal=True, gap="xsmall"):
        label = "Look again now" if copy.ready else "Sync now"
        st.button(label, icon=":material/sync:", type="tertiary", key=f"sync_{key}", on_click=_soon)
        if copy.store:
            st.button(
                "Keep alive", icon=":material/update:", type="tertiary", key=f"alive_{key}",
                help="Stays for 30 days from today.", on_click=_alive, args=(copy,),
            )  # fmt: skip
        if copy.of_collection:
            with st.popover("Delete the store", icon=":material/delete:", type="tertiary"):
                st.markdown(f"The copies at **{marks.plain(copy.host)}** are deleted. The documents here stay.")
                st.button("Delete the store", key=f"drop_{key}", on_click=_drop, args=(collection, copy))
        else:
            st.page_link(
                widgets.page("personas"), label=":small[Say in its persona who searches]", query_params=widgets.link()
            )


@shared.safely
def _soon() -> None:
    shared.coach().hosted_soon(shared.actor())


@shared.safely
def _alive(copy: HostedCopy) -> None:
    shared.coach().keep_hosted_alive(shared.actor(), copy.endpoint, copy.key)


@shared.safely
def _drop(collection: Collection, copy: HostedCopy) -> None:
    shared.coach().drop_hosted(shared.actor(), collection.id, copy.endpoint)


@st.dialog("Fill a store", icon=":material/cloud_upload:", on_dismiss=_dialog.forget)
def _fill(coach: Coach, actor: Actor, collection: Collection, endpoint: str, host: str) -> None:
    documents = coach.documents(actor, collection.id)
    total = widgets.size(sum(d.size for d in documents))
    st.warning(
        f"**Whole documents leave this app's own machine.** It uploads the {widgets.count(len(documents), 'document')} "
        f"of **{marks.plain(collection.name)}** ({total}) to **{marks.plain(host)}** and keeps the copies in step: "
        "what is added, replaced or deleted here is so there. What its vendor does with them is a matter of "
        "your contract.",
        icon=":material/cloud_upload:",
    )
    if collection.licence:
        st.caption(f"Licence: {marks.plain(collection.licence)}")
    st.caption("Delete the store here, and the app deletes the copies there.")
    if _dialog.buttons("Upload them", "really_fill", no="Cancel", disabled=not documents):
        with shared.guard():
            coach.fill_hosted(actor, collection.id, endpoint)
            _dialog.close()


def _others(coach: Coach, actor: Actor, places: dict[str, str]) -> None:
    """What lies at the endpoints and is not the app's; asked for by a click alone."""
    with st.expander("Other stores at these endpoints", key="hosted_others", on_change="rerun"):
        st.caption("Stores that something else made. The app shows them and never changes them.")
        with st.container(horizontal=True):
            for endpoint in places:
                label = f"Look at {shared.escape(endpoint)}"
                st.button(
                    label, icon=":material/visibility:", key=f"others_{endpoint}", on_click=_look, args=(endpoint,)
                )
        if OTHERS not in st.session_state:
            return
        endpoint, stores = st.session_state[OTHERS]
        if not stores:
            st.markdown(f"There is no other store at **{marks.plain(endpoint)}**.")
            return
        frame = pd.DataFrame(
            [
                {
                    "Name": s.name or s.store,
                    "Files": s.files,
                    "Size": widgets.size(s.bytes),
                    "Made": s.created_at,
                    "Expires": "expired" if s.expired else shared.exact(s.expires_at) if s.expires_at else "never",
                }
                for s in stores
            ]
        )
        zone = str(shared.zone())
        columns = {"Made": st.column_config.DatetimeColumn(format="D MMM YYYY", timezone=zone)}
        st.dataframe(frame, hide_index=True, column_config=columns, alt="Other stores", key="hosted_others_table")


@shared.safely
def _look(endpoint: str) -> None:
    st.session_state[OTHERS] = (endpoint, shared.coach().hosted_others(shared.actor(), endpoint))


DIALOGS = {"fill": _fill}
