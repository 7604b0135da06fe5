"""Endpoints: where models are served, as admins list, test and remove them.

Invariant: a row names the variable of its key; the value goes from the settings into the request's header,
is sent only where `key_of` allows, and stands in no page, log, row, audit entry or error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from coach_core import access, personas
from coach_core.backends import BACKENDS, Endpoint, facts, vendors
from coach_core.coach import trial
from coach_core.coach.base import Base
from coach_core.coach.parts import Row
from coach_core.errors import BadSetting, CoachError, InputError
from coach_core.settings import OWN_KEY, Settings
from coach_core.store import Database
from coach_core.store import endpoints as rows
from coach_core.store import personas as persona_rows
from coach_core.types import Actor, EndpointDraft, EndpointInfo, Fact, KeyState, Trial, Vendor, clean_text

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_TAKEN = frozenset(BACKENDS) | {"default", "auto", "none"}


class Endpoints(Base):
    def vendors(self, actor: Actor) -> list[Vendor]:
        """Known vendors and servers: what a new endpoint may begin with."""
        access.require(actor, "settings")
        return list(vendors.VENDORS)

    def endpoint_facts(self, actor: Actor) -> list[Fact]:
        """What can be stated of an endpoint besides its address, key and model."""
        access.require(actor, "settings")
        return list(facts.FACTS)

    def endpoint_wires(self, actor: Actor) -> dict[str, str]:
        """wire -> label of the protocols that an endpoint may speak."""
        access.require(actor, "settings")
        return vendors.wires()

    def endpoints(self, actor: Actor) -> list[EndpointInfo]:
        access.require(actor, "settings")
        return [_info(self.settings, record) for record in rows.list_endpoints(self._db)]

    def endpoint(self, actor: Actor, name: str) -> EndpointInfo:
        """The endpoint by its name. Raises InputError."""
        there = self.endpoints(actor)
        for info in there:
            if info.draft.name == name:
                return info
        names = ", ".join(i.draft.name for i in there) or "none yet"
        raise InputError(f"There is no endpoint called {name!r}. There are: {names}.")

    def endpoint_key(self, actor: Actor, draft: EndpointDraft) -> tuple[KeyState, str]:
        """Whether the key that `draft` names is there and may be sent to its address; if not, why; why
        it would not help where nothing answers any more."""
        access.require(actor, "settings")
        base_url = vendors.tidy(draft.base_url)[0]
        if off := vendors.switched_off(draft.wire, base_url):
            return "none", off
        state, _, why = key_of(self.settings, draft.key_variable.strip(), base_url)
        return state, why

    def save_endpoint(self, actor: Actor, draft: EndpointDraft, endpoint_id: UUID | None = None) -> EndpointInfo:
        """Add an endpoint, or change the one with `endpoint_id`; it holds from the next question on."""
        access.require(actor, "settings")
        draft = checked(self.settings, draft)
        before = next((r for r in rows.list_endpoints(self._db) if r.id == endpoint_id), None)
        if before is not None and before.name != draft.name:
            raise BadSetting(
                "The name stays: threads, personas and settings call the endpoint by it. Add another one instead."
            )
        saved = rows.save(
            self._db,
            draft.name,
            draft.base_url,
            draft.wire,
            key_variable=draft.key_variable,
            model=draft.model,
            profile=draft.profile,
            endpoint_id=endpoint_id,
        )
        if before is not None and (before.base_url, before.wire) != (saved.base_url, saved.wire):
            rows.forget_state(self._db, f"{before.wire}@{before.name}")
        self._note(actor, "endpoint.save", draft.name, asdict(_draft(before)) if before else {}, asdict(draft))
        return _info(self.settings, saved)

    def delete_endpoint(self, actor: Actor, endpoint_id: UUID) -> None:
        """Take it off the list. What names it falls back by routing, with a notice."""
        access.require(actor, "settings")
        before = next((r for r in rows.list_endpoints(self._db) if r.id == endpoint_id), None)
        if before is None:
            raise BadSetting("That endpoint does not exist any more. Reload the page.")
        rows.delete(self._db, endpoint_id)
        rows.forget_state(self._db, f"{before.wire}@{before.name}")
        self._note(actor, "endpoint.delete", before.name, asdict(_draft(before)), {})

    def endpoint_uses(self, actor: Actor, name: str) -> list[str]:
        """What names this endpoint now, each as a few words."""
        access.require(actor, "settings")
        uses = []
        if self.settings.backend == name:
            uses.append("it answers by default")
        if self.settings.fallback == name:
            uses.append("it is the backup")
        if named := [p.name for p in persona_rows.list_personas(self._db) if p.draft.backend == name]:
            uses.append(f"{'the personas' if len(named) > 1 else 'the persona'} {', '.join(named)}")
        if threads := rows.threads_on(self._db, name):
            uses.append(f"{threads:,} thread{'' if threads == 1 else 's'}")
        if held := self._hosted.held(name):
            copies = f"copies of {held:,} document{'' if held == 1 else 's'}"
            uses.append(f"{copies} that it searches (switch its personas' search back first)")
        return uses

    def test_endpoint(self, actor: Actor, draft: EndpointDraft) -> Trial:
        """One small live question to an endpoint that need not be saved."""
        access.require(actor, "settings")
        draft = checked(self.settings, replace(draft, name=draft.name or "new"))
        endpoint = self._endpoint(draft)
        if isinstance(endpoint, str):
            return Trial(draft.name, "fail", endpoint, error="missing_key", model=draft.model)
        backend = self.parts.build(draft.wire, endpoint)
        try:
            return trial.call(
                draft.name,
                backend,
                parameters=trial.parameters(self.settings.temperature, draft.profile),
                key_variable=draft.key_variable,
            )
        finally:
            backend.close()

    def list_models(self, actor: Actor, draft: EndpointDraft) -> list[str]:
        """The models that the server says it has, by name. Raises CoachError."""
        access.require(actor, "settings")
        draft = checked(self.settings, replace(draft, name=draft.name or "new"))
        endpoint = self._endpoint(draft)
        if isinstance(endpoint, str):
            raise BadSetting(endpoint)
        backend: Any = self.parts.build(draft.wire, endpoint)
        try:
            return sorted(backend.models())
        finally:
            backend.close()

    def _endpoint(self, draft: EndpointDraft) -> Endpoint | str:
        """The endpoint that `draft` describes, with its key; or the sentence that says why there is none."""
        _, key, why = key_of(self.settings, draft.key_variable, draft.base_url)
        # without a name: what is tried out must find nothing that was made for the saved one, nor leave anything
        if vendors.switched_off(draft.wire, draft.base_url):
            why = ""  # no key would help: the backend says so itself
        return why or Endpoint("", draft.base_url, key, draft.model, draft.profile, draft.key_variable)


def rows_of(settings: Settings, db: Database, name: str = "") -> list[Row]:
    """The endpoints listed now, or the one called `name`, each with its key and what keeps it from answering."""
    found: list[Row] = []
    for record in [r for r in [rows.get(db, name)] if r] if name else rows.list_endpoints(db):
        _, key, why = key_of(settings, record.key_variable, record.base_url)
        if fault := _fault(record.wire, record.base_url, json.dumps(dict(record.profile))):
            key, why = "", fault
        variable = record.key_variable
        if off := vendors.switched_off(record.wire, record.base_url):
            why, variable = off, ""
        endpoint = Endpoint(record.name, record.base_url, key, record.model, record.profile, record.key_variable)
        found.append(Row(record.wire, endpoint, why, variable))
    return found


def key_of(settings: Settings, name: str, base_url: str) -> tuple[KeyState, str, str]:
    """(state, the key, why there is none) of the key under the variable `name` for the server at `base_url`."""
    if not name:
        wanted = next((v for v in vendors.VENDORS if vendors.host(base_url) in v.hosts), None)
        if wanted is not None:
            return "missing", "", f"This server wants a key: name its variable, such as {wanted.key_variable}."
        return "none", "", ""
    try:
        settings.check_key_name(name)
        own_server = name == OWN_KEY and vendors.origin(settings.openai_base_url) == vendors.origin(base_url)
        if not own_server and (why := vendors.leads_away(name, base_url)):
            return "refused", "", why
        value = settings.secret(name)
    except CoachError as error:
        return "refused", "", error.sentence
    if not value:
        return "missing", "", f"No key is set. Put {name}=... into the file .env."
    return "set", value, ""


def checked(settings: Settings, draft: EndpointDraft) -> EndpointDraft:
    """`draft` as it may be saved, the address taken apart. Raises BadSetting or InputError with what to change."""
    name, model, key_variable = (clean_text(t).strip() for t in (draft.name, draft.model, draft.key_variable))
    base_url, query = vendors.tidy(clean_text(draft.base_url))
    stated = draft.profile.get("query")
    if query:  # what was pasted last is meant
        stated = {**stated, **query} if isinstance(stated, Mapping) else query
    profile = _without_empty({**draft.profile, "query": stated})
    everything = json.dumps([name, model, base_url, key_variable, profile], ensure_ascii=False, default=str)
    if settings.holds_secret(everything) or any(facts.secret_in(t) for t in (name, model, key_variable)):
        raise BadSetting(
            "A key stands where its variable's name belongs. Put the key into .env as COACH_KEY_NAME=... and "
            "write that name here."
        )
    if not _NAME.fullmatch(name):
        raise BadSetting("The name needs 1 to 40 small letters, digits, - _ or . and begins with a letter or digit.")
    if name in _TAKEN:
        raise BadSetting(f"{name} is a name of the app's own. Choose another.")
    if len(model) > 200 or not model.isprintable():
        raise BadSetting("The model's name is too long or cannot be read. Copy it from its vendor.")
    _usable(draft.wire, base_url, profile)
    if key_variable:
        state, _, why = key_of(settings, key_variable, base_url)
        if state == "refused":
            raise BadSetting(why)
    return EndpointDraft(name, base_url, draft.wire, key_variable, model, profile)


@lru_cache(256)
def _fault(wire: str, base_url: str, profile: str) -> str:
    """Why no backend can be made of a row that an older version or a hand has written; asked at each turn."""
    try:
        _usable(wire, base_url, json.loads(profile))
    except CoachError as error:
        return error.sentence
    return ""


def _usable(wire: str, base_url: str, profile: Mapping[str, Any]) -> None:
    """Raise BadSetting or InputError unless a backend can be made of it."""
    if wire not in vendors.wires():
        raise BadSetting(f"Choose a protocol: one of {', '.join(vendors.wires())}.")
    vendors.check_address(base_url)
    facts.check(profile)
    personas.check_parameters(profile.get("parameters") or {})


def _without_empty(profile: Mapping[str, Any]) -> dict[str, Any]:
    """Tables that are empty say nothing."""
    return {name: value for name, value in profile.items() if value != {} and value is not None}


def _draft(record: rows.EndpointRecord) -> EndpointDraft:
    return EndpointDraft(
        record.name, record.base_url, record.wire, record.key_variable, record.model, dict(record.profile)
    )


def _info(settings: Settings, record: rows.EndpointRecord) -> EndpointInfo:
    state, _, why = key_of(settings, record.key_variable, record.base_url)
    why = vendors.switched_off(record.wire, record.base_url) or why
    note = "http: what is said travels unencrypted" if vendors.in_clear(record.base_url) else ""
    return EndpointInfo(record.id, _draft(record), state, why, vendors.host(record.base_url), note)
