"""An in-memory stand-in for the facade, so that AppTest sees the pages and nothing beneath them.

Invariant: it answers with the same values and the same errors as coach_core.coach.Coach; test_settings.py
holds its signatures against the real ones.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import pytest
from streamlit.testing.v1 import AppTest

from coach_core.access import require
from coach_core.backends import facts, vendors
from coach_core.coach.endpoints import checked
from coach_core.errors import CoachError, CollectionNotFound, DocumentNotFound, NameTaken, PersonaNotFound
from coach_core.settings import Settings
from coach_core.types import (
    Actor,
    BackendInfo,
    Check,
    Citation,
    Collection,
    Document,
    EmbedderTrial,
    EmbeddingProgress,
    EndpointDraft,
    EndpointInfo,
    Event,
    Fact,
    Filter,
    HostedState,
    IngestProgress,
    KeyState,
    Message,
    Part,
    Passage,
    Persona,
    PersonaDraft,
    PersonaVersion,
    Role,
    StoredFile,
    Thread,
    ThreadHit,
    ThreadQuery,
    Trial,
    TurnRecord,
    UploadCounts,
    UploadStage,
    Usage,
    User,
    Vendor,
    new_id,
)
from coach_core.ui import shared
from tests.ui.fake_clients import FakeClients
from tests.ui.fake_library import FakeLibrary

if TYPE_CHECKING:
    from coach_core.metrics import Report

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "coach_core" / "ui" / "main.py"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class FakeCoach(FakeLibrary, FakeClients):
    """People, personas, threads and documents in dictionaries; `trouble` is raised by the next call."""

    def __init__(self) -> None:
        self.users = {role: User(new_id(), role.title(), role, NOON) for role in _ROLES}
        self.versions: dict[UUID, list[PersonaVersion]] = {}
        self.gone_personas: set[UUID] = set()
        self.rows: dict[UUID, Thread] = {}
        self.talk: dict[UUID, list[Message]] = {}
        self.groups: dict[UUID, Collection] = {}
        self.papers: dict[UUID, Document] = {}
        self.gloss: list[str] = []
        self.unanswerable: set[str] = set()
        self.bytes: dict[UUID, bytes] = {}
        self.texts: dict[UUID, str] = {}
        self.jobs: list[tuple[UUID, IngestProgress]] = []
        self.job_groups: dict[UUID, UUID] = {}  # a job that is not here shows everywhere
        self.seconds_left: float | None = None
        self.refuses: dict[str, CoachError] = {}  # names of files whose upload raises
        self.report: Report | None = None
        self.settings_rows: list[tuple[str, str, str]] = []
        self.embedding = EmbeddingProgress()
        self.asked: list[Any] = []
        self.turns: dict[UUID, tuple[TurnRecord, list[Event]]] = {}
        self.rows_of_endpoints: dict[str, EndpointInfo] = {}
        self.keys = {"COACH_KEY_EU"}  # variables that hold one
        self.models: list[str] = []
        self.outcomes: dict[str, Trial] = {}  # backend -> what its test comes to
        self.tested: list[EndpointDraft] = []
        self.uses: list[str] = []
        self.closed = False
        self.shelve()
        self.admit()
        self.hosted = HostedState(False)  # as it is, and as it would be if it were saved as edited
        self.hosted_then = HostedState(False)

    def close(self) -> None:
        self.closed = True

    # People
    def profiles(self) -> list[User]:
        return list(self.users.values())

    def owner(self) -> Actor:
        return self.as_role("owner")

    def as_role(self, role: Role) -> Actor:
        user = self.users[role]
        return Actor(user.id, role, user.name)

    def actor_for(self, user_id: UUID, channel: str = "web") -> Actor:
        user = next(u for u in self.users.values() if u.id == user_id)
        return Actor(user.id, user.role, user.name, channel=channel)

    def add_profile(self, actor: Actor, name: str, role: Role) -> User:
        require(actor, "profiles")
        if any(u.name == name for u in self.users.values()):
            raise NameTaken(f"There is a profile called {name} already. Choose another name.")
        user = User(new_id(), name, role, NOON)
        self.users[name] = user  # type: ignore[index]
        return user

    def delete_profile(self, actor: Actor, user_id: UUID) -> None:
        require(actor, "profiles")
        self.users = {k: u for k, u in self.users.items() if u.id != user_id}

    # Personas
    def personas(self, actor: Actor) -> list[Persona]:
        require(actor, "personas.read")
        return [self._persona(i) for i in self.versions if i not in self.gone_personas]

    def tool_names(self, actor: Actor) -> list[str]:
        require(actor, "personas.read")
        return ["search_documents"]

    def persona(self, actor: Actor, id_or_slug: UUID | str) -> Persona:
        require(actor, "personas.read")
        for persona_id in self.versions:
            if str(id_or_slug) in (str(persona_id), self._persona(persona_id).slug):
                return self._persona(persona_id)
        raise PersonaNotFound

    def save_persona(
        self, actor: Actor, draft: PersonaDraft, persona_id: UUID | None = None, note: str = ""
    ) -> Persona:
        require(actor, "personas.write")
        if any(p.name.lower() == draft.name.lower() and p.id != persona_id for p in self.personas(actor)):
            raise NameTaken(f"There is a persona called {draft.name} already. Choose another name.")
        persona_id = persona_id or new_id()
        past = self.versions.setdefault(persona_id, [])
        past.append(PersonaVersion(new_id(), persona_id, len(past) + 1, draft, NOON, actor.name, note))
        return self._persona(persona_id)

    def persona_versions(self, actor: Actor, persona_id: UUID) -> list[PersonaVersion]:
        require(actor, "personas.write")
        return list(reversed(self.versions[persona_id]))

    def restore_persona(self, actor: Actor, persona_id: UUID, version: int) -> Persona:
        old = next(v for v in self.versions[persona_id] if v.version == version)
        return self.save_persona(actor, old.draft, persona_id, f"Restored version {version}")

    def duplicate_persona(self, actor: Actor, persona_id: UUID) -> Persona:
        draft = self._persona(persona_id).draft
        return self.save_persona(actor, dataclasses.replace(draft, name=f"{draft.name} (copy)"))

    def delete_persona(self, actor: Actor, persona_id: UUID) -> None:
        require(actor, "personas.write")
        self.gone_personas.add(persona_id)

    def undelete_persona(self, actor: Actor, persona_id: UUID) -> None:
        require(actor, "personas.write")
        self.gone_personas.discard(persona_id)

    def _persona(self, persona_id: UUID) -> Persona:
        last = self.versions[persona_id][-1]
        slug = re.sub(r"\W+", "-", last.draft.name.lower())
        return Persona(persona_id, slug, last.version, last.id, last.draft, NOON, NOON)

    # Threads
    def new_thread(
        self,
        actor: Actor,
        persona_id: UUID,
        *,
        title: str = "",
        backend: str | None = None,
        client_id: UUID | None = None,
    ) -> Thread:
        require(actor, "chat")
        thread = Thread(new_id(), actor.user_id, title, persona_id, NOON, NOON, client_id, backend=backend)
        self.rows[thread.id], self.talk[thread.id] = thread, []
        return thread

    def say(self, thread: Thread, *texts: str, status: str = "complete", when: datetime = NOON) -> None:
        """Put turns into a thread: question, answer, question, ..."""
        for text in texts:
            talk = self.talk[thread.id]
            speaker: Literal["user", "assistant"] = "assistant" if len(talk) % 2 else "user"
            done: Any = status if speaker == "assistant" else "complete"
            part = Part("text", text=text)
            talk.append(Message(new_id(), thread.id, None, speaker, (part,), text, done, when))
        self.rows[thread.id] = dataclasses.replace(self.rows[thread.id], updated_at=when)

    def thread(self, actor: Actor, thread_id: UUID) -> Thread:
        return self.rows[thread_id]

    def threads(self, actor: Actor, query: ThreadQuery) -> tuple[list[ThreadHit], int]:
        require(actor, "threads")
        self.asked.append(query)
        hits = [h for t in self.rows.values() if (h := self._hit(t, query)) and t.owner_id == actor.user_id]
        hits.sort(key=lambda h: h.thread.updated_at, reverse=True)
        return hits[query.offset : query.offset + query.limit], len(hits)

    def _hit(self, thread: Thread, query: ThreadQuery) -> ThreadHit | None:
        if bool(thread.deleted_at) != query.deleted:
            return None
        if not query.deleted and bool(thread.archived_at) != query.archived:
            return None
        if query.persona_id and thread.persona_id != query.persona_id:
            return None
        if query.client_id and thread.client_id != query.client_id:
            return None
        if query.backend and (thread.backend or "extractive") != query.backend:
            return None
        if (query.since and thread.updated_at < query.since) or (query.until and thread.updated_at >= query.until):
            return None
        talk, found = self.talk[thread.id], None
        if query.text:
            found = next((m for m in talk if query.text.lower() in m.text.lower()), None)
            if found is None:
                return None
        snippet = re.sub(f"(?i)({re.escape(query.text)})", r"**\1**", found.text) if found else ""
        broken = any(m.status == "interrupted" for m in talk)
        name = self._persona(thread.persona_id).name
        last = thread.backend or "extractive"
        return ThreadHit(thread, name, len(talk), last, broken, snippet, found.id if found else None)

    def recent(self, actor: Actor, limit: int = 12) -> list[Thread]:
        require(actor, "threads")
        return [h.thread for h in self.threads(actor, ThreadQuery(limit=limit))[0]]

    def rename(self, actor: Actor, thread_id: UUID, title: str) -> Thread:
        return self._change(thread_id, title=title)

    def client_threads(self, actor: Actor, client_id: UUID) -> list[Thread]:
        return [t for t in self.rows.values() if t.client_id == client_id and not t.deleted_at]

    def move_thread(self, actor: Actor, thread_id: UUID, client_id: UUID | None) -> Thread:
        require(actor, "clients")
        return self._change(thread_id, client_id=client_id)

    def archive(self, actor: Actor, ids: Sequence[UUID]) -> int:
        return len([self._change(i, archived_at=NOON) for i in ids])

    def unarchive(self, actor: Actor, ids: Sequence[UUID]) -> int:
        return len([self._change(i, archived_at=None) for i in ids])

    def delete_threads(self, actor: Actor, ids: Sequence[UUID]) -> int:
        return len([self._change(i, deleted_at=NOON) for i in ids])

    def undelete_threads(self, actor: Actor, ids: Sequence[UUID]) -> int:
        return len([self._change(i, deleted_at=None) for i in ids])

    def export(self, actor: Actor, thread_id: UUID, form: str) -> str:
        lines = [m.text for m in self.talk[thread_id]]
        if form == "json":
            return json.dumps({"title": self.rows[thread_id].title, "messages": lines})
        return "\n\n".join([f"# {self.rows[thread_id].title}", *lines])

    def _change(self, thread_id: UUID, **values: Any) -> Thread:
        self.rows[thread_id] = dataclasses.replace(self.rows[thread_id], **values)
        return self.rows[thread_id]

    def messages(self, actor: Actor, thread_id: UUID) -> list[Message]:
        return self.talk[thread_id]

    def with_referrals(self, actor: Any, thread_ids: Any) -> set[Any]:
        return set()

    def citations(self, actor: Actor, message_ids: Sequence[UUID]) -> dict[UUID, list[Citation]]:
        return {}

    # Turns: answered at once, with the persona's name in the answer.
    def start(
        self,
        actor: Actor,
        thread_id: UUID,
        text: str,
        *,
        files: Sequence[StoredFile] = (),
        backend: str | None = None,
        key: str | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> TurnRecord:
        thread = self.rows[thread_id]
        persona = self._persona(thread.persona_id)
        answer = f"{persona.name} (version {persona.version}) heard: {text}"
        self.say(thread, text, answer)
        question, reply = self.talk[thread_id][-2:]
        turn = TurnRecord(new_id(), thread_id, question.id, reply.id, actor.user_id, "completed", "extractive", NOON)
        events = [
            Event("start", turn.id, 1, backend="extractive"),
            Event("text", turn.id, 2, text=answer),
            Event("done", turn.id, 3, status="completed", usage=Usage(3, 5)),
        ]
        self.turns[turn.id] = (turn, events)
        return turn

    def tail(
        self,
        actor: Actor,
        turn_id: UUID,
        after: int = 0,
        poll: float = 0.2,
    ) -> Iterator[Event | None]:
        yield from self.turns[turn_id][1][after:]

    def running(self, actor: Actor, thread_id: UUID) -> TurnRecord | None:
        return None

    def turn(self, actor: Actor, turn_id: UUID) -> TurnRecord:
        return self.turns[turn_id][0]

    # Files and knowledge
    def attach(self, actor: Actor, name: str, data: bytes) -> StoredFile:
        stored = StoredFile(new_id(), "0" * 64, name, "image/png", len(data), NOON)
        self.bytes[stored.id] = data
        return stored

    def file(self, actor: Actor, file_id: UUID) -> tuple[StoredFile, bytes]:
        data = self.bytes[file_id]
        return StoredFile(file_id, "0" * 64, "file", "image/png", len(data), NOON), data

    def collections(self, actor: Actor) -> list[Collection]:
        require(actor, "knowledge.read")
        return [self._counted(c) for c in self.groups.values()]

    def create_collection(self, actor: Actor, name: str, description: str = "", licence: str = "") -> Collection:
        require(actor, "knowledge.write")
        if any(c.name.lower() == name.lower() for c in self.groups.values()):
            raise NameTaken(f"There is a collection called {name} already. Choose another name.")
        group = Collection(new_id(), name, description, 1, NOON, licence=licence)
        self.groups[group.id] = group
        return group

    def _counted(self, group: Collection) -> Collection:
        papers = [d for d in self.papers.values() if d.collection_id == group.id]
        return dataclasses.replace(group, documents=len(papers), chunks=sum(d.chunks for d in papers))

    def put(self, group: Collection, name: str, text: str, **values: Any) -> Document:
        """A document that is already read, `text` split into one passage a line."""
        chunks = len(text.splitlines())
        known: dict[str, Any] = {"embedded": chunks, "language": "en", "added_by": "Admin", **values}
        paper = Document(
            new_id(), group.id, name, name, "text/plain", len(text), "0" * 64, "ready", NOON,
            chunks=chunks, **known,
        )  # fmt: skip
        self.papers[paper.id], self.texts[paper.id] = paper, text
        self.bytes[paper.id] = text.encode()
        return paper

    def documents(self, actor: Actor, collection_id: UUID | None = None) -> list[Document]:
        require(actor, "knowledge.read")
        return [d for d in self.papers.values() if collection_id in (None, d.collection_id)]

    def document(self, actor: Actor, document_id: UUID) -> Document:
        require(actor, "knowledge.read")
        if document_id not in self.papers:
            raise DocumentNotFound
        return self.papers[document_id]

    def document_text(self, actor: Actor, document_id: UUID) -> tuple[str, list[tuple[int | str, int, int]]]:
        text, marks, at = self.texts[document_id], list[tuple[int | str, int, int]](), 0
        for number, line in enumerate(text.splitlines(keepends=True), 1):
            marks.append((number, at, at + len(line)))
            at += len(line)
        return text, marks

    def document_file(self, actor: Actor, document_id: UUID) -> tuple[StoredFile, bytes]:
        paper = self.document(actor, document_id)
        return StoredFile(document_id, "0" * 64, paper.name, paper.media_type, paper.size, NOON), self.bytes[
            document_id
        ]

    def passed_over(self, actor: Actor, name: str, data: Any) -> str:
        require(actor, "knowledge.write")
        return f"{name}: 1 file in it was left out: odd.exe." if name.endswith(".zip") else ""

    def upload(self, actor: Actor, collection_id: UUID, name: str, data: Any, replace: UUID | None = None) -> UUID:
        require(actor, "knowledge.write")
        if collection_id not in self.groups:
            raise CollectionNotFound
        if name in self.refuses:
            raise self.refuses[name]
        raw = data if isinstance(data, bytes) else data.read_bytes()
        job = new_id()
        self.job_groups[job] = collection_id
        if len(raw) > self.largest_upload():
            progress = IngestProgress(None, name, "failed", error="The file has 25.1 MB; 25 MB is the most.")
        elif not raw:
            progress = IngestProgress(None, name, "failed", error="The file is empty (0 bytes).")
        else:
            if replace:
                del self.papers[replace]
            paper = self.put(self.groups[collection_id], name, raw.decode("utf-8", "replace"))
            progress = IngestProgress(paper.id, name, "ready", paper.chunks, paper.chunks)
        self.jobs.append((job, progress))
        return job

    def largest_upload(self) -> int:
        return 25_000_000

    def uploads(
        self,
        actor: Actor,
        collection_id: UUID | None = None,
        stages: Sequence[UploadStage] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> list[tuple[UUID, IngestProgress]]:
        mine = [j for j in self.jobs if collection_id in (None, self.job_groups.get(j[0], collection_id))]
        mine = [j for j in mine if not stages or j[1].stage in stages]
        return mine[offset : None if limit is None else offset + limit]

    def upload_counts(self, actor: Actor, collection_id: UUID | None = None) -> UploadCounts:
        steps = [step for _, step in self.uploads(actor, collection_id)]
        stages = [step.stage for step in steps]
        ready, failed = stages.count("ready"), stages.count("failed")
        waiting, paused = stages.count("queued"), stages.count("paused")
        return UploadCounts(
            len(stages), ready, failed, waiting, paused, len(stages) - ready - failed - waiting - paused,
            sum(step.duplicate for step in steps), (ready + failed) / len(stages) if stages else 0.0, self.seconds_left,
        )  # fmt: skip

    def _steer(self, actor: Actor, what: str, group: UUID | None, before: tuple[str, ...], after: str | None) -> int:
        require(actor, "knowledge.write")
        self.asked.append((what, group))
        mine = {job for job, step in self.uploads(actor, group) if step.stage in before}
        if after is None:
            self.jobs = [j for j in self.jobs if j[0] not in mine]
        else:
            stage: Any = after
            changed = [(j, dataclasses.replace(s, stage=stage) if j in mine else s) for j, s in self.jobs]
            self.jobs = changed
        return len(mine)

    def pause_uploads(self, actor: Actor, collection_id: UUID | None = None) -> int:
        return self._steer(actor, "pause", collection_id, ("queued",), "paused")

    def resume_uploads(self, actor: Actor, collection_id: UUID | None = None) -> int:
        return self._steer(actor, "resume", collection_id, ("paused",), "queued")

    def retry_uploads(self, actor: Actor, collection_id: UUID | None = None) -> int:
        return self._steer(actor, "retry", collection_id, ("failed",), "queued")

    def clear_uploads(
        self, actor: Actor, collection_id: UUID | None = None, stages: Sequence[UploadStage] = ("ready", "failed")
    ) -> int:
        return self._steer(actor, "clear", collection_id, tuple(stages), None)

    def cancel_uploads(self, actor: Actor, collection_id: UUID | None = None, upload_id: UUID | None = None) -> int:
        if upload_id is not None:
            self.dismiss_upload(actor, upload_id)
            return 1
        return self._steer(actor, "cancel", collection_id, ("queued", "paused", "reading", "chunking"), None)

    def search(
        self,
        actor: Actor,
        text: str,
        *,
        collections: Sequence[UUID] | None = None,
        fits: Filter = Filter(),  # noqa: B008 - it is frozen
        k: int = 8,
    ) -> list[Passage]:
        require(actor, "knowledge.read")
        found: list[Passage] = []
        for paper in self.papers.values():
            if collections is not None and paper.collection_id not in collections:
                continue
            if (fits.languages and paper.language not in fits.languages) or (
                fits.documents and paper.id not in fits.documents
            ):
                continue
            for number, line in enumerate(self.texts[paper.id].splitlines(), 1):
                if text.lower() in line.lower():
                    found.append(
                        Passage(
                            new_id(), paper.id, paper.collection_id, paper.sha256, paper.title, line,
                            page=number, score=0.9, rank_words=len(found) + 1, rank_meaning=None,
                        )
                    )  # fmt: skip
        return found[:k]

    def fitting(self, actor: Actor, fits: Filter, *, collections: Sequence[UUID] | None = None) -> int:
        require(actor, "knowledge.read")
        papers = [p for p in self.papers.values() if collections is None or p.collection_id in collections]
        return sum(not fits.languages or p.language in fits.languages for p in papers)

    def why(self, actor: Actor, text: str, passages: Sequence[Passage]) -> list[list[tuple[int, int]]]:
        require(actor, "knowledge.read")
        places = [p.text.lower().find(text.lower()) for p in passages]
        return [[(at, at + len(text))] if at >= 0 else [] for at in places]

    def glossed(self, actor: Actor, text: str, passages: Sequence[Passage]) -> list[str]:
        require(actor, "knowledge.read")
        return self.gloss

    def verdict(self, actor: Actor, text: str, passages: Sequence[Passage]) -> str:
        require(actor, "knowledge.read")
        return "nothing" if text in self.unanswerable else "answers"

    def retry_upload(self, actor: Actor, upload_id: UUID) -> None:
        require(actor, "knowledge.write")
        self.asked.append(("retry", upload_id))

    def dismiss_upload(self, actor: Actor, upload_id: UUID) -> None:
        require(actor, "knowledge.write")
        self.jobs = [(job, step) for job, step in self.jobs if job != upload_id]

    def picture(self, persona: Persona) -> bytes | None:
        return self.bytes[persona.draft.picture_id] if persona.draft.picture_id else None

    def hosted_state(
        self, actor: Actor, persona_id: UUID | None, draft: PersonaDraft | None = None, *, backend: str = ""
    ) -> HostedState:
        require(actor, "knowledge.read")
        if draft is None or draft.parameters.get("search") != "hosted":
            return self.hosted
        return self.hosted_then

    def hosted_soon(self, actor: Actor) -> None:
        require(actor, "personas.write")
        self.asked.append("hosted_soon")

    def embedding_state(self, actor: Actor) -> EmbeddingProgress:
        require(actor, "knowledge.read")
        return self.embedding

    def model_endpoints(self, actor: Actor) -> list[str]:
        require(actor, "settings")
        return [i.draft.name for i in self.endpoints(actor)]

    def test_embedder(self, actor: Actor, spec: str) -> EmbedderTrial:
        require(actor, "settings")
        if "bad" in spec:
            return EmbedderTrial(
                spec, error="The embedding endpoint at bad knows no such address or model. Check both."
            )
        host = "models.example:8080" if "#" in spec else ""
        return EmbedderTrial(spec, f"{spec or 'bundled'}-model", 384, 7.0, 40.0, 7177, 7177, host)

    def test_reranker(self, actor: Actor, spec: str) -> EmbedderTrial:
        require(actor, "settings")
        return EmbedderTrial(spec, "rerank-model", 0, 80.0, 375.0, host="models.example")

    def embedding_progress(self, actor: Actor) -> tuple[int, int]:
        papers = self.papers.values()
        return sum(d.embedded for d in papers), sum(d.chunks for d in papers)

    # Numbers and operations
    def metrics(
        self,
        actor: Actor,
        *,
        since: timedelta,
        backend: str = "",
        persona_id: UUID | None = None,
        arm: str = "",
    ) -> Report:
        require(actor, "metrics")
        self.asked.append({"since": since, "backend": backend, "persona_id": persona_id})
        if self.report is None:
            raise CoachError("There is no report.")
        return self.report

    def backends(self, actor: Actor) -> list[BackendInfo]:
        rows = self.rows_of_endpoints.values()
        return [
            BackendInfo("extractive", "Quotes from the documents (no model)", "", True),
            BackendInfo("openai_responses", "Responses API", "gpt-5-mini", False, "OPENAI_API_KEY is missing.", True),
            *(
                BackendInfo(
                    i.draft.name, i.draft.name, i.draft.model, not i.why, i.why, bool(i.draft.key_variable),
                    i.draft.wire, i.draft.name,
                )
                for i in rows
            ),
        ]  # fmt: skip

    def doctor(self, actor: Actor, live: bool = False) -> list[Check]:
        require(actor, "settings")
        return [
            Check("database", "ok", "SQLite, schema is current"),
            Check("key", "warn", "No key is set.", "Put OPENAI_API_KEY=... into .env"),
            *(Check(name, "ok", "looked at", milliseconds=3.0) for name in self.rows_of_endpoints),
        ]

    def test_backend(self, actor: Actor, name: str) -> Trial:
        require(actor, "settings")
        if name in self.outcomes:
            return self.outcomes[name]
        if name == "extractive" or name in self.rows_of_endpoints:
            return Trial(name, "ok", "It answers, 12 ms in all", milliseconds=12.0)
        return Trial(name, "fail", "No key is set.", "Put OPENAI_API_KEY=... into .env", 1.0)

    def default_backend(self) -> str:
        return "extractive"

    def fallback_backend(self) -> str:
        return ""

    # Endpoints
    def vendors(self, actor: Actor) -> list[Vendor]:
        require(actor, "settings")
        return list(vendors.VENDORS)

    def endpoint_facts(self, actor: Actor) -> list[Fact]:
        require(actor, "settings")
        return list(facts.FACTS)

    def endpoint_wires(self, actor: Actor) -> dict[str, str]:
        require(actor, "settings")
        return vendors.wires()

    def endpoints(self, actor: Actor) -> list[EndpointInfo]:
        require(actor, "settings")
        return list(self.rows_of_endpoints.values())

    def endpoint_key(self, actor: Actor, draft: EndpointDraft) -> tuple[KeyState, str]:
        require(actor, "settings")
        if not draft.key_variable or draft.key_variable in self.keys:
            return ("set" if draft.key_variable else "none"), ""
        return "missing", f"No key is set. Put {draft.key_variable}=... into the file .env."

    def save_endpoint(self, actor: Actor, draft: EndpointDraft, endpoint_id: UUID | None = None) -> EndpointInfo:
        require(actor, "settings")
        draft = checked(Settings(), draft)
        if endpoint_id is None and draft.name in self.rows_of_endpoints:
            raise NameTaken
        state, why = self.endpoint_key(actor, draft)
        info = EndpointInfo(endpoint_id or new_id(), draft, state, why, vendors.host(draft.base_url))
        self.rows_of_endpoints[draft.name] = info
        return info

    def delete_endpoint(self, actor: Actor, endpoint_id: UUID) -> None:
        require(actor, "settings")
        self.rows_of_endpoints = {n: i for n, i in self.rows_of_endpoints.items() if i.id != endpoint_id}

    def endpoint_uses(self, actor: Actor, name: str) -> list[str]:
        require(actor, "settings")
        return self.uses

    def test_endpoint(self, actor: Actor, draft: EndpointDraft) -> Trial:
        require(actor, "settings")
        checked(Settings(), draft)
        self.tested.append(draft)
        return self.outcomes.get(draft.name) or Trial(draft.name, "ok", "says ready", model=draft.model)

    def list_models(self, actor: Actor, draft: EndpointDraft) -> list[str]:
        require(actor, "settings")
        return self.models

    def persona_names(self, actor: Actor) -> dict[UUID, str]:
        require(actor, "metrics")
        return {i: self._persona(i).name for i in self.versions if i not in self.gone_personas}

    def settings_help(self, actor: Actor) -> dict[str, tuple[str, bool]]:
        require(actor, "settings")
        return {name: (f"What {name} does.", "key" not in name) for name, _, _ in self.settings_rows}

    def change_setting(self, actor: Actor, name: str, value: str) -> None:
        require(actor, "settings")
        Settings.check(name, value)
        rows = [(n, value if n == name else v, "settings table" if n == name else w) for n, v, w in self.settings_rows]
        self.settings_rows = rows

    def audit(self, actor: Actor, limit: int = 100) -> list[Any]:
        require(actor, "settings")
        return []

    def settings_view(self, actor: Actor) -> list[tuple[str, str, str]]:
        require(actor, "settings")
        return list(self.settings_rows)


@contextmanager
def installed(patch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    """A fresh fake behind the one factory of the pages."""
    fake = FakeCoach()
    patch.setattr(shared, "make_coach", lambda: fake)
    shared.close_coach()
    yield fake
    shared.close_coach()


def open_page(name: str, **query: str) -> AppTest:
    """The page `name` within the app, as the owner."""
    at = AppTest.from_file(MAIN, default_timeout=30)
    for key, value in query.items():
        at.query_params[key] = value
    at.switch_page(f"../../pages/{name}.py").run()
    assert not at.exception, at.exception[0].stack_trace
    return at


def open_alone(name: str, user: User) -> AppTest:
    """The page `name` as `user`, without the navigation that would not offer it."""
    at = AppTest.from_file(ROOT / "pages" / f"{name}.py", default_timeout=30)
    at.session_state["_profile_id"] = user.id
    at.run()
    assert not at.exception, at.exception[0].stack_trace
    return at


def press(at: AppTest, label: str) -> AppTest:
    """Press the one button with this label, and hold that nothing broke."""
    found = [b for b in at.button if b.label == label]
    assert len(found) == 1, f"{len(found)} buttons are called {label!r}: {[b.label for b in at.button]}"
    assert not found[0].disabled, f"{label!r} is disabled"
    found[0].click().run()
    assert not at.exception, at.exception[0].stack_trace
    return at


def shown(at: AppTest) -> str:
    """All words on the page, as a person reads them: without the escapes of Markdown."""
    kinds = [at.title, at.header, at.subheader, at.error, at.warning, at.info, at.success, at.markdown, at.caption]
    words = "\n".join(str(e.value) for elements in kinds for e in elements)
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", words.replace("\u2060", ""))


_ROLES: tuple[Role, ...] = ("owner", "admin", "coach", "client", "stakeholder")


def draft(name: str, **values: Any) -> PersonaDraft:
    known: Mapping[str, Any] = {"instructions": "Listen first.\nThen ask.", "greeting": "Hello.", **values}
    return PersonaDraft(name, **known)
