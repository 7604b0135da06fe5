"""What an admin does with collections and documents that are there: name them, say who reads them, move them,
delete them and bring them back, see what they are used for and what they did not answer.

Invariant: who reads a collection is said by the personas: changing it saves a new version of each that changes,
with a note, and of no other.
"""

from __future__ import annotations

from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from coach_core import access
from coach_core.coach.looking_back import Tried
from coach_core.coach.people import People
from coach_core.errors import InputError, NameTaken
from coach_core.store import personas, shelf, unanswered
from coach_core.types import (
    Actor,
    Collection,
    CollectionUse,
    Deleted,
    Document,
    DocumentUse,
    Persona,
    Unanswered,
    UnansweredStatus,
    clean_text,
    now,
)

#: How long what was deleted can be brought back.
KEEP_DELETED = timedelta(days=14)
NAME_CHARS = 80
_NAMED = 5  # documents that the audit log names of many that were deleted at once


class Shelves(People):
    # collections

    def create_collection(self, actor: Actor, name: str, description: str = "", licence: str = "") -> Collection:
        access.require(actor, "knowledge.write")
        name = self._free_name(name)
        made = self.knowledge.create_collection(name, clean_text(description).strip(), clean_text(licence).strip())
        self._note(actor, "collection.add", str(made.id), {}, {"name": made.name})
        return made

    def update_collection(
        self, actor: Actor, collection_id: UUID, name: str, description: str = "", licence: str = ""
    ) -> Collection:
        """Rename it, say anew what is in it and under which licence. Raises InputError, NameTaken."""
        access.require(actor, "knowledge.write")
        name = self._free_name(name, but=collection_id)
        before = next((c.name for c in self.knowledge.collections() if c.id == collection_id), "")
        told = clean_text(description).strip(), clean_text(licence).strip()
        made = self.knowledge.update_collection(collection_id, name, *told)
        self._note(actor, "collection.change", str(collection_id), {"name": before}, {"name": made.name})
        return made

    def delete_collection(self, actor: Actor, collection_id: UUID) -> None:
        """Out of every search at once, with its documents; `bring_back` undoes it for a while."""
        access.require(actor, "knowledge.write")
        self._uploads.drop(collection_id)
        self.knowledge.delete_collection(collection_id, actor.name)
        self._note(actor, "collection.delete", str(collection_id), {}, {})

    def _free_name(self, name: str, but: UUID | None = None) -> str:
        """A collection's name that no other has. Raises InputError, NameTaken."""
        name = " ".join(clean_text(name).split())
        if not name:
            raise InputError("The collection has no name. Give it one.")
        if len(name) > NAME_CHARS:
            raise InputError(f"The name has {len(name):,} characters; {NAME_CHARS} is the most. Shorten it.")
        if name.casefold() in {c.name.strip().casefold() for c in self.knowledge.collections() if c.id != but}:
            raise NameTaken(f"There is a collection called {name} already. Choose another name.")
        return name

    def read_by(self, actor: Actor, readers: Mapping[UUID, Several[UUID]]) -> list[Persona]:
        """Have each persona read exactly these collections; those that were saved anew, in a new version."""
        access.require(actor, "personas.write")
        names = {c.id: c.name for c in self.knowledge.collections()}
        saved: list[Persona] = []
        for persona in personas.list_personas(self._db):
            wanted = readers.get(persona.id)
            if wanted is None or set(wanted) == set(persona.draft.collections):
                continue
            before = persona.draft.collections
            kept = [c for c in before if c in wanted]
            draft = replace(persona.draft, collections=(*kept, *(c for c in wanted if c not in before)))
            saved.append(self.save_persona(actor, draft, persona.id, _reads(before, draft.collections, names)))
        return saved

    # documents

    def place_document(self, actor: Actor, document_id: UUID, collection_id: UUID, *, copy: bool = False) -> Document:
        """Move a document into another collection, or copy it there, with its passages and their meaning."""
        access.require(actor, "knowledge.write")
        before = self.knowledge.document(document_id)
        placed = self.knowledge.place(document_id, collection_id, copy=copy)
        where = {"collection": str(before.collection_id)}, {"collection": str(collection_id), "name": placed.name}
        self._note(actor, "document.copy" if copy else "document.move", str(placed.id), *where)
        self.jobs.wake()
        return placed

    def delete_document(self, actor: Actor, document_id: UUID) -> None:
        """Out of every search at once; `bring_back` undoes it for a while."""
        access.require(actor, "knowledge.write")
        document = self.knowledge.document(document_id)
        self.knowledge.delete(document_id, actor.name)
        self._note(actor, "document.delete", str(document_id), {"name": document.name}, {})

    def delete_documents(self, actor: Actor, ids: Sequence[UUID]) -> int:
        """The same with many, in few steps; how many were there."""
        access.require(actor, "knowledge.write")
        if len(ids) == 1:
            self.delete_document(actor, ids[0])
            return 1
        names = [d.name for d in self.knowledge.these(ids[:_NAMED])]
        gone = self.knowledge.delete_many(ids, actor.name)
        self._note(actor, "document.delete", f"{len(gone)} documents", {"names": names}, {})
        return len(gone)

    def deleted(self, actor: Actor, limit: int | None = None) -> list[Deleted]:
        """What was deleted and can still be brought back, the newest first."""
        access.require(actor, "knowledge.write")
        return self.knowledge.deleted(limit)

    def bring_back(self, actor: Actor, *deleted_ids: UUID) -> None:
        """Undo the deleting of documents or collections: found again at once. Raises NameTaken, NotFound."""
        access.require(actor, "knowledge.write")
        self.knowledge.bring_back(*deleted_ids)
        subject = str(deleted_ids[0]) if len(deleted_ids) == 1 else f"{len(deleted_ids)} documents"
        self._note(actor, "knowledge.undelete", subject, {}, {})
        self.jobs.wake()

    def erase_deleted(self, actor: Actor, deleted_id: UUID) -> None:
        """Take what was deleted away for good, now: its passages and its file."""
        access.require(actor, "knowledge.write")
        self.knowledge.purge(only=deleted_id)
        self._note(actor, "knowledge.erase", str(deleted_id), {}, {})

    # use

    def document_uses(
        self, actor: Actor, collection_id: UUID | None = None, *, days: int | None = None
    ) -> dict[UUID, DocumentUse]:
        """How many answers were given each document, and cited it, in the last `days` or ever; of those used."""
        access.require(actor, "knowledge.read")
        return self.knowledge.uses(collection_id, now() - timedelta(days=days) if days else None)

    def collection_use(self, actor: Actor, collection_id: UUID, *, days: int | None = None) -> CollectionUse:
        """How the documents of a collection were used together, in the last `days` or ever."""
        access.require(actor, "knowledge.read")
        return shelf.use(self._db, collection_id, now() - timedelta(days=days) if days else None)

    # questions that found nothing

    def unanswered(
        self, actor: Actor, statuses: Sequence[UnansweredStatus] = ("open",), *, days: int | None = None
    ) -> list[Unanswered]:
        """Questions that the documents did not hold, those asked most often first; never who asked."""
        access.require(actor, "knowledge.write")
        return unanswered.list_questions(self._db, statuses, since=now() - timedelta(days=days) if days else None)

    def try_question(self, actor: Actor, question_id: UUID) -> Tried:
        """Search for it now; it is marked as answered when a document answers it."""
        access.require(actor, "knowledge.write")
        return self._looking.try_again(unanswered.get(self._db, question_id), wait=2.0)

    def settle_question(
        self, actor: Actor, question_id: UUID, status: UnansweredStatus, document_id: UUID | None = None
    ) -> None:
        """Dismiss a question, say that it is answered, or open it again."""
        access.require(actor, "knowledge.write")
        unanswered.change(self._db, question_id, status, document_id)

    def erase_questions(self, actor: Actor, question_id: UUID | None = None) -> int:
        """Take one question away for good, or all of them; how many."""
        access.require(actor, "knowledge.write")
        count = unanswered.erase(self._db, question_id)
        self._note(actor, "questions.erase", str(question_id or "all"), {}, {"count": count})
        return count


def _reads(before: Several[UUID], after: Several[UUID], names: Mapping[UUID, str]) -> str:
    """What changed, as a version's note says it."""
    more = [names[c] for c in after if c not in before and c in names]
    less = [names.get(c, "a deleted collection") for c in before if c not in after]
    told = [f"reads {', '.join(more)}"] if more else []
    told += [f"no longer reads {', '.join(less)}"] if less else []
    return "; ".join(told)[:200]
