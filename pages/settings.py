"""Settings: what is connected, each setting with where it comes from, who uses the app, what was changed.

Invariant: no key is ever shown, only whether it is set; keys are set in the environment or .env alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast, get_args

import pandas as pd
import streamlit as st

from coach_core.access import require
from coach_core.types import Actor, Check, Role, User
from coach_core.ui import marks, shared, widgets
from pages import _dialog, _endpoints, _search_models

if TYPE_CHECKING:
    from coach_core.coach import Coach

TABS = ["Connections", "Values", "Profiles", "Log"]
GROUPS = {
    "Who answers": "backend fallback model openai_api_key openai_base_url local_model local_model_context",
    "Care": "care care_model care_country",
    "What goes with a question": "history_messages history_tokens summary_tokens summary_by passages memories "
    "context_deadline",
    "Models of search": "embedder embedder_key reranker reranker_key reranker_passages reranker_deadline",
    "An answer's limits": "answer_tokens temperature first_token_timeout token_timeout turn_timeout tool_rounds",
    "This server": "home database_url host port message_chars upload_mb log_level script",
}
STEPS = """\
**A model behind an API**

1. Make a key at the vendor, and write it into the file `.env` beside `app.py`: `OPENAI_API_KEY=...`.
2. Start the app again, come back here and press **Test**.

**Another vendor, a server of your own, or several of them**

1. Write its key, if it wants one, into `.env` under the name that **Add an endpoint** shows for it, or under any
   name such as `COACH_KEY_NAME=...`. The app need not be started again.
2. Press **Add an endpoint**, choose the vendor, and press **Test** before you save.

**A model on this machine, without any key**

1. Write `COACH_LOCAL_MODEL=/path/to/model.gguf` into `.env`; the name of a model on a hub works too.
2. Start the app again and press **Test** beside *Local model*; the first start takes a moment.

The backend under **Values** answers wherever a persona or a thread does not name its own.
"""
NAMES_A_BACKEND = ("backend", "fallback")


def page() -> None:
    with shared.guard():
        coach, actor = shared.coach(), shared.actor()
        require(actor, "settings")
        st.title("Settings")
        dialogs = {
            "change": _change,
            "change_model": _search_models.choose,
            "remove": _remove,
            "new_endpoint": _endpoints.new,
            "edit_endpoint": _endpoints.change,
            "remove_endpoint": _endpoints.remove,
        }
        _dialog.draw("settings", dialogs, coach, actor)
        draws = (_connections, _values, _profiles, _log)
        for tab, draw in zip(st.tabs(TABS, key="part", on_change="rerun", bind="query-params"), draws, strict=True):
            if tab.open:
                with tab:
                    draw(coach, actor)


# -- connections ------------------------------------------------------------------------------------


def _connections(coach: Coach, actor: Actor) -> None:
    tags: dict[str, list[str]] = {}
    tags.setdefault(coach.default_backend(), []).append("answers by default")
    tags.setdefault(coach.fallback_backend(), []).append("backup")
    places = _endpoints.models(coach, actor, tags)
    with st.expander("How to connect a model", icon=":material/cable:"):
        st.markdown(STEPS)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Everything else", anchor=False, width="content")
        again = st.button("Check everything", icon=":material/health_and_safety:")
    checks: Sequence[Check] | None = st.session_state.get("_checks")
    if again or checks is None:
        with st.spinner("Looking at the database, the documents and each model", show_time=True):
            st.session_state["_checks"] = checks = coach.doctor(actor)
    ready = {i.name for i in coach.backends(actor) if i.ready}
    for check in checks:
        if check.name not in places:
            st.markdown(_endpoints.said(check, check.name.replace("_", " ").capitalize()))
        elif check.name in ready and f"_test_{check.name}" not in st.session_state:
            places[check.name].markdown(_endpoints.said(check))


# -- values -----------------------------------------------------------------------------------------


def _values(coach: Coach, actor: Actor) -> None:
    st.caption(
        "A value comes from the first that has it: command line, environment, .env, secrets.toml, "
        "this page, default. Keys and addresses never come from this page."
    )
    rows = {name: (value, where) for name, value, where in coach.settings_view(actor)}
    about = coach.settings_help(actor)
    named = {n for names in GROUPS.values() for n in names.split()}
    groups = {**GROUPS, "More": " ".join(n for n in rows if n not in named)}
    for title, names in groups.items():
        present = [n for n in names.split() if n in rows]
        if present:
            st.subheader(title, anchor=False)
        for name in present:
            says, changeable = about.get(name, ("", False))
            _value(coach, actor, name, *rows[name], says, changeable)


def _value(coach: Coach, actor: Actor, name: str, value: str, where: str, says: str, changeable: bool) -> None:
    colour = "orange" if value == "missing" else "blue" if where != "default" else "grey"
    shown = f"**{_label(name)}** :{colour}-badge[{marks.plain(value) or 'none'}] :gray[:small[{marks.plain(where)}]]"
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, key=f"setting_{name}"):
        st.markdown(f"{shown}  \n:gray[:small[{marks.plain(says)}]]", width="stretch")
        wins = where not in {"default", "settings table"}
        tip = f"Set in the {where}, which wins over this page" if wins else f"Change {_label(name).lower()}"
        if changeable:
            own = value if where == "settings table" else ""
            st.button(
                "Change", icon=":material/edit:", type="tertiary", key=f"change_{name}", disabled=wins, help=tip,
                on_click=_dialog.ask,
                args=("settings", "change_model" if name in _search_models.NAMES else "change", name, own, value, says),
            )  # fmt: skip


@st.dialog("Change a setting", icon=":material/edit:", on_dismiss=_dialog.forget)
def _change(coach: Coach, actor: Actor, name: str, own: str, value: str, says: str) -> None:
    st.markdown(f"**{_label(name)}**  \n{marks.plain(says)}")
    with st.form("setting", border=False):
        if name in NAMES_A_BACKEND:
            given = _backend_choice(coach, actor, name, own)
            st.caption("It holds from the next question on.")
        else:
            given = st.text_input("Value", own, placeholder=value or "none", key="setting_value") or ""
            st.caption("Leave it empty to go back to the default. It holds from the next question on.")
        if st.form_submit_button("Save", type="primary"):
            with shared.guard():
                coach.change_setting(actor, name, given.strip())
                _dialog.close()


def _backend_choice(coach: Coach, actor: Actor, name: str, own: str) -> str:
    labels = {i.name: i.label + ("" if i.ready else " (not set up)") for i in coach.backends(actor)}
    nobody = "The default" if name == "backend" else "Nobody"
    options = list(dict.fromkeys(["", *labels, own]))
    return st.selectbox(
        "Value", options, options.index(own), format_func=lambda n: labels.get(n, f"{n} (removed)") if n else nobody,
        key="setting_value",
    )  # fmt: skip


def _label(name: str) -> str:
    words = name.replace("_", " ").replace("openai api", "API").replace("openai", "API").replace("url", "URL")
    words = f"{words.removesuffix(' mb')} (MB)" if words.endswith(" mb") else words
    return words[0].upper() + words[1:]


# -- profiles ---------------------------------------------------------------------------------------


def _profiles(coach: Coach, actor: Actor) -> None:
    st.caption("Local profiles without passwords, to try people and roles. Choose one at the bottom of the sidebar.")
    for user in coach.profiles():
        with st.container(horizontal=True, vertical_alignment="center", key=f"user_{user.id}"):
            st.markdown(f"**{marks.plain(user.name)}**", width="stretch")
            st.badge(user.role, color="blue" if user.id == actor.user_id else "grey")
            st.caption(f"since {widgets.ago(user.created_at)}", width="content", help=shared.exact(user.created_at))
            mine = user.id == actor.user_id
            st.button(
                "Remove", icon=":material/person_remove:", type="tertiary", key=f"remove_{user.id}", disabled=mine,
                help="The profile you are using" if mine else None, on_click=_dialog.ask,
                args=("settings", "remove", user),
            )  # fmt: skip
    with st.form("profile", clear_on_submit=True), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("New profile", max_chars=80, placeholder="Name", key="profile_name")
        role = st.selectbox("Role", [r for r in get_args(Role) if r != "owner"], 1)
        if st.form_submit_button("Add", icon=":material/person_add:", key="profile_add"):
            with shared.guard():
                coach.add_profile(actor, name, cast("Role", role))
                st.rerun()


@st.dialog("Remove profile", icon=":material/person_remove:", on_dismiss=_dialog.forget)
def _remove(coach: Coach, actor: Actor, user: User) -> None:
    st.markdown(f"**{marks.plain(user.name)}** ({user.role}) can no longer be chosen, and its threads with it.")
    if _dialog.buttons("Remove", "really_remove"):
        with shared.guard():
            coach.delete_profile(actor, user.id)
            _dialog.close()


# -- log --------------------------------------------------------------------------------------------


def _log(coach: Coach, actor: Actor) -> None:
    entries = coach.audit(actor)
    if not entries:
        with widgets.empty(":material/history:", "Nothing was changed yet", "Who changed what is kept here."):
            return
    frame = pd.DataFrame(
        {
            "When": [e.at for e in entries],
            "Who": [e.actor_name for e in entries],
            "Did": [e.action for e in entries],
            "To": [e.subject for e in entries],
        }
    )
    when = st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm:ss", timezone=str(shared.zone()))
    st.dataframe(frame, hide_index=True, column_config={"When": when}, alt="What was changed")


page()
