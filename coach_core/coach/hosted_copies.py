"""The vector stores that hold a collection's documents, beside the collection: what differs, and until when.

Invariant: a look at `hosted_copies` asks nobody: it is what is known here. Only `hosted_others` and
`keep_hosted_alive` ask the API, and neither sends a document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from uuid import UUID

from coach_core import access
from coach_core.coach.hosted import HostedSearch, host_of, moment_of, reader_of
from coach_core.coach.hosted_sync import DAYS, FILE, LEFT, STORE, STORE_FILE, document_of, key_of
from coach_core.errors import BadSetting, InputError, NotFound
from coach_core.store import collections, documents, hosted_stores, personas, remotes
from coach_core.store.documents import Holding
from coach_core.store.remotes import EndpointRemotes, RemoteObject
from coach_core.types import Actor, HostedCopy, HostedFailure, HostedOther, Persona


class HostedCopies(HostedSearch):
    def hosted_copies(self, actor: Actor, collection_id: UUID) -> list[HostedCopy]:
        """Every store that holds, or is to hold, documents of the collection: filled from it, or a persona's."""
        access.require(actor, "knowledge.read")
        name = collections.get(self._db, collection_id).name
        _, held = documents.holdings(self._db, [collection_id])
        readers = {p.id: p for p in personas.list_personas(self._db) if collection_id in p.draft.collections}
        rows = {(r.endpoint, UUID(r.key)): r for r in remotes.list_objects(self._db, kinds=[STORE])}
        wished = [e for e, c, _ in hosted_stores.wishes(self._db) if c == collection_id]
        found: dict[tuple[str, UUID], HostedCopy] = {}
        for endpoint in dict.fromkeys([*wished, *(e for e, key in rows if key == collection_id)]):
            copy = self._copy(rows.get((endpoint, collection_id)), endpoint, reader_of(collection_id, name), held)
            found[endpoint, collection_id] = copy if endpoint in wished else replace(copy, why="It is being removed.")
        for persona in readers.values():
            state = self._hosted.state(persona)
            for endpoint in {state.endpoint, *(e for e, key in rows if key == persona.id)} - {""}:
                copy = self._copy(rows.get((endpoint, persona.id)), endpoint, persona, held)
                found[endpoint, persona.id] = replace(copy, why=state.why) if state.why else copy
        return sorted(found.values(), key=lambda c: (not c.of_collection, c.endpoint, c.name.casefold()))

    def hosted_places(self, actor: Actor) -> dict[str, str]:
        """Endpoint -> host of each that keeps vector stores and can be asked now."""
        access.require(actor, "knowledge.read")
        return {endpoint: place.host for endpoint, place in self._hosted.places().items()}

    def fill_hosted(self, actor: Actor, collection_id: UUID, endpoint: str) -> None:
        """Have a store at the endpoint filled from the collection, and kept in step until `drop_hosted`."""
        access.require(actor, "knowledge.write")
        places = self.hosted_places(actor)
        if endpoint not in places:
            known = ", ".join(places) or "none yet; Settings, endpoints adds one"
            raise BadSetting(f"No endpoint called {endpoint!r} keeps vector stores. There are: {known}.")
        if not collections.get(self._db, collection_id).documents:
            raise InputError("The collection holds no documents yet. Add some first.")
        hosted_stores.wish(self._db, collection_id, endpoint)
        self._note(actor, "hosted.fill", str(collection_id), {}, {"endpoint": endpoint, "host": places[endpoint]})
        self._hosted.soon()

    def drop_hosted(self, actor: Actor, collection_id: UUID, endpoint: str) -> None:
        """Have the store that was filled from the collection deleted there, with the files that nobody else needs."""
        access.require(actor, "knowledge.write")
        if not hosted_stores.unwish(self._db, collection_id, endpoint):
            raise NotFound(f"No store at {endpoint} is filled from this collection.")
        self._note(actor, "hosted.drop", str(collection_id), {"endpoint": endpoint}, {})
        self._hosted.soon()

    def keep_hosted_alive(self, actor: Actor, endpoint: str, key: UUID) -> None:
        """Let a store of the app's stay for another 30 days from now. Asks the API. Raises NotFound, BackendError."""
        access.require(actor, "knowledge.write")
        row = remotes.get(self._db, endpoint, STORE, str(key))
        if row is None or not row.external_id:
            raise NotFound("There is no store there yet.")
        with closing(self._hosted.reach(endpoint)) as stores:
            there = stores.keep_alive(row.external_id, DAYS)
        if there is None:
            self._hosted.soon()
            raise NotFound("The store is gone there. It is made and filled anew now.")
        EndpointRemotes(self._db, endpoint).keep(STORE, row.key, row.external_id, row.state, there.expires_at)

    def hosted_others(self, actor: Actor, endpoint: str) -> list[HostedOther]:
        """The vector stores at the endpoint that are none of the app's. Asks the API. Raises BackendError."""
        access.require(actor, "knowledge.write")
        ours = {r.external_id for r in remotes.list_objects(self._db, kinds=[STORE, LEFT[STORE]])}
        with closing(self._hosted.reach(endpoint)) as stores:
            return [
                HostedOther(
                    endpoint, stores.host, s.id, s.name, s.files, s.bytes, s.created_at, s.expires_at, s.expired
                )
                for s in stores.all()
                if s.id not in ours
            ]

    def _copy(self, row: RemoteObject | None, endpoint: str, reader: Persona, held: Sequence[Holding]) -> HostedCopy:
        """One store, held against the collection's documents by what is known here."""
        own = reader.draft.collections == (reader.id,)
        place = self._hosted.places().get(endpoint)
        inside = {
            r.key.partition(":")[2]: r
            for r in remotes.list_objects(self._db, endpoint, [STORE_FILE], begins=f"{reader.id}:")
        }
        sent = {r.key: r for r in remotes.list_objects(self._db, endpoint, [FILE])}
        wanted = {key_of(h): h for h in held}
        done = {k for k in wanted if k in inside and inside[k].state.get("status") == "completed"}
        failed = [f for k, h in wanted.items() if k not in done and (f := _failure(h, inside.get(k) or sent.get(k)))]
        there = {document_of(k) for k in inside}
        behind = [(k, h) for k, h in wanted.items() if k not in done and h.name not in {f.name for f in failed}]
        all_wanted = wanted.keys() if own else self._hosted.holds(reader).holdings.keys()
        here = {document_of(k) for k in all_wanted}
        extra = [_name(k, sent) for k in inside if document_of(k) not in here]
        state = row.state if row else {}
        return HostedCopy(
            endpoint,
            host_of(place, row),
            reader.id,
            reader.name,
            own,
            store=row.external_id if row else "",
            ready=bool(row and place and self._hosted.in_step(row, reader, place)),
            documents=len(wanted),
            there=len(done),
            missing=tuple(sorted(h.name for _, h in behind if h.id not in there)),
            changed=tuple(sorted(h.name for _, h in behind if h.id in there)),
            extra=tuple(sorted(extra)),
            failed=tuple(failed),
            bytes=int(state.get("bytes", 0)),
            synced_at=moment_of(state.get("synced")),
            expires_at=row.expires_at if row else None,
            why="" if place else f"{endpoint} cannot be asked now.",
        )


def _failure(holding: Holding, row: RemoteObject | None) -> HostedFailure | None:
    if row is None or "why" not in row.state:
        return None
    return HostedFailure(holding.name, row.state["why"], moment_of(row.state.get("again")))


def _name(key: str, sent: Mapping[str, RemoteObject]) -> str:
    row = sent.get(key)
    return str(row.state.get("name") or "a file") if row else "a file"
