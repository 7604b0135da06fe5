"""The one thing that pages, the CLI and HTTP call; the only place where concrete parts are built.

Invariant: every method asks access.py first, with the Actor that the edge made; what it hands out are
values of types.py, and what it raises is of errors.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from coach_core import access, doctor, export, metrics, personas, prices, seed
from coach_core.asking import TOOL_NAMES, Ask, Asking, Limits
from coach_core.backends import Endpoint
from coach_core.errors import EmptyMessage, FileNotFound, MessageTooLong, NotAllowed, TurnRunning
from coach_core.jobs import Jobs
from coach_core.knowledge import Knowledge
from coach_core.knowledge.attached import Attached
from coach_core.knowledge.uploads import Progress, Uploads
from coach_core.parts import BackendParts
from coach_core.runner import Runner
from coach_core.settings import Settings
from coach_core.store import Database, audit, files, messages, settings_table, threads, turns, users
from coach_core.store import backup as backups
from coach_core.store import personas as persona_rows
from coach_core.types import (
    Actor,
    BackendInfo,
    Check,
    Citation,
    Collection,
    Document,
    Event,
    IngestProgress,
    Message,
    Part,
    Passage,
    Persona,
    PersonaDraft,
    PersonaVersion,
    StoredFile,
    Thread,
    ThreadHit,
    ThreadQuery,
    TurnRecord,
    User,
    clean_text,
    now,
)


class Coach:
    """Made by `from_settings`; `close` lets go of everything it holds."""

    def __init__(self, settings: Settings, db: Database, *, background: bool = True) -> None:
        self._db = db
        self._given = settings
        self.settings = settings.with_table(settings_table.get_all(db))
        self.knowledge = Knowledge(db, home=self.settings.home, embedder=self.settings.embedder)
        self.parts = _backend_parts(self.settings, self.knowledge)
        self.runner = Runner(db, prices.cost)
        self.uploads_ = Uploads(self.settings.home / "uploads")
        self._attached = Attached(db)
        self._asking = Asking(db, self.runner, _Current(self), self._limits, self._find, self._attached.find)
        self.jobs = Jobs(db, self.knowledge)
        if background:
            self.jobs.start()

    @classmethod
    def from_settings(cls, settings: Settings | None = None, *, background: bool = True) -> Coach:
        """Open the database (made, upgraded and seeded as needed) and all that goes with it."""
        settings = settings or Settings.load()
        db = Database.open(settings.database_url, settings.home)
        try:
            users.ensure_owner(db)
            coach = cls(settings, db, background=background)
            seed.plant(db, coach.knowledge)
            return coach
        except BaseException:
            db.close()
            raise

    def close(self) -> None:
        self.jobs.close()
        self.runner.close()
        self.uploads_.close()
        self.parts.close()
        self.knowledge.close()
        self._db.close()

    # -- people -------------------------------------------------------------------------------------

    def profiles(self) -> list[User]:
        """The local profiles of the picker: no password, loopback only."""
        return users.list_users(self._db)

    def owner(self) -> Actor:
        user = users.ensure_owner(self._db)
        return Actor(user.id, user.role, user.name)

    def actor_for(self, user_id: UUID, channel: str = "web") -> Actor:
        user = users.get_user(self._db, user_id)
        return Actor(user.id, user.role, user.name, user.client_id, channel)

    def add_profile(self, actor: Actor, name: str, role: str) -> User:
        access.require(actor, "profiles")
        if role not in access.ROLES:
            raise NotAllowed(f"There is no role called {role!r}. Choose one of: {', '.join(access.ROLES)}.")
        if role == "owner" and actor.role != "owner":
            raise NotAllowed("Only an owner can make another owner.")
        user = users.create_user(self._db, clean_text(name).strip(), role)
        self._note(actor, "profile.add", str(user.id), {}, {"name": user.name, "role": role})
        return user

    def delete_profile(self, actor: Actor, user_id: UUID) -> None:
        access.require(actor, "profiles")
        if user_id == actor.user_id:
            raise NotAllowed("You cannot delete the profile you are using. Choose another profile first.")
        user = users.get_user(self._db, user_id)
        if user.role == "owner" and actor.role != "owner":
            raise NotAllowed("Only an owner can delete an owner's profile.")
        users.delete_user(self._db, user_id)
        self._note(actor, "profile.delete", str(user_id), {"name": user.name, "role": user.role}, {})

    # -- personas -----------------------------------------------------------------------------------

    def personas(self, actor: Actor) -> list[Persona]:
        access.require(actor, "personas.read")
        return persona_rows.list_personas(self._db)

    def persona(self, actor: Actor, id_or_slug: UUID | str) -> Persona:
        access.require(actor, "personas.read")
        return persona_rows.get(self._db, id_or_slug)

    def save_persona(
        self, actor: Actor, draft: PersonaDraft, persona_id: UUID | None = None, note: str = ""
    ) -> Persona:
        """Save as a new version (or a new persona). Raises InputError, NameTaken."""
        access.require(actor, "personas.write")
        personas.check(draft, tools=TOOL_NAMES, backends=self.parts.infos())
        saved = persona_rows.save(self._db, actor.name, draft, persona_id, note)
        self._note(actor, "persona.save", str(saved.id), {}, {"version": saved.version, "name": saved.name})
        return saved

    def persona_versions(self, actor: Actor, persona_id: UUID) -> list[PersonaVersion]:
        access.require(actor, "personas.write")
        return persona_rows.versions(self._db, persona_id)

    def persona_diff(self, actor: Actor, old: PersonaDraft, new: PersonaDraft) -> str:
        access.require(actor, "personas.write")
        return personas.diff(old, new, {c.id: c.name for c in self.knowledge.collections()})

    def restore_persona(self, actor: Actor, persona_id: UUID, version: int) -> Persona:
        access.require(actor, "personas.write")
        saved = persona_rows.restore(self._db, actor.name, persona_id, version)
        self._note(actor, "persona.restore", str(persona_id), {}, {"version": version})
        return saved

    def duplicate_persona(self, actor: Actor, persona_id: UUID) -> Persona:
        source = self.persona(actor, persona_id)
        taken = {p.name for p in self.personas(actor)}
        return self.save_persona(actor, personas.copy_of(source.draft, taken), note=f"copy of {source.name}")

    def delete_persona(self, actor: Actor, persona_id: UUID) -> None:
        access.require(actor, "personas.write")
        persona_rows.delete(self._db, persona_id)
        self._note(actor, "persona.delete", str(persona_id), {}, {})

    def undelete_persona(self, actor: Actor, persona_id: UUID) -> None:
        access.require(actor, "personas.write")
        persona_rows.undelete(self._db, persona_id)
        self._note(actor, "persona.undelete", str(persona_id), {}, {})

    # -- threads ------------------------------------------------------------------------------------

    def new_thread(
        self, actor: Actor, persona_id: UUID, *, title: str = "", backend: str | None = None
    ) -> Thread:
        access.require(actor, "chat")
        persona_rows.get(self._db, persona_id)
        return threads.create(self._db, actor, persona_id, title=clean_text(title), backend=backend)

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

    # -- messages -----------------------------------------------------------------------------------

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

    def feedback(self, actor: Actor, message_id: UUID, value: int, reason: str = "") -> None:
        """1 for thumbs up, -1 for thumbs down, 0 to take it back."""
        access.require(actor, "threads")
        messages.set_feedback(self._db, actor, message_id, max(-1, min(1, value)), clean_text(reason)[:2000])

    # -- turns --------------------------------------------------------------------------------------

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
        """Ask `text` at the end of the branch on show. Raises EmptyMessage, MessageTooLong, TurnRunning."""
        access.require(actor, "chat")
        parts = self._question(text, files)
        thread = threads.get(self._db, actor, thread_id)
        ask = Ask(parts=parts, parent_id=thread.head_id, backend=backend, key=key)
        return self._asking.ask(actor, thread_id, ask)

    def edit(self, actor: Actor, message_id: UUID, text: str, *, backend: str | None = None) -> TurnRecord:
        """Ask `text` instead of the question `message_id`, as a branch beside it; its files go along."""
        access.require(actor, "chat")
        old = messages.get(self._db, actor, message_id)
        kept = tuple(p for p in old.parts if p.kind in {"file", "image"})
        parts = self._question(text, (), kept)
        return self._asking.ask(
            actor, old.thread_id, Ask(parts=parts, parent_id=old.parent_id, backend=backend)
        )

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

    # -- files --------------------------------------------------------------------------------------

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

    def picture(self, persona: Persona) -> bytes | None:
        """A persona's picture; everybody who sees the persona sees it."""
        return files.read(self._db, persona.draft.picture_id) if persona.draft.picture_id else None

    # -- knowledge ----------------------------------------------------------------------------------

    def collections(self, actor: Actor) -> list[Collection]:
        access.require(actor, "knowledge.read")
        return self.knowledge.collections()

    def create_collection(
        self, actor: Actor, name: str, description: str = "", licence: str = ""
    ) -> Collection:
        access.require(actor, "knowledge.write")
        made = self.knowledge.create_collection(
            clean_text(name).strip(), clean_text(description), clean_text(licence)
        )
        self._note(actor, "collection.add", str(made.id), {}, {"name": made.name})
        return made

    def delete_collection(self, actor: Actor, collection_id: UUID) -> None:
        access.require(actor, "knowledge.write")
        self.knowledge.delete_collection(collection_id)
        self._note(actor, "collection.delete", str(collection_id), {}, {})

    def documents(self, actor: Actor, collection_id: UUID | None = None) -> list[Document]:
        access.require(actor, "knowledge.read")
        if collection_id is not None:
            return self.knowledge.documents(collection_id)
        return [d for c in self.knowledge.collections() for d in self.knowledge.documents(c.id)]

    def document(self, actor: Actor, document_id: UUID) -> Document:
        access.require(actor, "knowledge.read")
        return self.knowledge.document(document_id)

    def document_text(self, actor: Actor, document_id: UUID) -> tuple[str, list[tuple[str, int, int]]]:
        """The extracted text and its marks (page or section, start, end)."""
        access.require(actor, "knowledge.read")
        return self.knowledge.text_of(document_id)

    def document_file(self, actor: Actor, document_id: UUID) -> tuple[StoredFile, bytes]:
        """The file as it was uploaded."""
        access.require(actor, "knowledge.read")
        document = self.knowledge.document(document_id)
        if document.file_id is None:
            raise FileNotFound()
        return files.get(self._db, document.file_id), files.read(self._db, document.file_id)

    def upload(
        self,
        actor: Actor,
        collection_id: UUID,
        name: str,
        data: bytes | Path,
        replace: UUID | None = None,
    ) -> UUID:
        """Take a file in, in the background; `uploads` tells how far it is. Returns the upload's id."""
        access.require(actor, "knowledge.write")
        path = self.uploads_.folder / str(now().timestamp()).replace(".", "-")
        path.write_bytes(data) if isinstance(data, bytes) else shutil.copyfile(data, path)

        def run(progress: Progress) -> Document:
            return self._take_in(actor, collection_id, name, path, progress, replace)

        return self.uploads_.add(actor.user_id, collection_id, name, path, run)

    def uploads(self, actor: Actor) -> list[tuple[UUID, IngestProgress]]:
        access.require(actor, "knowledge.read")
        return [(job, progress) for job, _, progress in self.uploads_.all()]

    def retry_upload(self, actor: Actor, upload_id: UUID) -> None:
        access.require(actor, "knowledge.write")
        self.uploads_.retry(upload_id)

    def dismiss_upload(self, actor: Actor, upload_id: UUID) -> None:
        access.require(actor, "knowledge.write")
        self.uploads_.dismiss(upload_id)

    def ingest(
        self,
        actor: Actor,
        collection_id: UUID,
        name: str,
        path: Path,
        progress: Progress | None = None,
        replace: UUID | None = None,
    ) -> Document:
        """Take a file in and wait for it. Raises FileError, leaving nothing behind."""
        access.require(actor, "knowledge.write")
        return self._take_in(actor, collection_id, name, path, progress, replace)

    def delete_document(self, actor: Actor, document_id: UUID) -> None:
        access.require(actor, "knowledge.write")
        document = self.knowledge.document(document_id)
        self.knowledge.delete(document_id)
        self._note(actor, "document.delete", str(document_id), {"name": document.name}, {})

    def search(
        self, actor: Actor, text: str, *, collections: Sequence[UUID] | None = None, k: int = 8
    ) -> list[Passage]:
        access.require(actor, "knowledge.read")
        if not text.strip():
            raise EmptyMessage("The search is empty. Type what to look for.")
        chosen = [c.id for c in self.knowledge.collections()] if collections is None else list(collections)
        return self.knowledge.find(clean_text(text), chosen, k=k)

    def embedding_progress(self, actor: Actor) -> tuple[int, int]:
        """(passages with a vector, all passages)."""
        access.require(actor, "knowledge.read")
        return self.knowledge.pending()

    def embed_now(self, actor: Actor, progress: Callable[[int, int], None] | None = None) -> None:
        """Embed all that waits, here and now (the CLI; the app does it in the background)."""
        access.require(actor, "knowledge.write")
        self.jobs.embed_all(progress)

    # -- numbers and operations ---------------------------------------------------------------------

    def metrics(
        self,
        actor: Actor,
        *,
        since: timedelta | datetime,
        backend: str = "",
        persona_id: UUID | None = None,
        arm: str = "",
    ) -> metrics.Report:
        access.require(actor, "metrics")
        until = now()
        start = until - since if isinstance(since, timedelta) else since
        return metrics.build(self._db, start, until, backend=backend, persona_id=persona_id, arm=arm)

    def persona_names(self, actor: Actor) -> dict[UUID, str]:
        """id -> name of every persona, for the filters of the metrics page (no instructions)."""
        access.require(actor, "metrics")
        return {p.id: p.name for p in persona_rows.list_personas(self._db)}

    def backends(self, actor: Actor) -> list[BackendInfo]:
        """The backends there are; which are ready."""
        if not (access.allowed(actor.role, "chat") or access.allowed(actor.role, "metrics")):
            access.require(actor, "chat")
        return list(self.parts.infos().values())

    def default_backend(self) -> str:
        return self.settings.backend

    def doctor(self, actor: Actor) -> list[Check]:
        access.require(actor, "settings")
        return doctor.checks(self.settings, self._db, self.knowledge, self.parts)

    def test_backend(self, actor: Actor, name: str) -> Check:
        """One live look at a backend."""
        access.require(actor, "settings")
        return doctor.check_backend(self.parts, name)

    def settings_view(self, actor: Actor) -> list[tuple[str, str, str]]:
        """(name, value or "set"/"missing", where it comes from)."""
        access.require(actor, "settings")
        return self.settings.view()

    def change_setting(self, actor: Actor, name: str, value: str) -> None:
        """Put `value` into the settings table ("" takes it out); it holds from the next question on."""
        access.require(actor, "settings")
        Settings.check(name, value)
        before = settings_table.get_all(self._db).get(name, "")
        if value:
            settings_table.set(self._db, name, value)
        else:
            settings_table.unset(self._db, name)
        self._note(actor, "setting.change", name, {"value": before}, {"value": value})
        self._rebuild()

    def audit(self, actor: Actor, limit: int = 100) -> list[audit.Entry]:
        access.require(actor, "settings")
        return audit.list_entries(self._db, limit)

    def backup(self, actor: Actor, path: Path) -> None:
        """Database and files, as they are now, in one file."""
        access.require(actor, "operate")
        backups.backup(self._db, path)

    @staticmethod
    def restore(settings: Settings, path: Path) -> None:
        """Put a backup in the place of what is there, which is kept aside. The app must not run."""
        backups.restore(settings.home, settings.database_url, path)

    # -- within -------------------------------------------------------------------------------------

    def _limits(self) -> Limits:
        s = self.settings
        return Limits(
            default_backend=s.backend,
            fallback=s.fallback,
            history_messages=s.history_messages,
            history_tokens=s.history_tokens,
            passages=s.passages,
            answer_tokens=s.answer_tokens,
            temperature=s.temperature,
            first_token=s.first_token_timeout,
            between_tokens=s.token_timeout,
            turn=s.turn_timeout,
            tool_rounds=s.tool_rounds,
            context_deadline=s.context_deadline,
        )

    def _question(
        self, text: str, stored: Sequence[StoredFile], kept: tuple[Part, ...] = ()
    ) -> tuple[Part, ...]:
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

    def _find(self, text: str, collections: Sequence[UUID], k: int) -> Sequence[Passage]:
        return self.knowledge.find(text, collections, k=k)

    def _take_in(
        self,
        actor: Actor,
        collection_id: UUID,
        name: str,
        path: Path,
        progress: Progress | None,
        replace: UUID | None,
    ) -> Document:
        if replace is not None:
            document = self.knowledge.replace(replace, name, path, by=actor.name, progress=progress)
        else:
            document = self.knowledge.add(collection_id, name, path, by=actor.name, progress=progress)
        self._note(
            actor, "document.replace" if replace else "document.add", str(document.id), {}, {"name": name}
        )
        self.jobs.wake()
        return document

    def _note(
        self, actor: Actor, action: str, subject: str, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        audit.record(self._db, actor, action, subject, before, after)

    def _rebuild(self) -> None:
        """Take up settings that changed: new backends for the next turn; the old close when idle."""
        old = self.parts
        self.settings = self._given.with_table(settings_table.get_all(self._db))
        self.parts = _backend_parts(self.settings, self.knowledge)
        self.jobs.later(self.settings.turn_timeout, old.close)


class _Current:
    """The backends in force now: settings may change while the app runs."""

    def __init__(self, coach: Coach) -> None:
        self._coach = coach

    def get(self, name: str) -> Any:
        return self._coach.parts.get(name)

    def infos(self) -> Mapping[str, BackendInfo]:
        return self._coach.parts.infos()

    def endpoint_name(self, name: str) -> str:
        return self._coach.parts.endpoint_name(name)


def _backend_parts(settings: Settings, knowledge: Knowledge) -> BackendParts:
    key, base = settings.openai_api_key, settings.openai_base_url
    remote = Endpoint("default", base_url=base, key=key, model=settings.model)
    no_key = (
        "" if key or base else "No key is set. Put OPENAI_API_KEY=... into the file .env and start again."
    )
    no_file = (
        ""
        if settings.local_model
        else "No model is set. Put COACH_LOCAL_MODEL=path-to.gguf into the file .env."
    )
    ready = {"extractive": "", "openai_responses": no_key, "openai_chat": no_key, "local": no_file}
    if settings.script or settings.backend == "scripted":
        ready["scripted"] = ""
    local = Endpoint("local", model=Path(settings.local_model).stem)
    return BackendParts(
        {"openai_responses": remote, "openai_chat": remote, "local": local},
        {
            "extractive": {"score": knowledge.score},
            "local": {
                "model": settings.local_model,
                "home": settings.home,
                "context": settings.local_model_context,
            },
            "scripted": {"script": settings.script or None},
        },
        ready,
    )
