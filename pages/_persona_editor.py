"""The editor of one persona: its fields left, trying it and its versions right.

Invariant: what is typed lives in the session under (persona, round) until it is saved or discarded;
every save is a new version, and restoring an old one is a save too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import streamlit as st

from coach_core import personas
from coach_core.errors import InputError
from coach_core.types import Actor, Persona, PersonaDraft, PersonaVersion
from coach_core.ui import marks, shared, widgets
from pages import _dialog, _hosted, _persona_options, _try, _undo, _uploads

if TYPE_CHECKING:
    from coach_core.coach import Coach

ICONS = (
    "psychology", "spa", "self_improvement", "favorite", "work", "trending_up", "groups", "forum",
    "school", "menu_book", "balance", "payments", "fitness_center", "restaurant", "bedtime", "explore",
    "lightbulb", "flag", "handshake", "support_agent", "pets", "travel", "palette", "rocket_launch",
)  # fmt: skip
DEFAULT = "Default of the settings"


def open_(slug: str) -> None:
    """Open the editor of `slug` ("new" for a new persona), or the cards with ""."""
    widgets.go(edit=slug) if slug else widgets.go()


def draw(coach: Coach, actor: Actor, persona: Persona | None) -> None:
    """The whole editor; `persona` is None for one that is not saved yet."""
    saved = persona.draft if persona else PersonaDraft("", icon=":material/psychology:")
    key = _key(persona)
    way_out = st.container()
    head = st.container(horizontal=True, vertical_alignment="center")
    _undo.draw("persona")
    _dialog.draw("persona", {"save": _save if persona else _first_save, "leave": _leave}, coach, actor)
    left, right = st.columns([3, 2], gap="large")
    with left:
        edited = _fields(coach, actor, saved, key, persona)
    with way_out:
        leave: dict[str, Any] = {"on_click": open_, "args": ("",)}
        if edited != saved:
            leave = {"on_click": _dialog.ask, "args": ("persona", "leave", persona, saved, edited)}
        st.button("All personas", icon=":material/arrow_back:", type="tertiary", **leave)
    with head:
        _head(coach, actor, persona, saved, edited)
    with right:
        if persona is None:
            _try.preview(coach, None, edited)
            st.caption("Save it once, then try it here.")
            return
        trial, versions = st.tabs(["Try it", "Versions"], key="side", on_change="rerun")
        if trial.open:
            with trial:
                _try.draw(coach, actor, persona, edited)
        if versions.open:
            with versions:
                _versions(coach, actor, persona)


def _key(persona: Persona | None) -> str:
    name = str(persona.id) if persona else "new"
    return f"{name}_{st.session_state.get(f'round_{name}', 0)}"


def _next_round(persona: Persona | None) -> None:
    name = str(persona.id) if persona else "new"
    st.session_state[f"round_{name}"] = st.session_state.get(f"round_{name}", 0) + 1


def _head(coach: Coach, actor: Actor, persona: Persona | None, saved: PersonaDraft, edited: PersonaDraft) -> None:
    changed = edited != saved
    st.title(marks.plain(edited.name or "New persona"), width="stretch")
    if persona:
        st.badge("Unsaved changes", color="orange", icon=":material/edit_note:") if changed else st.badge(
            f"Version {persona.version}, saved {widgets.ago(persona.updated_at)}",
            color="grey",
            help=shared.exact(persona.updated_at),
        )
    if changed and persona:
        st.button("Discard", icon=":material/undo:", on_click=_next_round, args=(persona,))
    save = ("persona", "save", persona, saved, edited)
    st.button(
        "Save", type="primary", icon=":material/save:", disabled=not changed, key="save_persona",
        on_click=_dialog.ask, args=save,
    )  # fmt: skip


@st.dialog("Save a new version", icon=":material/save:", width="medium", on_dismiss=_dialog.forget)
def _save(coach: Coach, actor: Actor, persona: Persona | None, saved: PersonaDraft, edited: PersonaDraft) -> None:
    st.caption("Changes: " + _changed(coach, actor, saved, edited))
    _save_form(coach, actor, persona, edited)


@st.dialog("Save the persona", icon=":material/save:", width="medium", on_dismiss=_dialog.forget)
def _first_save(coach: Coach, actor: Actor, persona: Persona | None, saved: PersonaDraft, edited: PersonaDraft) -> None:
    _save_form(coach, actor, persona, edited)


@st.dialog("Leave without saving?", icon=":material/edit_note:", on_dismiss=_dialog.forget)
def _leave(coach: Coach, actor: Actor, persona: Persona | None, saved: PersonaDraft, edited: PersonaDraft) -> None:
    st.markdown(f"What you changed is not saved: {marks.plain(_changed(coach, actor, saved, edited))}.")
    if _dialog.buttons("Discard", "really_leave", no="Keep editing"):
        _next_round(persona)
        open_("")
        _dialog.close()


def _changed(coach: Coach, actor: Actor, saved: PersonaDraft, edited: PersonaDraft) -> str:
    names = {c.id: c.name for c in coach.collections(actor)}
    return ", ".join(c.label.lower() for c in marks.changes(saved, edited, names)) or "its picture or parameters"


def _save_form(coach: Coach, actor: Actor, persona: Persona | None, edited: PersonaDraft) -> None:
    with st.form("save", border=False):
        note = st.text_input("What changed, and why (optional)", max_chars=200, key="save_note")
        if st.form_submit_button("Save", type="primary"):
            with shared.guard():
                _check(edited)
                kept = coach.save_persona(actor, edited, persona.id if persona else None, note.strip())
                _next_round(persona)
                open_(kept.slug)
                _undo.offer("persona", f"Saved as version {kept.version}.")
                _dialog.close()


def _check(draft: PersonaDraft) -> None:
    if not draft.name.strip():
        raise InputError("The persona has no name. Give it one, then save.")
    personas.check_parameters(draft.parameters)


def _fields(coach: Coach, actor: Actor, saved: PersonaDraft, key: str, persona: Persona | None) -> PersonaDraft:
    """The fields as they stand on the page, as a draft."""
    name = st.text_input(
        "Name", saved.name, max_chars=80, key=f"{key}_name", persist_state="session", live=True,
        on_change=_set, args=(f"{key}_typed", True),
    )  # fmt: skip
    if not name.strip() and st.session_state.get(f"{key}_typed"):
        st.caption(":red[A persona needs a name.]")
    icon, picture = _face(coach, actor, saved, key, persona)
    words = _words(saved, key)
    st.subheader("Model", anchor=False)
    backend, model, parameters = _model(coach, actor, saved, key)
    st.subheader("Documents and tools", anchor=False)
    collections = _documents(coach, actor, saved, key, persona)
    copies = st.container()
    tools = _tools(coach, actor, saved, key)
    edited = dataclasses.replace(
        saved,
        name=name.strip(),
        icon=icon,
        picture_id=picture,
        backend=backend,
        model=model,
        parameters=parameters,
        collections=collections,
        tools=tools,
        **words,
    )
    with copies:
        _hosted.draw(coach, actor, persona, edited)
    return edited


def _face(
    coach: Coach, actor: Actor, saved: PersonaDraft, key: str, persona: Persona | None
) -> tuple[str, UUID | None]:
    picture = st.session_state.get(f"{key}_picture", saved.picture_id)
    with st.container(horizontal=True, vertical_alignment="center"):
        icon = st.session_state.get(f"{key}_icon") or _bare(saved.icon)
        widgets.face(_picture(coach, actor, persona, picture), icon, 56)
        with st.popover("Icon", icon=":material/mood:"):
            options = list(dict.fromkeys([i for i in (_bare(saved.icon), *ICONS) if i]))
            st.pills(
                "Icon", options, default=_bare(saved.icon) or None, key=f"{key}_icon", persist_state="session",
                format_func=lambda i: f":material/{i}:", label_visibility="collapsed", width=280,
            )  # fmt: skip
        with st.popover("Picture", icon=":material/add_a_photo:"):
            given = st.file_uploader("Picture (PNG, JPEG or WebP)", ["png", "jpg", "jpeg", "webp"], key=f"{key}_photo")
            if given is not None and st.session_state.get(f"{key}_photo_is") != given.file_id:
                picture = coach.attach(actor, given.name, given.getvalue()).id
                st.session_state[f"{key}_photo_is"], st.session_state[f"{key}_picture"] = given.file_id, picture
                st.rerun()
        if picture is not None:
            st.button("No picture", type="tertiary", on_click=_set, args=(f"{key}_picture", None))
    chosen = st.session_state.get(f"{key}_icon")
    return (f":material/{chosen}:" if chosen and chosen != _bare(saved.icon) else saved.icon), picture


def _picture(coach: Coach, actor: Actor, persona: Persona | None, picture: UUID | None) -> bytes | None:
    """The picture on show: the persona's own, or one that was just given and is not saved yet."""
    if persona and picture == persona.draft.picture_id:
        return coach.picture(persona)
    return coach.file(actor, picture)[1] if picture else None


def _set(key: str, value: Any) -> None:
    st.session_state[key] = value


def _bare(icon: str) -> str:
    return icon.removeprefix(":material/").removesuffix(":")


def _words(saved: PersonaDraft, key: str) -> dict[str, Any]:
    def area(label: str, field: str, value: str, height: Any, **more: Any) -> str:
        return st.text_area(label, value, height, key=f"{key}_{field}", persist_state="session", **more) or ""

    instructions = area(
        "Instructions",
        "instructions",
        saved.instructions,
        320,
        help="What the model is told before every question. How to cite and to answer in the person's "
        "language is added by itself.",
    )
    greeting = area("Greeting", "greeting", saved.greeting, 80, help="The first words of a new thread.")
    empty = area("Sentence on an empty page", "empty", saved.empty_state, 68)
    starters = area(
        "Starters, one a line", "starters", "\n".join(saved.starters), 130, help="Offered before the first question."
    )
    lines = tuple(line.strip() for line in starters.splitlines() if line.strip())
    return {"instructions": instructions, "greeting": greeting, "empty_state": empty, "starters": lines}


def _model(coach: Coach, actor: Actor, saved: PersonaDraft, key: str) -> tuple[str, str, Mapping[str, Any]]:
    infos = {b.name: b for b in coach.backends(actor)}
    names = list(dict.fromkeys(["", *infos, saved.backend]))
    with st.container(horizontal=True):
        backend = st.selectbox(
            "Backend", names, names.index(saved.backend), key=f"{key}_backend", persist_state="session",
            format_func=lambda n: infos[n].label if n in infos else n or DEFAULT,
        )  # fmt: skip
        model = st.text_input(
            "Model", saved.model, placeholder="its default", key=f"{key}_model", persist_state="session"
        )
    if backend in infos and not infos[backend].ready:
        st.warning(infos[backend].why, icon=":material/warning:")
    return backend, (model or "").strip(), _persona_options.draw(saved.parameters, key)


def _tools(coach: Coach, actor: Actor, saved: PersonaDraft, key: str) -> tuple[str, ...]:
    known = list(dict.fromkeys([*coach.tool_names(actor), *saved.tools]))
    if not known:
        return saved.tools
    return tuple(st.multiselect("Tools", known, list(saved.tools), key=f"{key}_tools", persist_state="session"))


def _documents(coach: Coach, actor: Actor, saved: PersonaDraft, key: str, persona: Persona | None) -> tuple[UUID, ...]:
    """The collections that are chosen. An option's words never change with what is in the collection: the
    browser names its choice by them, and a choice that is not known any more would be dropped."""
    if persona is not None:
        _uploads.seen(coach, actor)
    groups = {c.id: c for c in coach.collections(actor)}
    there = [c for c in saved.collections if c in groups]
    field = f"{key}_collections"
    added = st.session_state.pop(f"{field}_added", None)
    if added is not None and added not in st.session_state.get(field, [added]):  # before the widget is drawn
        st.session_state[field] = [*st.session_state[field], added]
    chosen = st.multiselect(
        "Collections it reads", list(groups), there, key=field, persist_state="session",
        format_func=lambda c: groups[c].name if c in groups else "?", placeholder="None: it answers without documents",
    )  # fmt: skip
    if chosen:
        held = (f"{groups[c].name}: {widgets.count(groups[c].documents, 'document')}" for c in chosen)
        st.caption(marks.plain(" \u00b7 ".join(held)))
    if persona is not None:
        _upload(coach, actor, persona, field)
    return saved.collections if chosen == there else tuple(chosen)


def _upload(coach: Coach, actor: Actor, persona: Persona, field: str) -> None:
    into = partial(_own_collection, coach, actor, persona.id, field)
    _uploads.drop(f"Give {shared.escape(persona.name)} documents of its own", f"{field}_drop", into)
    own = _own(coach, actor, persona.name)
    look = 1.0 if _uploads.busy(coach, actor, own) else None
    st.fragment(_progress, run_every=look, key="uploads")(coach, actor, own)


def _progress(coach: Coach, actor: Actor, own: UUID | None) -> None:
    _uploads.progress(coach, actor, own)
    if shared.in_fragment():  # a whole run may hold a question for the trial, which must not be lost
        _uploads.refresh(coach, actor)


def _own(coach: Coach, actor: Actor, name: str) -> UUID | None:
    """The collection of the persona's name, if there is one."""
    return next((c.id for c in coach.collections(actor) if c.name.casefold() == name.casefold()), None)


def _own_collection(coach: Coach, actor: Actor, persona_id: UUID, field: str) -> UUID:
    """The collection of the persona's name, made when there is none, and read by the persona from now on."""
    persona = coach.persona(actor, persona_id)  # as it is now, not as it was when the page was drawn
    own = _own(coach, actor, persona.name)
    if own is None:
        own = coach.create_collection(actor, persona.name, f"Documents of {persona.name}").id
    if own not in persona.draft.collections:
        more = dataclasses.replace(persona.draft, collections=(*persona.draft.collections, own))
        coach.save_persona(actor, more, persona.id, "Documents of its own")
        st.session_state[f"{field}_added"] = own
    return own


def _versions(coach: Coach, actor: Actor, persona: Persona) -> None:
    versions = coach.persona_versions(actor, persona.id)
    past = {v.version: v for v in versions}
    names = {c.id: c.name for c in coach.collections(actor)}
    if len(versions) == 1:
        st.caption("One version so far. Each save adds one; compare and go back to any of them here.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        options = list(past)
        older = st.selectbox(
            "Compare", options, min(1, len(options) - 1), key="older", format_func=lambda n: f"Version {n}", width=150
        )
        newer = st.selectbox("with", options, key="newer", format_func=lambda n: f"Version {n}", width=150)
        how = st.segmented_control(
            "As", ["Inline", "Side by side"], default="Inline", required=True, key="diff_as",
            label_visibility="collapsed",
        )  # fmt: skip
    _diff(past[older].draft, past[newer].draft, names, how == "Side by side")
    st.subheader("History", anchor=False)
    for version in versions:
        _version(coach, actor, persona, version)


def _diff(old: PersonaDraft, new: PersonaDraft, names: Mapping[UUID, str], beside: bool) -> None:
    found = marks.changes(old, new, names)
    if not found:
        st.caption("These two do not differ.")
    for change in found:
        with st.container(border=True):
            st.caption(change.label)
            if beside:
                left, right = st.columns(2)
                a, b = marks.sides(change.before, change.after)
                left.markdown(a or ":gray[empty]")
                right.markdown(b or ":gray[empty]")
            else:
                st.markdown(marks.inline(change.before, change.after))


def _version(coach: Coach, actor: Actor, persona: Persona, version: PersonaVersion) -> None:
    with st.container(horizontal=True, vertical_alignment="center", wrap=False):
        who = f" by {version.created_by}," if version.created_by else ""
        note = f"  \n{marks.plain(version.note)}" if version.note else ""
        facts = marks.plain(f"{who} {shared.when(version.created_at)}")
        st.markdown(f"**Version {version.version}** :gray[{facts}]{note}", width="stretch")
        saved = f"Saved {shared.exact(version.created_at)}"
        if version.version == persona.version:
            st.badge("Current", color="blue", help=saved)
        else:
            act = partial(_restore, coach, actor, persona, version.version)
            st.button("Restore", icon=":material/history:", on_click=act, help=saved, key=f"restore_{version.version}")


def _restore(coach: Coach, actor: Actor, persona: Persona, version: int) -> None:
    with shared.guard():
        kept = coach.restore_persona(actor, persona.id, version)
        _next_round(persona)
        undo = partial(_restore, coach, actor, persona, persona.version)
        _undo.offer("persona", f"Version {version} is back, as version {kept.version}.", undo)
        open_(kept.slug)
