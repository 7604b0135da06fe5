"""The frame of every page: navigation by role, recent threads, the profile picker, one guard for errors.

Invariant: a page is offered only to a role that may open it (a link to another says why not), and
st.navigation has run before any page does. The default page is hidden and only leads on, because the
default page alone has no address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast, get_args

import streamlit as st
from streamlit.navigation.page import Page

from coach_core import access
from coach_core.errors import CoachError
from coach_core.types import Role, User
from coach_core.ui import shared

#: file in pages/, title, icon, the action that opens it
Entry = tuple[str, str, str, access.Action]

SECTIONS: Mapping[str, tuple[Entry, ...]] = {
    "Work": (
        ("chat", "Chat", ":material/forum:", "chat"),
        ("clients", "Clients", ":material/group:", "clients"),
        ("threads", "Threads", ":material/history:", "threads"),
    ),
    "Library": (
        ("knowledge", "Knowledge", ":material/local_library:", "knowledge.read"),
        ("personas", "Personas", ":material/person_heart:", "personas.write"),
    ),
    "Insight": (("live_metrics", "Live metrics", ":material/monitoring:", "metrics"),),
    "Setup": (("settings", "Settings", ":material/tune:", "settings"),),
}

#: pages of tables, which have more room than what is read line by line
WIDE = frozenset({"threads", "clients", "knowledge", "personas", "live_metrics"})


def pages_for(role: Role) -> dict[str, list[Entry]]:
    """The pages of each section that `role` may open and that there are."""
    offered = {
        section: [e for e in entries if access.allowed(role, e[3]) and (shared.PAGES / f"{e[0]}.py").is_file()]
        for section, entries in SECTIONS.items()
    }
    return {section: entries for section, entries in offered.items() if entries}


def run() -> None:
    st.set_page_config(
        page_title="Coach",
        page_icon=str(shared.STATIC / "img" / "mark.png"),
        initial_sidebar_state="auto",
    )
    st.html(shared.ROOT / "coach_core" / "ui" / "assets" / "app.css")
    st.logo(str(shared.STATIC / "img" / "logo.svg"), icon_image=str(shared.STATIC / "img" / "mark.png"))
    shared.notice_area()
    try:
        profiles = shared.coach().profiles()
        _take_profile_from_link(profiles)
        actor = shared.actor()
    except CoachError as error:
        st.navigation([st.Page(_nothing, title="Coach", default=True)])
        shared.show_error(error)
        return
    sections = {
        section: [
            st.Page(shared.PAGES / f"{name}.py", title=title, icon=icon, url_path=name) for name, title, icon, _ in e
        ]
        for section, e in pages_for(actor.role).items()
    }
    by_name = {page.url_path: page for pages in sections.values() for page in pages}

    def home() -> None:
        first = by_name.get("chat") or next(iter(by_name.values()), None)
        if first is None:
            st.info("There is no page for your role. Choose another profile at the bottom of the sidebar.")
            return
        st.switch_page(first, query_params=st.query_params.to_dict())

    hidden = st.Page(home, title="Coach", default=True, visibility="hidden", url_path="home")
    refused = [
        st.Page(_refusal(action, by_name), title=title, url_path=name, visibility="hidden")
        for entries in SECTIONS.values()
        for name, title, _, action in entries
        if not access.allowed(actor.role, action)
    ]
    page = st.navigation({"": [hidden, *refused], **sections})
    st.session_state["_pages"] = by_name
    if page is not hidden:  # said once a run: a run that is broken off leaves the page as wide as it was
        st.set_page_config(layout="wide" if page.url_path in WIDE else "centered")
        with st.sidebar:
            _threads(by_name)
            _profile_picker(profiles, actor.user_id)
    with shared.guard():
        page.run()


def _refusal(action: access.Action, by_name: Mapping[str, Page]) -> Callable[[], None]:
    """What stands in the place of a page that the role may not open: why, and the way to one that it may."""

    def refuse() -> None:
        with shared.guard():
            access.require(shared.actor(), action)
        for first in list(by_name.values())[:1]:
            st.page_link(first, label=f"Go to {first.title}", icon=first.icon, query_params=_only_profile())

    return refuse


def _nothing() -> None:
    """The only page while the Coach cannot be opened; the reason stands above it."""


def _threads(by_name: Mapping[str, Page]) -> None:
    chat = by_name.get("chat")
    if chat is None:
        return
    if st.button("New chat", icon=":material/edit_square:", width="stretch", key="new_chat"):
        st.session_state.pop("_thread_id", None)
        st.switch_page(chat, query_params=_only_profile())
    with shared.guard():
        recent = shared.coach().recent(shared.actor(), limit=12)
        names = {p.id: p.name for p in shared.coach().personas(shared.actor())} if recent else {}
        if not recent:
            return
        with st.container(key="recent", gap=None):
            st.caption("Recent")
            for thread in recent:
                persona = names.get(thread.persona_id, "a former persona")
                current = st.query_params.get("thread") == str(thread.id)
                with st.container(key="recent-current" if current else f"recent-{thread.id}", gap=None):
                    st.page_link(
                        chat,
                        label=shared.escape(_short(thread.title or "Untitled")),
                        icon="",
                        help=f"{shared.escape(persona)}, {shared.exact(thread.updated_at)}",
                        query_params={"thread": str(thread.id), **_only_profile()},
                        width="stretch",
                    )
                    st.caption(f"{shared.escape(persona)} · {shared.when(thread.updated_at)}")


def _short(title: str) -> str:
    return title if len(title) <= 60 else f"{title[:57].rstrip()}…"


# -- who acts ------------------------------------------------------------------------------------------


def _take_profile_from_link(profiles: list[User]) -> None:
    """`?profile=NAME` names who acts, so that a reload or a second tab does not become the owner."""
    chosen = st.session_state.get("_profile_id")
    name = st.query_params.get("profile", "")
    for user in profiles:
        if chosen is None and name and user.name == name:
            shared.choose_profile(user)
        elif user.id == chosen and user.name != name and user.id != shared.coach().owner().user_id:
            st.query_params["profile"] = user.name  # links of the navigation do not carry it


def _only_profile() -> dict[str, str]:
    name = st.query_params.get("profile", "")
    return {"profile": name} if name else {}


def _profile_picker(profiles: list[User], current: object) -> None:
    with st.container(key="profile", gap="small"):
        by_id = {user.id: user for user in profiles}
        me = by_id.get(current) if current in by_id else None  # type: ignore[call-overload]
        label = f"{shared.escape(me.name)} · {me.role}" if me else "Profile"
        with st.popover(label, icon=":material/account_circle:", width="stretch", help="Who you are here"):
            for user in profiles:
                st.button(
                    f"{shared.escape(user.name)} · {user.role}",
                    key=f"profile-{user.id}",
                    type="tertiary",
                    icon=":material/check:" if user.id == current else ":material/person:",
                    on_click=_switch_to,
                    args=(user,),
                )
            if shared.may("profiles"):
                _add_profile()


def _switch_to(user: User) -> None:
    shared.choose_profile(user)
    st.session_state.pop("_thread_id", None)
    st.query_params.clear()
    if user.id != shared.coach().owner().user_id:
        st.query_params["profile"] = user.name


def _add_profile() -> None:
    with st.form("add_profile", border=False, clear_on_submit=True, enter_to_submit=True):
        st.caption("Add a profile")
        name = st.text_input("Name", max_chars=80, label_visibility="collapsed", placeholder="Name")
        roles = [role for role in get_args(Role) if role != "owner"]
        role = st.selectbox("Role", roles, index=roles.index("coach"), label_visibility="collapsed")
        if st.form_submit_button("Add", icon=":material/add:"):
            with shared.guard():
                user = shared.coach().add_profile(shared.actor(), name, cast("Role", role))
                shared.tell_later(f"{user.name} was added. Choose the profile at the bottom of the sidebar.", "success")
                st.rerun()


if __name__ == "__main__":
    run()
