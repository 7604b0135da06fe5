"""A Coach in memory with the same methods, for driving pages without a database or a backend.

Answers come from `script`: the events of each next turn. A turn whose events end without `done` keeps
running until `release()`; `tail` then yields what is left. Nothing here sleeps or starts a thread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from coach_core import errors
from coach_core.tools import slash
from coach_core.types import (
    Actor,
    BackendInfo,
    Citation,
    Collection,
    Document,
    Event,
    Message,
    Part,
    Persona,
    PersonaDraft,
    Role,
    StoredFile,
    Summary,
    Thread,
    ThreadHit,
    ThreadQuery,
    TurnRecord,
    Usage,
    User,
    Window,
    new_id,
    now,
)
from tests.ui.fake_clients import FakeClients

CITATION = Citation(
    number=1,
    title="College Success",
    section="Managing your time",
    page=41,
    text="Before. A calendar shows where the hours go. After.",
    quote="A calendar shows where the hours go.",
    start=100,
    end=100 + len("Before. A calendar shows where the hours go. After."),
    score=0.81,
    rank_words=1,
    rank_meaning=3,
    document_id=new_id(),
    document_hash="h" * 64,
)


def answer(text: str, *, citations: Sequence[Citation] = (), status: Any = "completed") -> list[Event]:
    """The events of a plain answer."""
    return [
        Event("start", backend="scripted", model="script"),
        *(Event("citation", citation=c) for c in citations),
        Event("text", text=text),
        Event("done", status=status, usage=Usage(12, 34), finish_reason="stop", attempts=1),
    ]


class FakeCoach(FakeClients):
    def __init__(self) -> None:
        self.admit()
        self.attached: dict[UUID, tuple[StoredFile, bytes]] = {}
        self.users = [self._user("Owner", "owner")]
        self.all_personas = [
            self._persona("general", "General coach", starters=("A", "B", "C", "D")),
            self._persona("career", "Career coach", starters=("How do I ask for a raise?",)),
        ]
        self.all_threads: dict[UUID, Thread] = {}
        self.all_messages: dict[UUID, Message] = {}
        self.turns: dict[UUID, TurnRecord] = {}
        self.turn_events: dict[UUID, list[Event]] = {}
        self.cited: dict[UUID, list[Citation]] = {}
        self.summaries: dict[UUID, Summary] = {}
        self.script: list[list[Event]] = []
        self.calls: list[tuple[Any, ...]] = []
        self.closed = False
        self.picture: Any = None
        self.fails: errors.CoachError | None = None

    # -- people and personas
    def profiles(self) -> list[User]:
        if self.fails:
            raise self.fails
        return list(self.users)

    def owner(self) -> Actor:
        return self.actor_for(self.users[0].id)

    def actor_for(self, user_id: UUID, channel: str = "web") -> Actor:
        for user in self.users:
            if user.id == user_id:
                return Actor(user.id, user.role, user.name, user.client_id, channel)
        raise errors.ProfileNotFound

    def add_profile(self, actor: Actor, name: str, role: Role) -> User:
        if any(user.name == name for user in self.users):
            raise errors.NameTaken
        self.users.append(self._user(name, role))
        return self.users[-1]

    def personas(self, actor: Actor) -> list[Persona]:
        return list(self.all_personas)

    def persona(self, actor: Actor, id_or_slug: UUID | str) -> Persona:
        for persona in self.all_personas:
            if id_or_slug in (persona.id, persona.slug):
                return persona
        raise errors.PersonaNotFound

    # -- threads and messages
    def new_thread(
        self,
        actor: Actor,
        persona_id: UUID,
        *,
        title: str = "",
        backend: str | None = None,
        client_id: UUID | None = None,
    ) -> Thread:
        thread = Thread(new_id(), actor.user_id, title, persona_id, now(), now(), client_id, backend=backend)
        self.all_threads[thread.id] = thread
        return thread

    def thread(self, actor: Actor, thread_id: UUID) -> Thread:
        found = self.all_threads.get(thread_id)
        if found is None or found.owner_id != actor.user_id:
            raise errors.ThreadNotFound
        return found

    def threads(self, actor: Actor, query: ThreadQuery) -> tuple[list[ThreadHit], int]:
        hits = [ThreadHit(t, "General coach", 2, "scripted", False) for t in self.recent(actor)]
        return hits, len(hits)

    def recent(self, actor: Actor, limit: int = 12) -> list[Thread]:
        mine = [t for t in self.all_threads.values() if t.owner_id == actor.user_id and not t.deleted_at]
        return sorted(mine, key=lambda t: t.updated_at, reverse=True)[:limit]

    def rename(self, actor: Actor, thread_id: UUID, title: str) -> Thread:
        return self._change(actor, thread_id, title=title)

    def set_backend(self, actor: Actor, thread_id: UUID, backend: str | None) -> Thread:
        return self._change(actor, thread_id, backend=backend)

    def set_persona(self, actor: Actor, thread_id: UUID, persona_id: UUID) -> Thread:
        return self._change(actor, thread_id, persona_id=persona_id)

    def client_threads(self, actor: Actor, client_id: UUID) -> list[Thread]:
        return [t for t in self.recent(actor, 1000) if t.client_id == client_id]

    def move_thread(self, actor: Actor, thread_id: UUID, client_id: UUID | None) -> Thread:
        return self._change(actor, thread_id, client_id=client_id)

    def archive(self, actor: Actor, ids: Sequence[UUID]) -> int:
        return len([self._change(actor, i, archived_at=now()) for i in ids])

    def delete_threads(self, actor: Actor, ids: Sequence[UUID]) -> int:
        return len([self._change(actor, i, deleted_at=now()) for i in ids])

    def undelete_threads(self, actor: Actor, ids: Sequence[UUID]) -> int:
        return len([self._change(actor, i, deleted_at=None) for i in ids])

    def export(self, actor: Actor, thread_id: UUID, form: str) -> str:
        return "\n\n".join(m.text for m in self.messages(actor, thread_id))

    def messages(self, actor: Actor, thread_id: UUID) -> list[Message]:
        branch: list[Message] = []
        at = self.thread(actor, thread_id).head_id
        while at is not None:
            message = self.all_messages[at]
            siblings = tuple(
                m.id
                for m in self.all_messages.values()
                if m.parent_id == message.parent_id and m.thread_id == thread_id
            )
            branch.append(dataclasses.replace(message, siblings=siblings))
            at = message.parent_id
        return branch[::-1]

    def window(self, actor: Actor, thread_id: UUID, last: int, *, around: UUID | None = None, after: int = 0) -> Window:
        branch = self.messages(actor, thread_id)
        self.calls.append(("window", last, around, after))
        if around is None:
            return Window(tuple(branch[-last:]), earlier=len(branch) > last)
        at = next((i for i, m in enumerate(branch) if m.id == around), None)
        if at is None:
            raise errors.MessageNotFound
        low, high = max(0, at - last), at + 1 + after
        return Window(tuple(branch[low:high]), earlier=low > 0, later=high < len(branch))

    def opened(self, actor: Actor, thread_id: UUID) -> None:
        self.calls.append(("opened", thread_id))

    def message(self, actor: Actor, message_id: UUID) -> Message:
        if message_id not in self.all_messages:
            raise errors.MessageNotFound
        return self.all_messages[message_id]

    def summary(self, actor: Actor, thread_id: UUID, message_id: UUID | None = None) -> Summary | None:
        return self.summaries.get(thread_id)

    def show_branch(self, actor: Actor, thread_id: UUID, message_id: UUID) -> None:
        leaf = message_id
        while children := [m.id for m in self.all_messages.values() if m.parent_id == leaf]:
            leaf = children[-1]
        self._change(actor, thread_id, head_id=leaf)

    def cited_page(self, actor: Actor, message_id: UUID, number: int, page: int | None = None) -> Any:
        if self.picture is None:
            raise errors.UnsupportedFile
        return dataclasses.replace(self.picture, page=page)

    def referrals(self, actor: Any, thread_id: Any) -> dict[Any, Any]:
        return {}

    def with_referrals(self, actor: Any, thread_ids: Any) -> set[Any]:
        return set()

    def citations(self, actor: Actor, message_ids: Sequence[UUID]) -> dict[UUID, list[Citation]]:
        return {i: self.cited[i] for i in message_ids if i in self.cited}

    def feedback(self, actor: Actor, message_id: UUID, value: int, reason: str = "") -> None:
        self.calls.append(("feedback", message_id, value, reason))
        message = self.all_messages[message_id]
        self.all_messages[message_id] = dataclasses.replace(message, feedback=value, feedback_reason=reason)

    # -- turns
    def slash_commands(
        self, actor: Actor, persona_id: UUID, backend: str | None = None
    ) -> tuple[list[slash.Command], str]:
        why = "Chat Completions API uses no tools by itself: call them here." if backend == "openai_chat" else ""
        return [slash.Command("/search_documents", "/search_documents QUERY", "Search the documents.")], why

    def check_question(
        self, actor: Actor, text: str, files: Sequence[StoredFile] = (), persona_id: UUID | None = None
    ) -> None:
        if not text.strip() and not files:
            raise errors.EmptyMessage
        if len(text) > 50_000:
            raise errors.MessageTooLong

    def start(
        self,
        actor: Actor,
        thread_id: UUID,
        text: str,
        *,
        files: Sequence[StoredFile] = (),
        backend: str | None = None,
        key: str | None = None,
    ) -> TurnRecord:
        if not text.strip() and not files:
            raise errors.EmptyMessage
        thread = self.thread(actor, thread_id)
        parts = (Part("text", text), *(Part("file", file_id=f.id, name=f.name) for f in files))
        return self._ask(actor, thread, thread.head_id, text, parts)

    def edit(self, actor: Actor, message_id: UUID, text: str) -> TurnRecord:
        old = self.all_messages[message_id]
        thread = self.thread(actor, old.thread_id)
        return self._ask(actor, thread, old.parent_id, text, (Part("text", text),))

    def regenerate(self, actor: Actor, message_id: UUID, backend: str | None = None) -> TurnRecord:
        old = self.all_messages[message_id]
        return self._answer(actor, self.thread(actor, old.thread_id), old.parent_id)

    def resume(self, actor: Actor, message_id: UUID) -> TurnRecord:
        old = self.all_messages[message_id]
        self.calls.append(("resume", message_id))
        return self._answer(actor, self.thread(actor, old.thread_id), old.parent_id, begin=old.text)

    def cancel(self, actor: Actor, turn_id: UUID) -> None:
        self.calls.append(("cancel", turn_id))
        self._append(turn_id, Event("done", status="cancelled"))

    def running(self, actor: Actor, thread_id: UUID) -> TurnRecord | None:
        return next((t for t in self.turns.values() if t.thread_id == thread_id and t.status == "running"), None)

    def turn(self, actor: Actor, turn_id: UUID) -> TurnRecord:
        return self.turns[turn_id]

    def turn_of(self, actor: Actor, message_id: UUID) -> TurnRecord | None:
        return next((t for t in self.turns.values() if t.answer_id == message_id), None)

    def tail(
        self,
        actor: Actor,
        turn_id: UUID,
        after: int = 0,
        timeout: float | None = None,
        poll: float | None = None,
    ) -> Iterator[Event | None]:
        yield from self.turn_events[turn_id][after:]

    def partial(self, actor: Actor, turn_id: UUID) -> str:
        return self.all_messages[self.turns[turn_id].answer_id].text

    def release(self, turn_id: UUID) -> None:
        """Let a held turn complete."""
        self._append(turn_id, Event("done", status="completed", usage=Usage(1, 2)))

    # -- files and operations
    def attach(self, actor: Actor, name: str, data: bytes) -> StoredFile:
        if not data:
            raise errors.EmptyFile
        stored = StoredFile(new_id(), "0" * 64, name, "text/plain", len(data), now())
        self.attached[stored.id] = (stored, data)
        return stored

    def file(self, actor: Actor, file_id: UUID) -> tuple[StoredFile, bytes]:
        if file_id not in self.attached:
            raise errors.FileNotFound
        return self.attached[file_id]

    def collections(self, actor: Actor) -> list[Collection]:
        return [Collection(new_id(), "Library", "", 1, now(), 1, 1)]

    def document(self, actor: Actor, document_id: UUID) -> Document:
        if document_id != CITATION.document_id:
            raise errors.DocumentNotFound
        return Document(
            document_id, new_id(), "college.pdf", "College Success", "application/pdf", 10, "h" * 64, "ready", now()
        )

    def document_file(self, actor: Actor, document_id: UUID) -> tuple[StoredFile, bytes]:
        return StoredFile(new_id(), "h" * 64, "college.pdf", "application/pdf", 4, now()), b"%PDF"

    def document_text(self, actor: Actor, document_id: UUID) -> tuple[str, list[tuple[str, int, int]]]:
        return f"{'Before it. ' * 9}\n{CITATION.text}\nAfter it.", [("p. 41", 0, 300)]

    def backends(self, actor: Actor) -> list[BackendInfo]:
        return [
            BackendInfo("scripted", "Scripted (tests)", "script", True),
            BackendInfo("openai_chat", "Chat Completions API", "", False, why="No key is set.", needs_key=True),
        ]

    def close(self) -> None:
        self.closed = True

    # -- within
    def _user(self, name: str, role: Role) -> User:
        return User(new_id(), name, role, now())

    def _persona(self, slug: str, name: str, starters: tuple[str, ...]) -> Persona:
        draft = PersonaDraft(name, empty_state=f"{name} listens.", starters=starters)
        return Persona(new_id(), slug, 1, new_id(), draft, now(), now())

    def _change(self, actor: Actor, thread_id: UUID, **values: Any) -> Thread:
        self.all_threads[thread_id] = dataclasses.replace(self.thread(actor, thread_id), **values)
        return self.all_threads[thread_id]

    def _ask(self, actor: Actor, thread: Thread, parent: UUID | None, text: str, parts: tuple[Part, ...]) -> TurnRecord:
        if self.running(actor, thread.id):
            raise errors.TurnRunning
        question = Message(new_id(), thread.id, parent, "user", parts, text, "complete", now())
        self.all_messages[question.id] = question
        if not thread.title:
            self._change(actor, thread.id, title=text[:60])
        return self._answer(actor, thread, question.id)

    def _answer(self, actor: Actor, thread: Thread, question: UUID | None, begin: str = "") -> TurnRecord:
        if self.running(actor, thread.id):
            raise errors.TurnRunning
        assert question is not None
        turn_id = new_id()
        reply = Message(new_id(), thread.id, question, "assistant", (), begin, "streaming", now(), turn_id=turn_id)
        self.all_messages[reply.id] = reply
        self._change(actor, thread.id, head_id=reply.id, updated_at=now())
        self.turns[turn_id] = TurnRecord(
            turn_id, thread.id, question, reply.id, actor.user_id, "running", "scripted", now(), model="script"
        )
        self.turn_events[turn_id] = []
        for event in self.script.pop(0) if self.script else answer("Plain answer."):
            self._append(turn_id, event)
        return self.turns[turn_id]

    def _append(self, turn_id: UUID, event: Event) -> None:
        events = self.turn_events[turn_id]
        if events and events[-1].terminal:
            return
        event = dataclasses.replace(event, turn=turn_id, seq=len(events) + 1)
        events.append(event)
        turn = self.turns[turn_id]
        reply = self.all_messages[turn.answer_id]
        if event.kind == "text":
            reply = dataclasses.replace(reply, text=reply.text + event.text)
        elif event.citation is not None:
            self.cited.setdefault(reply.id, []).append(event.citation)
        elif event.kind == "done":
            status = "cancelled" if event.status == "cancelled" else "complete"
            reply = dataclasses.replace(reply, status=status, parts=(Part("text", reply.text),))
            self.turns[turn_id] = dataclasses.replace(
                turn,
                status=event.status or "completed",
                usage=event.usage or Usage(),
                timing={"first_token": 320.0, "total": 1240.0},
                cost=1200,
                ended_at=now(),
            )
        elif event.kind == "error":
            reply = dataclasses.replace(reply, status="failed")
            self.turns[turn_id] = dataclasses.replace(
                turn, status="failed", error=event.error, error_text=event.text, ended_at=now()
            )
        self.all_messages[reply.id] = reply
