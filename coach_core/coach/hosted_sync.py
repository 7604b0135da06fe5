"""One pass over one endpoint: its vector stores and files become what the personas' collections are.

Invariant: each step is written down before or right after it is done, so that a pass that is cut off
anywhere leaves nothing at the endpoint that the next one does not find. A store says `whole` only when it
holds exactly the documents of its print; what was deleted here is deleted there before anything is sent.

Rows of remote_objects, by endpoint: `store` (key: the persona, or the collection that it is filled from),
`file` (key: document:sha256) and `store_file` (key: persona:document:sha256). `left_store` and `left_file` are
of an address that the endpoint had before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from coach_core.backends.hosted import Gone, HostedStores, Store, StoreFile
from coach_core.errors import BadRequest, ContextTooLong, FileNotFound, HostedSearchFailed
from coach_core.store import Database, documents, files
from coach_core.store.documents import Holding
from coach_core.store.remotes import EndpointRemotes, RemoteObject
from coach_core.types import new_id, now

STORE, FILE, STORE_FILE = "store", "file", "store_file"
LEFT = {STORE: "left_store", FILE: "left_file"}
MARK, OF_COLLECTION = "persona", "collection"
#: A store that nobody searched for so long goes by itself at the API.
DAYS = 30
#: Pauses before a document that failed is tried again; the last one again and again.
PAUSES = tuple(timedelta(minutes=m) for m in (1, 5, 30, 120, 360, 1440))
_LOOKS = (0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0, 5.0, 5.0)
#: What the API reads itself; of all other kinds it gets the text that was read here.
_AS_THEY_ARE = {".pdf", ".docx", ".md", ".txt", ".html"}
_TEXTS = {".md", ".txt", ".html"}
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A persona whose documents an endpoint is to hold, as its collections are at this moment; or a collection."""

    persona_id: UUID
    name: str
    generations: Mapping[str, int] = field(default_factory=dict)
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    mark: str = MARK

    @property
    def print(self) -> str:
        return print_of(self.holdings)


def key_of(holding: Holding) -> str:
    return f"{holding.id}:{holding.sha256}"


def document_of(key: str) -> UUID:
    """The document that a key of a file, or of a file in a store, is about."""
    return UUID(key.split(":")[-2])


def print_of(keys: Iterable[str]) -> str:
    """The same for the same documents, and for no others."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()


def later(tries: int, least: float | None = None) -> str:
    """When to try again after so many tries."""
    pause = PAUSES[min(tries, len(PAUSES)) - 1]
    return (now() + max(pause, timedelta(seconds=least or 0))).isoformat()


def is_due(state: Mapping[str, Any]) -> bool:
    again = state.get("again")
    return not again or datetime.fromisoformat(again) <= now()


class Sync:
    """`wanted`: personas with at least one document. `pause(seconds)` says whether to stop; `force`: try
    again also what has to wait."""

    def __init__(
        self,
        db: Database,
        endpoint: str,
        stores: HostedStores,
        wanted: Mapping[UUID, Wanted],
        *,
        pause: Callable[[float], bool],
        force: bool = False,
        tell: Tell | None = None,
    ) -> None:
        self._db = db
        self._stores = stores
        self._wanted = wanted
        self._pause = pause
        self._force = force
        self._tell: Tell = tell or (lambda _: None)
        self._kept = EndpointRemotes(db, endpoint)
        self._rows: dict[str, dict[str, RemoteObject]] = {}
        self._pass = new_id().hex

    def run(self) -> None:
        """Raises BackendError when the endpoint fails; the next pass goes on from there."""
        self._load()
        self._settle_addresses()
        for key in [k for k in self._of(STORE) if UUID(k) not in self._wanted]:
            self._drop_store(key)
        for wanted in self._wanted.values():
            self._detach(wanted, replaced=False)
        self._drop_files()
        for wanted in self._wanted.values():
            self._fill(wanted)
        for key in [k for k in self._of(STORE) if UUID(k) not in self._wanted]:
            self._forget(STORE, key)

    # rows

    def _load(self) -> None:
        self._rows = {kind: {} for kind in (STORE, FILE, STORE_FILE, *LEFT.values())}
        for row in self._kept.list(*self._rows):
            self._rows[row.kind][row.key] = row

    def _of(self, kind: str) -> dict[str, RemoteObject]:
        return self._rows[kind]

    def _keep(
        self, kind: str, key: str, external_id: str, state: Mapping[str, Any], expires_at: datetime | None = None
    ) -> None:
        if kind in LEFT:
            state = {**state, "at": self._stores.address}
        self._kept.keep(kind, key, external_id, state, expires_at)
        row = RemoteObject(self._kept.endpoint, kind, key, external_id, now(), dict(state), expires_at)
        self._rows[kind][key] = row

    def _forget(self, kind: str, *keys: str) -> None:
        self._kept.forget_all(kind, keys)
        for key in keys:
            self._rows[kind].pop(key, None)

    def _settle_addresses(self) -> None:
        """What lies at an address the endpoint had before is out of reach, until it has that address again."""
        here = self._stores.address
        for kind, left in LEFT.items():
            for row in [r for r in self._of(kind).values() if r.state.get("at") != here]:
                if row.external_id:
                    self._kept.keep(left, row.external_id, row.external_id, row.state, row.expires_at)
                self._forget(kind, row.key)
                if kind == STORE:
                    self._forget(STORE_FILE, *[k for k in self._of(STORE_FILE) if k.startswith(f"{row.key}:")])
            for row in [r for r in self._of(left).values() if r.state.get("at") == here]:
                drop = self._stores.delete if kind == STORE else self._stores.delete_file
                drop(row.external_id)
                self._forget(left, row.key)

    # taking back

    def _drop_store(self, key: str) -> None:
        """Delete a store there. Its row goes last of all, when its files are gone too."""
        row = self._of(STORE)[key]
        begun = None if row.external_id else self._stores.find(MARK, key) or self._stores.find(OF_COLLECTION, key)
        if store_id := row.external_id or (begun.id if begun else ""):
            self._tell(f"removing the store {row.state.get('name') or ''}".strip())
            self._stores.delete(store_id)
        self._lose(key)

    def _lose(self, key: str) -> None:
        """The persona's store is gone there: what was in it is known no more."""
        self._forget(STORE_FILE, *[k for k in self._of(STORE_FILE) if k.startswith(f"{key}:")])
        self._keep(STORE, key, "", {"name": self._of(STORE)[key].state.get("name", ""), "whole": False})

    def _detach(self, wanted: Wanted, *, replaced: bool) -> None:
        """Take out of the store what its persona reads no more; of a document that was replaced, the old
        one goes (with `replaced`) when its successor is there or has failed."""
        store = self._of(STORE).get(str(wanted.persona_id))
        if store is None or not store.external_id:
            return
        current = {h.id: key for key, h in wanted.holdings.items()}
        for row in list(self._in(wanted).values()):
            key = row.key.partition(":")[2]
            successor = current.get(document_of(key))
            if successor == key or (successor and not (replaced and self._settled(wanted, successor))):
                continue
            self._stores.detach(store.external_id, row.external_id)
            self._forget(STORE_FILE, row.key)

    def _settled(self, wanted: Wanted, key: str) -> bool:
        row = self._in(wanted).get(key)
        if row is not None:
            return row.state.get("status") != "in_progress"
        file = self._of(FILE).get(key)
        return file is not None and "why" in file.state

    def _drop_files(self) -> None:
        """Delete files that no store holds and no persona reads."""
        needed = {key for wanted in self._wanted.values() for key in wanted.holdings}
        needed |= {key.partition(":")[2] for key in self._of(STORE_FILE)}
        for row in [r for r in self._of(FILE).values() if r.key not in needed]:
            for file_id in [row.external_id] if row.external_id else self._begun(row):
                self._tell(f"removing {row.state.get('name') or 'a file'}")
                self._stores.delete_file(file_id)
            self._forget(FILE, row.key)

    def _begun(self, row: RemoteObject) -> list[str]:
        """Files there that an upload which was cut off may have left."""
        state = row.state
        if "since" not in state or row.external_id:
            return []
        known = {r.external_id for r in self._of(FILE).values()}
        found = self._stores.uploaded(state["name"], state["size"], datetime.fromisoformat(state["since"]))
        return [file_id for file_id in found if file_id not in known]

    # filling

    def _fill(self, wanted: Wanted) -> None:
        try:
            store = self._once(wanted)
        except Gone:  # it went between two requests
            self._lose(str(wanted.persona_id))
            try:
                store = self._once(wanted)
            except Gone as error:
                raise HostedSearchFailed(f"{self._stores.host} does not know the vector store it has made.") from error
        self._detach(wanted, replaced=True)
        self._drop_files()
        self._note(wanted, store)

    def _once(self, wanted: Wanted) -> Store:
        store = self._store(wanted)
        self._reconcile(wanted, store, self._stores.files(store.id))
        for _ in range(3):  # as it is, then as text, then once more for what vanished meanwhile
            missing = self._missing(wanted)
            if missing:
                self._doubt(wanted, store)
                self._attach(wanted, store, self._upload(wanted, missing))
                self._watch(wanted, store)
                self._as_text(wanted, store)
            if self._pause(0) or self._in(wanted).keys() >= set(self._missing(wanted)):
                break  # nothing is to be sent: it is there, is being read, or has to wait
        return self._stores.retrieve(store.id) or store

    def _store(self, wanted: Wanted) -> Store:
        key = str(wanted.persona_id)
        row = self._of(STORE).get(key)
        if row is not None and row.external_id:
            there = self._stores.retrieve(row.external_id)
            if there is not None and not there.expired:
                return there
            if there is not None:
                self._stores.delete(there.id)
            self._lose(key)
        begun = {"name": wanted.name, "whole": False, "synced": row.state.get("synced", "") if row else ""}
        self._keep(STORE, key, "", begun)
        there = self._stores.find(wanted.mark, key)
        if there is None or there.expired:
            self._tell(f"making a store for {wanted.name}")
            there = self._stores.create(wanted.name, {wanted.mark: key}, DAYS)
        self._keep(STORE, key, there.id, begun, there.expires_at)
        return there

    def _reconcile(self, wanted: Wanted, store: Store, there: Mapping[str, StoreFile]) -> None:
        """Make the rows say what is in the store; what nobody knows there is taken out and deleted."""
        keys = {row.external_id: key for key, row in self._of(FILE).items() if row.external_id}
        self._forget(STORE_FILE, *[r.key for r in self._in(wanted).values() if r.external_id not in there])
        for file_id in there.keys() - keys.keys():
            self._stores.detach(store.id, file_id)
            self._stores.delete_file(file_id)
        self._take(wanted, [(keys[file_id], file) for file_id, file in there.items() if file_id in keys])

    def _in(self, wanted: Wanted) -> dict[str, RemoteObject]:
        """What is known to be in the persona's store, by the key of its file."""
        head = f"{wanted.persona_id}:"
        return {k.removeprefix(head): r for k, r in self._of(STORE_FILE).items() if k.startswith(head)}

    def _missing(self, wanted: Wanted) -> list[str]:
        """Documents that are not in the store, or not ready there, and whose turn it is."""
        inside = self._in(wanted)
        return [key for key in wanted.holdings if self._waits(inside.get(key), self._of(FILE).get(key))]

    def _waits(self, inside: RemoteObject | None, file: RemoteObject | None) -> bool:
        for row in (inside, file):
            if row is not None and "why" in row.state:
                return self._force_once(row) or is_due(row.state)
        return inside is None or inside.state.get("status") != "completed"

    def _force_once(self, row: RemoteObject) -> bool:
        """With `force` a failure of an earlier pass is tried again, one of this pass is not."""
        return self._force and row.state.get("pass") != self._pass

    def _upload(self, wanted: Wanted, missing: Sequence[str]) -> list[tuple[str, str]]:
        """(key, file id) of each document that is to be put into the store, sent now if need be."""
        ready: list[tuple[str, str]] = []
        for number, key in enumerate(missing, 1):
            row = self._of(FILE).get(key)
            file_id = row.external_id if row else ""
            if not file_id and self._pause(0):
                break
            if not file_id:
                self._tell(f"{wanted.name}: {number} of {len(missing)}, {wanted.holdings[key].name}")
                file_id = self._send(key, wanted.holdings[key])
            if file_id:
                ready.append((key, file_id))
        return ready

    def _send(self, key: str, holding: Holding) -> str:
        """Upload a document, and write down beforehand that it was begun; "" when the API refuses it."""
        row = self._of(FILE).get(key)
        state = dict(row.state) if row else {}
        if row is not None and (there := self._begun(row)):
            self._keep(FILE, key, there[0], {"name": state["name"], "as": state.get("as", "")})
            return there[0]
        as_text = state.get("as") == "text"
        while True:
            name, data, media_type, as_text = self._rendition(holding, as_text)
            begun = {"name": name, "size": len(data), "as": "text" if as_text else "", "since": now().isoformat()}
            self._keep(FILE, key, "", begun)
            try:
                file_id = self._stores.upload(name, data, media_type)
            except (BadRequest, ContextTooLong) as error:
                if as_text:
                    tries = int(state.get("tries", 0)) + 1
                    self._keep(FILE, key, "", {"name": name, "as": "text"} | self._failure(error.sentence, tries))
                    return ""
                as_text = True
                continue
            self._keep(FILE, key, file_id, {"name": name, "as": begun["as"]})
            return file_id

    def _rendition(self, holding: Holding, as_text: bool) -> tuple[str, bytes, str, bool]:
        """(name, bytes, media type, whether it is text): the file itself where the API can read it."""
        ending = holding.name[holding.name.rfind(".") :].lower() if "." in holding.name else ""
        if not as_text and ending in _AS_THEY_ARE and holding.file_id:
            try:
                data = files.read(self._db, holding.file_id)
                if ending in _TEXTS:
                    data.decode("utf-8")
                return holding.name, data, holding.media_type, False
            except (FileNotFound, UnicodeDecodeError):
                pass
        text, _ = documents.text_of(self._db, holding.id)
        name = holding.name if ending == ".txt" else f"{holding.name}.txt"
        return name, text.encode(), "text/plain", True

    def _attach(self, wanted: Wanted, store: Store, ready: Sequence[tuple[str, str]]) -> None:
        inside = self._in(wanted)
        for key, file_id in ready:
            if (row := inside.get(key)) and "why" in row.state:  # it failed there: only anew will it be read again
                self._stores.detach(store.id, file_id)
        fresh = [(k, f) for k, f in ready if k not in inside or "why" in inside[k].state]
        if not fresh:
            return
        try:
            self._stores.attach(store.id, [file_id for _, file_id in fresh])
        except (Gone, BadRequest, ContextTooLong):
            for key, file_id in fresh:
                self._attach_one(wanted, store, key, file_id)
            return
        self._take(wanted, [(key, StoreFile(file_id, "in_progress")) for key, file_id in fresh])

    def _attach_one(self, wanted: Wanted, store: Store, key: str, file_id: str) -> None:
        try:
            self._stores.attach(store.id, [file_id])
        except Gone:
            if self._stores.retrieve(store.id) is None:
                raise
            self._forget(FILE, key)  # the file went there: it is sent again
            return
        except (BadRequest, ContextTooLong) as error:
            self._take(wanted, [(key, StoreFile(file_id, "failed", why=error.sentence))])
            return
        self._take(wanted, [(key, StoreFile(file_id, "in_progress"))])

    def _watch(self, wanted: Wanted, store: Store) -> None:
        """Wait until the API has read what was put into the store, for some time; the next pass looks again."""
        for seconds in _LOOKS:
            there = self._stores.files(store.id)
            inside = self._in(wanted)
            self._take(wanted, [(k, there[r.external_id]) for k, r in inside.items() if r.external_id in there])
            reading = [r for r in self._in(wanted).values() if r.state.get("status") == "in_progress"]
            if not reading:
                return
            self._tell(f"{wanted.name}: {self._stores.host} reads {len(reading)} more")
            if self._pause(seconds):
                return

    def _take(self, wanted: Wanted, found: Sequence[tuple[str, StoreFile]]) -> None:
        """Write down where files of the store stand, each by its key, unless it is written so already."""
        new: list[RemoteObject] = []
        for key, file in found:
            place = f"{wanted.persona_id}:{key}"
            before = self._of(STORE_FILE).get(place)
            known = before.state if before and before.external_id == file.id else {}
            if (state := self._told(known, file)) is not None:
                new.append(RemoteObject(self._kept.endpoint, STORE_FILE, place, file.id, now(), state))
        self._kept.keep_all(new)
        self._of(STORE_FILE).update({row.key: row for row in new})

    def _told(self, known: Mapping[str, Any], file: StoreFile) -> dict[str, Any] | None:
        """What a row says of the file, after what it said before; None when that is the same."""
        if known.get("status") == file.status and (file.status == "failed" or known.get("bytes") == file.bytes):
            return None
        tries = int(known.get("tries", 0))
        state: dict[str, Any] = {"status": file.status, "bytes": file.bytes}
        if file.status == "failed":
            return state | self._failure(file.why, tries + 1) | {"unreadable": file.unreadable}
        return state | {"tries": tries} if tries and file.status == "in_progress" else state

    def _as_text(self, wanted: Wanted, store: Store) -> None:
        """What the API cannot read as it is, it gets as the text that was read here."""
        for key, row in self._in(wanted).items():
            file = self._of(FILE).get(key)
            if row.state.get("unreadable") and file is not None and file.state.get("as") != "text":
                self._stores.detach(store.id, row.external_id)
                self._stores.delete_file(row.external_id)
                self._forget(STORE_FILE, row.key)
                self._keep(FILE, key, "", {"name": file.state.get("name", ""), "as": "text"})

    def _failure(self, why: str, tries: int) -> dict[str, Any]:
        return {"why": why, "tries": tries, "again": later(tries), "pass": self._pass}

    # saying so

    def _doubt(self, wanted: Wanted, store: Store) -> None:
        """From now until it is noted otherwise the store is not what it should be."""
        row = self._of(STORE)[str(wanted.persona_id)]
        if row.state.get("whole"):
            self._keep(STORE, row.key, store.id, {**row.state, "whole": False}, row.expires_at)

    def _note(self, wanted: Wanted, store: Store) -> None:
        inside = self._in(wanted)
        whole = set(inside) == set(wanted.holdings)
        whole = whole and all(r.state.get("status") == "completed" for r in inside.values())
        waiting = [r.state.get("again") for k in wanted.holdings if (r := inside.get(k) or self._of(FILE).get(k))]
        key, moment = str(wanted.persona_id), now().isoformat()
        state: dict[str, Any] = {
            "name": wanted.name,
            "whole": whole,
            "print": wanted.print,
            "generations": dict(wanted.generations),
            "checked": moment,
            "synced": moment if whole else self._of(STORE)[key].state.get("synced", ""),
            "bytes": store.bytes,
            "documents": len(wanted.holdings),
        }
        if not self._missing(wanted) and (times := [t for t in waiting if t]):
            state["again"] = min(times)
        self._keep(STORE, key, store.id, state, store.expires_at)
