"""Threads, messages and turns: every method sees the actor's own and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from coach_core import access
from coach_core.coach import export
from coach_core.coach.asking import Ask
from coach_core.coach.base import Base
from coach_core.coach.caring import Referral
from coach_core.errors import EmptyMessage, FileNotFound, MessageTooLong, TurnRunning
from coach_core.store import care, clients, files, messages, threads, turns
from coach_core.store import personas as persona_rows
from coach_core.tools import slash
from coach_core.types import (
    Actor,
    Citation,
    Event,
    Message,
    Part,
    StoredFile,
    Thread,
    ThreadHit,
    ThreadQuery,
    TurnRecord,
    clean_text,
)


class Conversations(Base):
    def new_thread(
        self,
        actor: Actor,
        persona_id: UUID,
        *,
        title: str = "",
        backend: str | None = None,
        client_id: UUID | None = None,
    ) -> Thread:
        """A new, empty thread, about one of the actor's clients when `client_id` is given."""
        access.require(actor, "chat")
        persona_rows.get(self._db, persona_id)
        if client_id is not None and actor.role != "client":
            access.require(actor, "clients")
            clients.get(self._db, actor, client_id)
        title = clean_text(title)
        return threads.create(self._db, actor, persona_id, title=title, backend=backend, client_id=client_id)

    def thread(self, actor: Actor, thread_id: UUID) -> Thread:
        access.require(actor, "threads")
        return threads.get(self._db, actor, thread_id)

    def threads(self, actor: Actor, query: ThreadQuery) -> tuple[list[ThreadHit], int]:
        access.require(actor, "threads")
        return threads.find(self._db, actor, query)

    def recent(self, actor: Actor, limit: int = 12) -> list[Thread]:
        access.require(actor, "threads")
        return threads.recent(self._db, actor, limit)

    def rename(self, actor: Actor, thread_id: UUID, title: str) -> Thread:
        access.require(actor, "threads")
        return threads.update(self._db, actor, thread_id, title=clean_text(title).strip()[:200])

    def set_backend(self, actor: Actor, thread_id: UUID, backend: str | None) -> Thread:
        access.require(actor, "chat")
        return threads.update(self._db, actor, thread_id, backend=backend)

    def set_persona(self, actor: Actor, thread_id: UUID, persona_id: UUID) -> Thread:
        access.require(actor, "chat")
        persona_rows.get(self._db, persona_id)
        return threads.update(self._db, actor, thread_id, persona_id=persona_id)

    def archive(self, actor: Actor, ids: Sequence[UUID]) -> int:
        access.require(actor, "threads")
        return threads.archive(self._db, actor, ids)

    def unarchive(self, actor: Actor, ids: Sequence[UUID]) -> int:
        access.require(actor, "threads")
        return threads.unarchive(self._db, actor, ids)

    def delete_threads(self, actor: Actor, ids: Sequence[UUID]) -> int:
        access.require(actor, "threads")
        return threads.delete(self._db, actor, ids)

    def undelete_threads(self, actor: Actor, ids: Sequence[UUID]) -> int:
        access.require(actor, "threads")
        return threads.undelete(self._db, actor, ids)

    def export(self, actor: Actor, thread_id: UUID, form: Literal["markdown", "json"] = "markdown") -> str:
        """The thread as text: Markdown (the branch on show) or JSON (everything)."""
        access.require(actor, "threads")
        thread = threads.get(self._db, actor, thread_id)
        persona = persona_rows.get(self._db, thread.persona_id)
        if form == "markdown":
            branch = messages.branch(self._db, actor, thread_id)
            cited = messages.citations(self._db, actor, [m.id for m in branch])
            return export.markdown(thread, persona.name, branch, cited)
        tree = messages.tree(self._db, actor, thread_id)
        cited = messages.citations(self._db, actor, [m.id for m in tree])
        return export.as_json(thread, persona, tree, cited, turns.of_thread(self._db, actor, thread_id))

    def messages(self, actor: Actor, thread_id: UUID) -> list[Message]:
        """The branch on show, root first."""
        access.require(actor, "threads")
        return messages.branch(self._db, actor, thread_id)

    def show_branch(self, actor: Actor, thread_id: UUID, message_id: UUID) -> None:
        """Show the branch through `message_id`, down to its newest leaf."""
        access.require(actor, "threads")
        leaf = messages.leaf_of(self._db, actor, message_id)
        threads.update(self._db, actor, thread_id, head_id=leaf)

    def citations(self, actor: Actor, message_ids: Sequence[UUID]) -> dict[UUID, list[Citation]]:
        access.require(actor, "threads")
        return messages.citations(self._db, actor, message_ids)

    def referrals(self, actor: Actor, thread_id: UUID) -> dict[UUID, Referral]:
        """The answers of a thread that help lines stand beside, by the answer's id."""
        access.require(actor, "threads")
        return {answer: self._caring.card(locale) for answer, locale in care.shown(self._db, actor, thread_id).items()}

    def with_referrals(self, actor: Actor, thread_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these threads of the actor's own hold a referral."""
        access.require(actor, "threads")
        return care.threads(self._db, actor, thread_ids)

    def feedback(self, actor: Actor, message_id: UUID, value: int, reason: str = "") -> None:
        """1 for thumbs up, -1 for thumbs down, 0 to take it back."""
        access.require(actor, "threads")
        messages.set_feedback(self._db, actor, message_id, max(-1, min(1, value)), clean_text(reason)[:2000])

    def check_question(
        self, actor: Actor, text: str, files: Sequence[StoredFile] = (), persona_id: UUID | None = None
    ) -> None:
        """Raise what `start` would say of the question itself, before there is a thread for it."""
        access.require(actor, "chat")
        parts = self._question(text, files)
        if persona_id is not None:
            self._asking.check(persona_rows.get(self._db, persona_id), parts)

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
        """Ask `text` at the end of the branch on show. With a JSON `schema` the answer is data that follows it.
        Raises EmptyMessage, MessageTooLong, TurnRunning, InputError for a tool's call that is written wrongly."""
        access.require(actor, "chat")
        ask = Ask(parts=self._question(text, files), at_end=True, backend=backend, key=key, schema=schema)
        return self._asking.ask(actor, thread_id, ask)

    def slash_commands(
        self, actor: Actor, persona_id: UUID, backend: str | None = None
    ) -> tuple[list[slash.Command], str]:
        """The persona's tools as a person may call them with a slash, and why the model that would answer in a
        thread with this `backend` calls none itself ("" when it does)."""
        access.require(actor, "chat")
        return self._asking.commands(persona_rows.get(self._db, persona_id), backend)

    def edit(self, actor: Actor, message_id: UUID, text: str, *, backend: str | None = None) -> TurnRecord:
        """Ask `text` instead of the question `message_id`, as a branch beside it; its files go along."""
        access.require(actor, "chat")
        old = messages.get(self._db, actor, message_id)
        kept = tuple(p for p in old.parts if p.kind in {"file", "image"})
        parts = self._question(text, (), kept)
        return self._asking.ask(actor, old.thread_id, Ask(parts=parts, parent_id=old.parent_id, backend=backend))

    def regenerate(self, actor: Actor, message_id: UUID, *, backend: str | None = None) -> TurnRecord:
        """Answer once more the question that `message_id` (an answer, or the question itself) belongs to."""
        access.require(actor, "chat")
        message = messages.get(self._db, actor, message_id)
        question = message.id if message.speaker == "user" else message.parent_id
        return self._asking.ask(actor, message.thread_id, Ask(question_id=question, backend=backend))

    def resume(self, actor: Actor, message_id: UUID, *, backend: str | None = None) -> TurnRecord:
        """Go on with an answer that was interrupted, stopped or cut."""
        access.require(actor, "chat")
        answer = messages.get(self._db, actor, message_id)
        if answer.status == "streaming":
            raise TurnRunning()
        ask = Ask(question_id=answer.parent_id, resume_of=answer, backend=backend)
        return self._asking.ask(actor, answer.thread_id, ask)

    def cancel(self, actor: Actor, turn_id: UUID) -> None:
        """Stop a turn, wherever it runs. One that has ended stays as it is."""
        access.require(actor, "chat")
        turns.request_cancel(self._db, actor, turn_id)
        self.runner.cancel(turn_id)

    def running(self, actor: Actor, thread_id: UUID) -> TurnRecord | None:
        access.require(actor, "threads")
        return turns.running(self._db, actor, thread_id)

    def turn(self, actor: Actor, turn_id: UUID) -> TurnRecord:
        access.require(actor, "threads")
        return turns.get(self._db, actor, turn_id)

    def turn_of(self, actor: Actor, message_id: UUID) -> TurnRecord | None:
        access.require(actor, "threads")
        return turns.of_message(self._db, actor, message_id)

    def tail(self, actor: Actor, turn_id: UUID, after: int = 0, poll: float = 0.2) -> Iterator[Event | None]:
        """The turn's events from seq `after` + 1 to the terminal one; None each `poll` seconds of silence."""
        access.require(actor, "threads")
        turns.get(self._db, actor, turn_id)
        return self.runner.tail(turn_id, after, poll)

    def partial(self, actor: Actor, turn_id: UUID) -> str:
        """The text so far."""
        access.require(actor, "threads")
        record = turns.get(self._db, actor, turn_id)
        text = self.runner.partial(turn_id)
        return messages.get(self._db, actor, record.answer_id).text if text is None else text

    def attach(self, actor: Actor, name: str, data: bytes) -> StoredFile:
        """Store a file for a question. Raises FileError when it cannot be read."""
        access.require(actor, "chat")
        media_type = self._attached.check(name, data, most_bytes=self.settings.upload_mb * 1_000_000)
        return files.put(self._db, name, media_type, data, actor.user_id)

    def file(self, actor: Actor, file_id: UUID) -> tuple[StoredFile, bytes]:
        """A file of one's own; an admin may also read pictures of personas and documents (document_file)."""
        access.require(actor, "threads")
        if files.owner_of(self._db, file_id) != actor.user_id:
            raise FileNotFound()
        return files.get(self._db, file_id), files.read(self._db, file_id)

    def _question(self, text: str, stored: Sequence[StoredFile], kept: tuple[Part, ...] = ()) -> tuple[Part, ...]:
        text = clean_text(text)
        if not text.strip() and not stored and not kept:
            raise EmptyMessage()
        most = self.settings.message_chars
        if len(text) > most:
            raise MessageTooLong(
                f"The message has {len(text):,} characters; {most:,} is the most. Shorten it, or attach it as a file."
            )
        attached = tuple(
            Part(
                "image" if f.media_type.startswith("image/") else "file",
                file_id=f.id,
                name=f.name,
                media_type=f.media_type,
            )
            for f in stored
        )
        return (*([Part("text", text)] if text.strip() else []), *kept, *attached)
