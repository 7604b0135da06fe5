"""What answers, as cards: each backend with its state and a live test; endpoints are added and changed here.

Invariant: a key is named by its variable and never typed in, shown or kept; what stands in the open dialog
is kept nowhere until it is saved, and a test's outcome is shown only beside the very draft it was made of.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from coach_core.errors import BadSetting, CoachError
from coach_core.types import Actor, BackendInfo, Check, EndpointDraft, EndpointInfo, Fact, Trial, Vendor
from coach_core.ui import marks, shared, widgets
from pages import _dialog, _undo

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from coach_core.coach import Coach

STATES = {
    "ok": (":material/check_circle:", "green"),
    "warn": (":material/warning:", "orange"),
    "fail": (":material/error:", "red"),
}
KEYS = {"set": ("grey", "set"), "missing": ("orange", "missing"), "refused": ("red", "not sent there")}
OPEN = "_endpoint"  # what the open dialog holds
TABLES = ("texts", "values")


# -- the cards ---------------------------------------------------------------------------------------


def models(coach: Coach, actor: Actor, tags: Mapping[str, Sequence[str]]) -> dict[str, DeltaGenerator]:
    """The backends of the settings, then the endpoints; backend -> the place in its card for what a check found."""
    _undo.draw("settings")
    infos = coach.backends(actor)
    rows = {i.draft.name: i for i in coach.endpoints(actor)}
    wires = coach.endpoint_wires(actor)
    st.subheader("Models", anchor=False)
    places = {i.name: _card(coach, actor, i, tags.get(i.name, ())) for i in infos if i.name not in rows}
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Endpoints", anchor=False, width="content")
        st.button(
            "Add an endpoint", icon=":material/add:", key="add_endpoint", on_click=_begin, args=(coach, actor, None)
        )
    if not rows:
        some = ", ".join(v.label for v in coach.vendors(actor)[1:12:2])
        st.markdown(
            f":gray[Other vendors and servers of your own, several at once, each with its own key: {marks.plain(some)} "
            "and whatever speaks the same protocols.]"
        )
    for info in infos:
        if info.name in rows:
            places[info.name] = _card(coach, actor, info, tags.get(info.name, ()), rows[info.name], wires)
    return places


def _card(
    coach: Coach,
    actor: Actor,
    info: BackendInfo,
    tags: Sequence[str],
    row: EndpointInfo | None = None,
    wires: Mapping[str, str] | None = None,
) -> DeltaGenerator:
    with st.container(border=True, key=f"backend_{info.name}", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False):
            with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
                model = f" :gray[{marks.plain(info.model)}]" if info.model else ""
                st.markdown(f"**{marks.plain(info.label)}**{model}", width="content")
                for tag in tags:
                    st.badge(tag, color="blue")
                if row is None:
                    _key_badge(info, row)
            with st.container(horizontal=True, width="content", gap="xsmall", vertical_alignment="center", wrap=False):
                pressed = st.button(
                    "Test", icon=":material/network_check:", key=f"test_{info.name}", disabled=not info.ready,
                    help="Ask it one small question",
                )  # fmt: skip
                if row is not None:
                    _row_buttons(coach, actor, row)
        if row is not None and wires is not None:
            note = f" \u00b7 :orange[{marks.plain(row.note)}]" if row.note else ""
            where = f"{wires.get(row.draft.wire, row.draft.wire)} \u00b7 {row.host}"
            with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
                st.markdown(f":gray[:small[{marks.plain(where)}{note}]]", width="content")
                _key_badge(info, row)
        if pressed:
            with st.spinner(f"Asking {info.label}", show_time=True):
                st.session_state[f"_test_{info.name}"] = coach.test_backend(actor, info.name)
        place = st.empty()
        found: Trial | None = st.session_state.get(f"_test_{info.name}")
        if not info.ready:
            place.markdown(f":gray[{marks.plain(info.why)}]")
        elif found is not None:
            place.markdown(said(found))
    return place


def _key_badge(info: BackendInfo, row: EndpointInfo | None) -> None:
    if row is not None and row.key in KEYS:
        colour, state = KEYS[row.key]
        label = f"{marks.plain(row.draft.key_variable)} {state}" if row.draft.key_variable else "key missing"
        st.badge(label, color=colour, icon=":material/key:", help=row.why or None)  # type: ignore[arg-type]
    elif row is None and info.needs_key:
        key = "key or address set" if info.ready else "key missing"
        st.badge(key, color="grey" if info.ready else "orange", icon=":material/key:")


def _row_buttons(coach: Coach, actor: Actor, row: EndpointInfo) -> None:
    name = row.draft.name
    st.button(
        "Edit", icon=":material/edit:", type="tertiary", key=f"edit_endpoint_{name}", help=f"Change {name}",
        on_click=_begin, args=(coach, actor, row),
    )  # fmt: skip
    st.button(
        "Remove", icon=":material/delete:", type="tertiary", key=f"remove_endpoint_{name}", help=f"Remove {name}",
        on_click=_dialog.ask, args=("settings", "remove_endpoint", row),
    )  # fmt: skip


def said(check: Check, name: str = "") -> str:
    """One line of what a check or a test found, with what to mend; `name` goes before it."""
    icon, colour = STATES[check.state]
    took = check.milliseconds or 0
    told = isinstance(check, Trial) and check.state != "fail"  # it says itself how long it took
    time = f" :gray[{shared.seconds(took)}]" if took >= 1 and not told else ""
    mend = f"  \n{marks.plain(check.mend)}" if check.mend and check.state != "ok" else ""
    detail = check.detail if name else _sentence(check.detail)
    return f":{colour}[{icon}] {f'**{marks.plain(name)}** ' if name else ''}{marks.plain(detail)}{time}{mend}"


def _sentence(text: str) -> str:
    """With a capital, unless it begins with a host's name: that stays as it is written."""
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.isalpha() and first != "localhost" else text


# -- adding and changing -----------------------------------------------------------------------------


@dataclasses.dataclass
class _Form:
    """What the open dialog holds besides its widgets. A new `round` makes them all begin anew, from `begun`."""

    row: EndpointInfo | None
    vendor: str
    begun: EndpointDraft
    facts: Sequence[Fact]
    opened: int
    round: int
    name: str = ""
    suggested: str = ""
    listed: Sequence[str] = ()
    trial: tuple[EndpointDraft, Trial] | None = None

    def key(self, field: str) -> str:
        return f"endpoint_{field}_{self.round}"


@shared.safely
def _begin(coach: Coach, actor: Actor, row: EndpointInfo | None) -> None:
    blank = coach.vendors(actor)[-1]  # the last one is any other server
    begun = row.draft if row else _preset(blank, "")
    before: _Form | None = st.session_state.get(OPEN)
    number = before.round + 1 if before else 0
    st.session_state[OPEN] = _Form(row, "", begun, coach.endpoint_facts(actor), number, number, begun.name)
    _dialog.ask("settings", "edit_endpoint" if row else "new_endpoint")


def _preset(vendor: Vendor, name: str) -> EndpointDraft:
    return EndpointDraft(name, vendor.base_url, vendor.wires[0], vendor.key_variable, "", dict(vendor.profile))


def _free_name(coach: Coach, actor: Actor, vendor: Vendor) -> str:
    """A name for an endpoint of this vendor that is not taken: "groq", "groq-2" ..."""
    taken = {b.name for b in coach.backends(actor)}
    names = [vendor.name, *(f"{vendor.name}-{n}" for n in range(2, 100))] if vendor.base_url else []
    return next((n for n in names if n not in taken), "")


@st.dialog("Add an endpoint", icon=":material/hub:", width="medium", on_dismiss=_dialog.forget)
def new(coach: Coach, actor: Actor) -> None:
    _edit(coach, actor)


@st.dialog("Change an endpoint", icon=":material/hub:", width="medium", on_dismiss=_dialog.forget)
def change(coach: Coach, actor: Actor) -> None:
    _edit(coach, actor)


def _edit(coach: Coach, actor: Actor) -> None:
    form: _Form = st.session_state[OPEN]
    if form.row is None:
        _vendor(coach, actor, form)
    draft, wrong = _fields(coach, actor, form)
    form.name = draft.name
    outcome = st.container()
    with st.container(horizontal=True, vertical_alignment="center"):
        tip = "Correct what is marked first" if wrong else "Ask it one small question, before it is saved"
        test = st.button("Test", icon=":material/network_check:", key="endpoint_test", disabled=wrong, help=tip)
        st.space("stretch")
        if st.button("Cancel", key="endpoint_cancel"):
            _dialog.close()
        save = st.button("Save", type="primary", key="endpoint_save", disabled=wrong)
    with outcome:
        if test:
            with st.spinner("Asking it", show_time=True), _told():
                form.trial = (draft, coach.test_endpoint(actor, draft))
        if form.trial is not None and form.trial[0] == draft:
            st.markdown(said(form.trial[1]))
        if save:
            with _told():
                kept = coach.save_endpoint(actor, draft, form.row.id if form.row else None)
                _forget_checks(kept.draft.name)
                shared.tell_later(f"{kept.draft.name} is saved. It can answer from the next question on.", "success")
                _dialog.close()


@contextmanager
def _told() -> Generator[None]:
    """A CoachError raised inside is said where the button is, not behind the dialog."""
    try:
        yield
    except CoachError as error:
        st.error(marks.plain(error.sentence), icon=":material/error:")


def _vendor(coach: Coach, actor: Actor, form: _Form) -> None:
    known = {v.name: v for v in coach.vendors(actor)}
    chosen = st.selectbox(
        "Vendor or server", list(known), None, format_func=lambda n: known[n].label,
        placeholder="Choose one, and the fields are filled in", key=f"endpoint_vendor_{form.opened}",
    )  # fmt: skip
    if not chosen:
        return
    vendor = known[chosen]
    if chosen != form.vendor:
        own = form.name if form.name != form.suggested else ""
        form.suggested = _free_name(coach, actor, vendor)
        form.vendor, form.begun = chosen, _preset(vendor, own or form.suggested)
        form.round, form.listed, form.trial = form.round + 1, (), None
    if vendor.note:
        st.caption(marks.plain(vendor.note))


def _fields(coach: Coach, actor: Actor, form: _Form) -> tuple[EndpointDraft, bool]:
    """The draft as it stands in the dialog, and whether something in it cannot be read."""
    begun, wires = form.begun, coach.endpoint_wires(actor)
    left, right = st.columns([2, 3])
    name = left.text_input(
        "Name", begun.name, max_chars=40, key=form.key("name"), persist_state="session",
        disabled=form.row is not None, placeholder="small letters, digits, - _ .",
        help="What threads, personas and settings call it; it stays." if form.row is None else "It stays.",
    )  # fmt: skip
    base_url = right.text_input(
        "Address", begun.base_url, key=form.key("base_url"), placeholder="https://host/v1", persist_state="session",
        help="The base URL. What a vendor's page shows as the target may be pasted as it is.",
    )  # fmt: skip
    wire = st.segmented_control(
        "Protocol", list(wires), default=begun.wire if begun.wire in wires else None, required=True,
        format_func=lambda w: wires[w].split()[0], key=form.key("wire"), persist_state="session", width="stretch",
    )  # fmt: skip
    left, right = st.columns(2)
    variable = left.text_input(
        "Variable that holds its key", begun.key_variable, max_chars=80, key=form.key("key_variable"),
        placeholder="empty: it wants no key", help="The key itself stands in the file .env, never here.",
        autocomplete="off", persist_state="session",
    )  # fmt: skip
    draft = EndpointDraft((name or "").strip(), base_url or "", wire or "", variable or "", "", begun.profile)
    with left:
        _key_state(coach, actor, draft)
    with right:
        model = _model(coach, actor, form, draft)
    profile, wrong = _facts(form, draft.wire)
    return dataclasses.replace(draft, model=model, profile=profile), wrong


def _key_state(coach: Coach, actor: Actor, draft: EndpointDraft) -> None:
    state, why = coach.endpoint_key(actor, draft)
    if state == "set":
        st.caption(":green[:material/check:] The key is there.")
    elif why and (draft.key_variable.strip() or draft.base_url.strip()):
        st.caption(f":orange[:material/key:] {marks.plain(why)}")


def _model(coach: Coach, actor: Actor, form: _Form, draft: EndpointDraft) -> str:
    """The name as it is typed, be it confirmed or not; what the server lists is chosen below it."""
    with st.container(horizontal=True, vertical_alignment="bottom", wrap=False):
        typed = st.text_input(
            "Model", form.begun.model, max_chars=200, key=form.key("model"), placeholder="Its name there",
            autocomplete="off", persist_state="session",
        )  # fmt: skip
        listing = st.button("List models", key="endpoint_models", help="Ask the server which it has", wrap=False)
    if listing:
        with st.spinner("Asking for its models", show_time=True), _told():
            form.listed = coach.list_models(actor, draft)
            if not form.listed:
                raise BadSetting("This server lists no models. Write the name as its vendor does.")
            st.rerun(scope="fragment" if shared.in_fragment() else "app")
    if form.listed:
        st.selectbox(
            "Models listed there", form.listed, None, key=form.key("listed"), label_visibility="collapsed",
            placeholder=f"{widgets.count(len(form.listed), 'model')} to choose from", on_change=_choose, args=(form,),
        )  # fmt: skip
    return (typed or "").strip()


def _choose(form: _Form) -> None:
    if chosen := st.session_state.get(form.key("listed")):
        st.session_state[form.key("model")] = chosen


def _facts(form: _Form, wire: str) -> tuple[dict[str, Any], bool]:
    """The facts that are stated: those that began so, and those that differ from what holds unsaid."""
    stated = form.begun.profile
    heeded = [f for f in form.facts if not f.wires or wire in f.wires]
    now: dict[str, Any] = {}
    with st.expander("What it takes", icon=":material/fact_check:", key=f"endpoint_facts_{form.vendor}"):
        plain = [f for f in heeded if f.kind not in TABLES]
        for some in ([f for f in plain if f.kind == "flag"], [f for f in plain if f.kind != "flag"]):
            columns = st.columns(2)
            for number, fact in enumerate(some):
                with columns[number % 2]:
                    now[fact.name] = _fact(form, fact, stated.get(fact.name, fact.default))
    wrong = False
    with st.expander("Headers, query, more fields, parameters", icon=":material/data_object:"):
        st.caption("As JSON. Secrets are refused: a key belongs into .env, and its variable's name above.")
        for fact in (f for f in heeded if f.kind in TABLES):
            value = _table(form, fact, stated.get(fact.name) or {})
            wrong = wrong or value is None
            now[fact.name] = stated.get(fact.name, {}) if value is None else value
    kept = {n: v for n, v in stated.items() if n not in now}  # what this protocol does not heed
    said = {
        f.name: now[f.name] for f in heeded if now[f.name] != f.default or (f.name in stated and f.kind not in TABLES)
    }
    return kept | said, wrong


def _fact(form: _Form, fact: Fact, value: Any) -> Any:
    key = form.key(fact.name)
    if fact.kind == "flag":
        return st.toggle(fact.label, bool(value), key=key, help=fact.help, persist_state="session")
    if fact.kind == "choice":
        index = fact.choices.index(value) if value in fact.choices else 0
        return st.selectbox(fact.label, fact.choices, index, key=key, help=fact.help, persist_state="session")
    if fact.kind == "number":
        return int(st.number_input(fact.label, 0, 64, int(value), 1, key=key, help=fact.help, persist_state="session"))
    return (
        st.text_input(fact.label, str(value), key=key, help=fact.help, max_chars=100, persist_state="session") or ""
    ).strip()


def _table(form: _Form, fact: Fact, value: Mapping[str, Any]) -> dict[str, Any] | None:
    """The table as it is typed; None while it cannot be read, with why below it."""
    shown = json.dumps(value, indent=2, ensure_ascii=False) if value else ""
    text = st.text_area(
        fact.label,
        shown,
        key=form.key(fact.name),
        help=fact.help,
        height=90,
        placeholder='{"name": "value"}',
        persist_state="session",
    )
    if not (text or "").strip():
        return {}
    try:
        typed = json.loads(text or "")
    except ValueError as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "this"
        st.caption(f':red[:material/error: This is not JSON, from {where} on. Write it like {{"name": "value"}}.]')
        return None
    if not isinstance(typed, dict):
        st.caption(':red[:material/error: This must be a table, like {"name": "value"}.]')
        return None
    return typed


# -- removing ----------------------------------------------------------------------------------------


@st.dialog("Remove an endpoint", icon=":material/delete:", on_dismiss=_dialog.forget)
def remove(coach: Coach, actor: Actor, row: EndpointInfo) -> None:
    draft = row.draft
    uses = coach.endpoint_uses(actor, draft.name)
    key = f" The key stays in {marks.plain(draft.key_variable)}." if row.key == "set" else ""
    st.markdown(f"**{marks.plain(draft.name)}** ({marks.plain(row.host)}) answers no more questions.{key}")
    if uses:
        st.warning(
            f"It is in use: {marks.plain('; '.join(uses))}. Another backend answers there, and says so.",
            icon=":material/warning:",
        )
    if _dialog.buttons("Remove", "really_remove_endpoint"):
        with shared.guard():
            coach.delete_endpoint(actor, row.id)
            _forget_checks(draft.name)
            again = partial(coach.save_endpoint, actor, draft)
            _undo.offer("settings", f"{marks.plain(draft.name)} was removed.", again)
            _dialog.close()


def _forget_checks(name: str) -> None:
    """What was found out about an endpoint as it was says nothing about it as it is."""
    st.session_state.pop(f"_test_{name}", None)
    st.session_state["_checks"] = [c for c in st.session_state.get("_checks") or () if c.name != name] or None
