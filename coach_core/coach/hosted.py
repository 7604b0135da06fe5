"""Documents that an API searches itself: whose they are, where they lie, and when they may be searched.

Invariant: nothing is sent anywhere but the documents of a persona whose parameter `search` (its own, else
its endpoint's) is "hosted", to the endpoint that answers for it, and of a collection that an admin fills a
store from, to the endpoint chosen. A store is searched only while it holds
exactly what the persona's collections hold at that moment; else the app's own search answers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from coach_core import access
from coach_core.backends import Backend, hosted
from coach_core.coach.base import Base
from coach_core.coach.hosted_sync import (
    FILE,
    LEFT,
    MARK,
    OF_COLLECTION,
    STORE,
    STORE_FILE,
    Sync,
    Tell,
    Wanted,
    document_of,
    is_due,
    key_of,
    later,
)
from coach_core.errors import BackendError, BadSetting, CoachError, DocumentNotFound, StoreError
from coach_core.knowledge.locate import locate
from coach_core.store import Database, collections, documents, hosted_stores, leases, personas, remotes
from coach_core.store.remotes import EndpointRemotes, RemoteObject
from coach_core.types import (
    Actor,
    BackendInfo,
    Check,
    Citation,
    HostedFailure,
    HostedState,
    Persona,
    PersonaDraft,
    new_id,
    now,
)

log = logging.getLogger(__name__)
EVERY = 5.0
_LEASE = "hosted"
_TROUBLE = "hosted_trouble"
#: How often a store that seems right is looked at; and how soon again when a search there has failed.
_LOOK = timedelta(hours=1)
_DOUBT = 60.0
_UNAVAILABLE = "{} cannot search documents at its API; the app's own search answers."


class Backends(Protocol):
    def get(self, name: str) -> Backend: ...
    def infos(self) -> Mapping[str, BackendInfo]: ...
    def parameters(self, name: str) -> Mapping[str, Any]: ...


class Hosted:
    """Built once by coach.py. `default` is the backend of personas that name none."""

    def __init__(self, db: Database, backends: Backends, default: Callable[[], str]) -> None:
        self._db = db
        self._backends = backends
        self._default = default
        self._doubts: dict[str, float] = {}  # store -> when a search in it failed
        self._looked: dict[str, float] = {}
        self._forced = threading.Event()

    # while a turn is made

    def stores(self, backend: str, persona: Persona) -> tuple[str, ...]:
        """The stores at that backend's API that hold what the persona reads; none where they are not in step."""
        info = self._backends.infos().get(backend)
        place = self._place(info) if info else None
        if info is None or place is None or persona.deleted_at is not None:
            return ()
        row = remotes.get(self._db, info.endpoint, STORE, str(persona.id))
        return (row.external_id,) if row and self.in_step(row, persona, place) else ()

    def unstored(self, backend: str, persona: Persona) -> str:
        """Why `stores` gives none, in a few words; "" where there is nothing to search."""
        info = self._backends.infos().get(backend)
        state = self.state(persona, backend)
        if info is None or state.ready or not state.documents:
            return ""
        if not state.endpoint:
            return "this server keeps no documents"
        if elsewhere := self._elsewhere(persona, info):
            return f"copies are kept for {elsewhere.name} only"
        if state.there < state.documents:
            return f"copies not complete yet, {state.there} of {state.documents}"
        return "copies are being brought in step"

    def unsearched(self, stores: Sequence[str]) -> None:
        """A search in these failed or found nothing: they are looked at before their time."""
        for store in stores:
            self._doubts[store] = time.monotonic()

    def resolve(self, endpoint: str, citation: Citation) -> Citation:
        """The citation of a hosted file as one of our own document, where it is known."""
        row = remotes.named(self._db, endpoint.rpartition("@")[2], FILE, citation.external_id)
        if row is None:
            return citation
        try:
            document = documents.get(self._db, document_of(row.key))
            ours = replace(
                citation, title=document.title, document_id=document.id, document_hash=row.key.partition(":")[2]
            )
            quote = citation.text or citation.quote
            found = locate(self._db, document.id, quote) if document.sha256 == ours.document_hash and quote else None
        except DocumentNotFound:
            return citation
        if found is None:
            return ours
        return replace(
            ours,
            text=found.text,
            chunk_id=found.chunk_id,
            section=found.section,
            page=found.page,
            row=found.row,
            start=found.start,
            end=found.end,
        )

    # in the background

    def run(self, pause: Callable[[float], bool], *, force: bool = False, tell: Tell | None = None) -> bool:
        """Do what there is to do, everywhere; False when another process is at it. Trouble is written down.

        `pause(seconds)` waits and says whether to stop; `force` tries again also what has to wait.
        """
        force = force or self._forced.is_set()
        self._forced.clear()
        if not self._work(force):
            return True
        with leases.held(self._db, _LEASE) as mine:
            for endpoint in self._work(force) if mine else ():  # another may have done it meanwhile
                self._sync(endpoint, pause, force, tell)
        return mine

    def soon(self) -> None:
        """Try everything again at the next look."""
        self._forced.set()

    def _work(self, force: bool) -> list[str]:
        """The endpoints where something is to be done now, by what is known here."""
        chosen = self._chosen()
        rows = {(r.endpoint, r.key): r for r in remotes.list_objects(self._db, kinds=[STORE])}
        troubles = {r.endpoint: r for r in remotes.list_objects(self._db, kinds=[_TROUBLE])}
        due = self._left_within_reach()
        for (endpoint, persona_id), (persona, place) in chosen.items():
            if force or self._is_due(rows.get((endpoint, persona_id)), persona, place):
                due.add(endpoint)
        due |= {endpoint for endpoint, persona_id in rows if (endpoint, persona_id) not in chosen}
        return sorted(e for e in due if force or e not in troubles or is_due(troubles[e].state))

    def _left_within_reach(self) -> set[str]:
        """Endpoints that are back at an address where something was left behind."""
        found: set[str] = set()
        for row in remotes.list_objects(self._db, kinds=list(LEFT.values())):
            try:
                if self.reach(row.endpoint).address == row.state.get("at"):
                    found.add(row.endpoint)
            except CoachError:
                pass
        return found

    def _chosen(self) -> dict[tuple[str, str], tuple[Persona, hosted.HostedStores]]:
        """The personas for whom an API is to search, by its endpoint and their id."""
        found: dict[tuple[str, str], tuple[Persona, hosted.HostedStores]] = {}
        for persona in personas.list_personas(self._db):
            info = self._info(persona) if self._wants(persona) else None
            if info is not None and (place := self._place(info)):
                found[info.endpoint, str(persona.id)] = (persona, place)
        places = self.places() if (wishes := hosted_stores.wishes(self._db)) else {}
        for endpoint, collection_id, name in wishes:
            if endpoint in places:
                found[endpoint, str(collection_id)] = (reader_of(collection_id, name), places[endpoint])
        return found

    def places(self) -> dict[str, hosted.HostedStores]:
        """The endpoints that keep vector stores and can be asked now."""
        found: dict[str, hosted.HostedStores] = {}
        for info in self._backends.infos().values():
            if info.endpoint and info.endpoint not in found and (place := self._place(info)):
                found[info.endpoint] = place
        return found

    def _is_due(self, row: RemoteObject | None, persona: Persona, place: hosted.HostedStores) -> bool:
        if row is None or not self._same(row, persona, place):
            wanted = self.holds(persona)
            if row is None or row.state.get("at") != place.address or row.state.get("print") != wanted.print:
                return row is not None or bool(wanted.holdings)
            told = {**row.state, "generations": dict(wanted.generations)}  # other vectors, the same documents
            EndpointRemotes(self._db, row.endpoint).keep(STORE, row.key, row.external_id, told, row.expires_at)
        state = dict(row.state)
        if not state["whole"]:
            return is_due(state)
        doubt, looked = self._doubts.get(row.external_id), self._looked.get(row.external_id)
        if doubt is not None and (looked is None or doubt - looked >= _DOUBT):
            return True
        return datetime.fromisoformat(state["checked"]) + _LOOK <= now()

    def _same(self, row: RemoteObject, persona: Persona, place: hosted.HostedStores) -> bool:
        """Whether nothing has been written in the persona's collections since the row was."""
        if not row.external_id or row.state.get("at") != place.address:
            return False
        with self._db.read() as connection:
            known = collections.generations(connection, persona.draft.collections)
        return _texts(known) == row.state.get("generations")

    def holds(self, persona: Persona) -> Wanted:
        generations, held = documents.holdings(self._db, persona.draft.collections)
        mark = OF_COLLECTION if persona.draft.collections == (persona.id,) else MARK
        return Wanted(persona.id, persona.name, _texts(generations), {key_of(h): h for h in held}, mark)

    def _sync(self, endpoint: str, pause: Callable[[float], bool], force: bool, tell: Tell | None) -> None:
        kept = EndpointRemotes(self._db, endpoint)
        trouble = kept.find(_TROUBLE, "")
        held = [self.holds(p) for (e, _), (p, _) in self._chosen().items() if e == endpoint]
        wanted = {w.persona_id: w for w in held if w.holdings}
        for row in kept.list(STORE):
            self._looked[row.external_id] = time.monotonic()
        try:
            with closing(self.reach(endpoint)) as stores:
                Sync(self._db, endpoint, stores, wanted, pause=pause, force=force, tell=tell).run()
        except StoreError:
            raise
        except Exception as fault:
            error = fault if isinstance(fault, CoachError) else CoachError()
            log.warning("documents at %s are not in step: %s", endpoint, error.kind, exc_info=error is not fault)
            tries = int(trouble.state.get("tries", 0)) + 1 if trouble else 1
            least = error.retry_after if isinstance(error, BackendError) else None
            state = {"why": error.sentence, "tries": tries, "again": later(min(tries, 3), least)}
            kept.keep(_TROUBLE, "", "", state)
        else:
            if trouble is not None:
                kept.forget(_TROUBLE, "")

    # where it stands

    def state(self, persona: Persona, backend: str = "") -> HostedState:
        """Where the documents of a persona stand, by what is known here; with `backend`, for who asks that."""
        info, wants = self._info(persona, backend), self._wants(persona, backend)
        place = self._place(info) if info else None
        endpoint = info.endpoint if info and place and wants else ""
        rows = [r for r in remotes.list_objects(self._db, kinds=[STORE]) if r.key == str(persona.id)]
        elsewhere = self._elsewhere(persona, info) if info else None
        if backend and (elsewhere or not endpoint):
            rows = [r for r in rows if r.endpoint == endpoint]
        store = next((r for r in rows if r.endpoint == endpoint), None)
        known = HostedState(
            wants,
            endpoint=endpoint,
            host=host_of(place, store or next(iter(rows), None)),
            bytes=int(store.state.get("bytes", 0)) if store else 0,
            expires_at=store.expires_at if store else None,
            synced_at=moment_of(store.state.get("synced")) if store else None,
        )
        if store and place and len(rows) == 1 and self.in_step(store, persona, place):
            return replace(known, ready=True, documents=store.state["documents"], there=store.state["documents"])
        known = self._counted(known, persona)
        if endpoint and elsewhere:
            only = f"Copies are kept for {elsewhere.name} only, the persona's own backend"
            return replace(known, to_remove=0, why=f"{only}; here the app's own search answers.")
        return replace(known, why=self._why(known, info, rows))

    def _counted(self, known: HostedState, persona: Persona) -> HostedState:
        """With what of the persona's documents is there, what failed, and what is still to be removed."""
        wanted = self.holds(persona)
        rows = remotes.list_objects(self._db, kinds=[STORE_FILE], begins=f"{persona.id}:")
        inside = {r.key.partition(":")[2]: r for r in rows if r.endpoint == known.endpoint}
        sent = {r.key: r for r in remotes.list_objects(self._db, known.endpoint, [FILE])} if known.endpoint else {}
        failed = [
            HostedFailure(holding.name, row.state["why"], moment_of(row.state.get("again")))
            for key, holding in wanted.holdings.items()
            if (row := inside.get(key) or sent.get(key)) and "why" in row.state
        ]
        return replace(
            known,
            documents=len(wanted.holdings),
            there=sum(k in wanted.holdings and r.state.get("status") == "completed" for k, r in inside.items()),
            to_remove=len(rows) - len(inside.keys() & wanted.holdings.keys()),
            failed=tuple(failed),
        )

    def _why(self, known: HostedState, info: BackendInfo | None, rows: Sequence[RemoteObject]) -> str:
        """What keeps the API's search from answering, in a sentence."""
        endpoints = [known.endpoint] if known.endpoint else [r.endpoint for r in rows]
        trouble = next((t for e in endpoints if (t := remotes.get(self._db, e, _TROUBLE, ""))), None)
        if not known.wanted:
            if not rows:
                return ""
            tail = f" {trouble.state['why']}" if trouble else ""
            return f"What {known.host} holds of its documents is being removed there.{tail}"
        if not known.endpoint:
            return (info.why if info and not info.ready else "") or _UNAVAILABLE.format(
                info.label if info else "That backend"
            )
        if not known.documents:
            return "Its collections hold no documents yet."
        if trouble is not None:
            return trouble.state["why"]
        if known.failed:
            lacks = f"{known.host} lacks {len(known.failed)} of its documents"
            return f"{lacks}; the app's own search answers until it has all."
        return f"{known.host} is being brought in step; the app's own search answers until then."

    def backends(self) -> list[str]:
        """The names a person may ask about."""
        return list(self._backends.infos())

    def held(self, endpoint: str) -> int:
        """How many files of ours lie at an endpoint."""
        return sum(bool(row.external_id) for row in remotes.list_objects(self._db, endpoint, [FILE, LEFT[FILE]]))

    def check(self) -> Check | None:
        """One line for `doctor`; None where no API holds anything and none is to."""
        states = [s for p in personas.list_personas(self._db) if (s := self.state(p)).wanted or s.why]
        rows = remotes.list_objects(self._db, kinds=[STORE, FILE, *LEFT.values()])
        if not states and not rows:
            return None
        if astray := self._astray(rows):
            return Check("hosted search", "warn", *astray)
        held = sum(r.kind == FILE and bool(r.external_id) for r in rows)
        detail = (
            f"{held} documents at {', '.join(sorted({host_of(None, r) for r in rows}))}" if rows else "nothing sent yet"
        )
        waits = next((s for s in states if not s.ready), None)
        if waits is not None:
            return Check(
                "hosted search", "warn", f"{detail}. {waits.why}", "`personas hosted NAME --sync` tries again now."
            )
        return Check("hosted search", "ok", detail)

    def _astray(self, rows: Sequence[RemoteObject]) -> tuple[str, str] | None:
        """What lies where this app does not reach any more, and what to do."""
        endpoints = {info.endpoint for info in self._backends.infos().values()}
        lost = [r for r in rows if r.external_id and (r.kind in LEFT.values() or r.endpoint not in endpoints)]
        if not lost:
            return None
        hosts = ", ".join(sorted({host_of(None, r) for r in lost}))
        files = sum(r.kind in {FILE, LEFT[FILE]} for r in lost)
        detail = f"{files} documents are still at {hosts}, which is not connected any more"
        return detail, "Connect it again under the same name for a moment, or delete them there by hand."

    # where

    def _wants(self, persona: Persona, backend: str = "") -> bool:
        """Whether an API is to search for the persona: its own word, else that of its backend's endpoint."""
        own = persona.draft.parameters.get("search")
        search = own or self._backends.parameters(backend or persona.draft.backend or self._default()).get("search")
        return persona.deleted_at is None and search == "hosted"

    def _info(self, persona: Persona, backend: str = "") -> BackendInfo | None:
        """The backend that answers for the persona when nobody chooses another, or the one that somebody does."""
        return self._backends.infos().get(backend or persona.draft.backend or self._default())

    def _elsewhere(self, persona: Persona, info: BackendInfo) -> BackendInfo | None:
        """The persona's own backend, where that is at another endpoint than `info`: only there copies are kept."""
        own = self._info(persona)
        return own if own is not None and own.endpoint != info.endpoint else None

    def _place(self, info: BackendInfo) -> hosted.HostedStores | None:
        """The stores of a backend that can be asked now to search them."""
        if not info.ready or info.wire not in hosted.WIRES:
            return None
        try:
            return hosted.of(self._backends.get(info.name))
        except CoachError:
            return None

    def reach(self, endpoint: str) -> hosted.HostedStores:
        """The stores at an endpoint, through whichever of its backends is there. Raises CoachError."""
        fault: CoachError = BadSetting(f"The endpoint {endpoint} is not listed any more. Add it again to clear it.")
        for info in self._backends.infos().values():
            if info.endpoint == endpoint:
                try:
                    if stores := hosted.reach(self._backends.get(info.name)):
                        return stores
                except CoachError as error:
                    fault = error
        raise fault

    def in_step(self, row: RemoteObject, persona: Persona, place: hosted.HostedStores) -> bool:
        """Whether the store holds now exactly what the persona reads."""
        if not row.external_id or not row.state.get("whole") or row.state.get("at") != place.address:
            return False
        if row.expires_at is not None and row.expires_at <= now():
            return False
        return self._same(row, persona, place) or row.state["print"] == self.holds(persona).print


class HostedSearch(Base):
    """The facade's part of it."""

    def hosted_state(
        self, actor: Actor, persona_id: UUID | None, draft: PersonaDraft | None = None, *, backend: str = ""
    ) -> HostedState:
        """Where the documents of a persona stand at the API that searches them; with `draft`, where they would
        if it were saved so; with `backend`, for a thread that asks that one. A persona that is not saved yet has
        no id."""
        access.require(actor, "knowledge.read")
        if backend and backend not in (known := self._hosted.backends()):
            raise BadSetting(f"There is no backend called {backend!r}. Choose one of: {', '.join(known)}.")
        if persona_id is not None:
            persona = personas.get(self._db, persona_id)
            return self._hosted.state(replace(persona, draft=draft) if draft else persona, backend)
        moment = now()
        return self._hosted.state(Persona(new_id(), "", 0, new_id(), draft or PersonaDraft(""), moment, moment))

    def hosted_sync(
        self,
        actor: Actor,
        tell: Tell | None = None,
        *,
        force: bool = True,
        pause: Callable[[float], bool] | None = None,
    ) -> bool:
        """Bring what APIs hold in step here and now; False when another process is at it.

        With `force` also what has to wait after a failure; `pause(seconds)` waits and says whether to stop.
        """
        access.require(actor, "personas.write")
        return self._hosted.run(pause or threading.Event().wait, force=force, tell=tell)

    def hosted_soon(self, actor: Actor) -> None:
        """Have it brought in step in the background, also what has to wait after a failure."""
        access.require(actor, "personas.write")
        self._hosted.soon()


def reader_of(collection_id: UUID, name: str) -> Persona:
    """A collection as the one who reads it, so that its store is kept as a persona's is."""
    moment = now()
    draft = PersonaDraft(name, collections=(collection_id,))
    return Persona(collection_id, "", 0, collection_id, draft, moment, moment)


def host_of(place: hosted.HostedStores | None, row: RemoteObject | None) -> str:
    if row is not None and row.state.get("at"):
        return urlsplit(row.state["at"]).netloc
    return place.host if place else ""


def _texts(generations: Mapping[UUID, int]) -> dict[str, int]:
    return {str(c): n for c, n in generations.items()}


def moment_of(text: str | None) -> datetime | None:
    """A time as a state has it."""
    return datetime.fromisoformat(text) if text else None
