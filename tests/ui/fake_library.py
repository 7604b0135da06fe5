"""What an admin does with the knowledge, in memory: a part of fake_admin's Coach."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection as Several
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from coach_core.access import require
from coach_core.coach.looking_back import Tried
from coach_core.errors import InputError, NameTaken, NotFound
from coach_core.types import (
    Actor,
    Collection,
    CollectionUse,
    Deleted,
    Document,
    DocumentName,
    DocumentPage,
    DocumentShow,
    DocumentSort,
    DocumentUse,
    Figures,
    HostedCopy,
    HostedOther,
    Persona,
    Unanswered,
    UnansweredStatus,
    new_id,
    now,
)


class FakeLibrary:
    """Mixed into fake_admin.FakeCoach, which has `groups`, `papers`, `versions` and `save_persona`."""

    groups: dict[UUID, Collection]
    papers: dict[UUID, Document]
    asked: list[Any]

    def shelve(self) -> None:
        self.trash: dict[UUID, tuple[Deleted, Any, dict[UUID, Document]]] = {}
        self.used: dict[UUID, DocumentUse] = {}
        self.questions: dict[UUID, Unanswered] = {}
        self.answers: dict[UUID, Tried] = {}  # question -> what a search for it gives now
        self.copies: list[HostedCopy] = []
        self.places: dict[str, str] = {}
        self.others: list[HostedOther] = []

    def update_collection(
        self, actor: Actor, collection_id: UUID, name: str, description: str = "", licence: str = ""
    ) -> Collection:
        require(actor, "knowledge.write")
        if any(c.name.lower() == name.lower() for c in self.groups.values() if c.id != collection_id):
            raise NameTaken(f"There is a collection called {name} already. Choose another name.")
        group = dataclasses.replace(self.groups[collection_id], name=name, description=description, licence=licence)
        self.groups[collection_id] = group
        return group

    def delete_collection(self, actor: Actor, collection_id: UUID) -> None:
        require(actor, "knowledge.write")
        inside = {k: d for k, d in self.papers.items() if d.collection_id == collection_id}
        self.papers = {k: d for k, d in self.papers.items() if k not in inside}
        group = self.groups.pop(collection_id)
        chunks = sum(d.chunks for d in inside.values())
        told = Deleted(group.id, "collection", group.id, group.name, actor.name, chunks, now(), len(inside))
        self.trash[group.id] = (told, group, inside)

    def delete_document(self, actor: Actor, document_id: UUID) -> None:
        require(actor, "knowledge.write")
        paper = self.papers.pop(document_id)
        told = Deleted(paper.id, "document", paper.collection_id, paper.name, actor.name, paper.chunks, now())
        self.trash[paper.id] = (told, None, {paper.id: paper})

    def delete_documents(self, actor: Actor, ids: Sequence[UUID]) -> int:
        for document_id in ids:
            self.delete_document(actor, document_id)
        return len(ids)

    def deleted(self, actor: Actor, limit: int | None = None) -> list[Deleted]:
        require(actor, "knowledge.write")
        return [told for told, _, _ in self.trash.values()][:limit]

    def bring_back(self, actor: Actor, *deleted_ids: UUID) -> None:
        require(actor, "knowledge.write")
        for deleted_id in deleted_ids:
            _, group, inside = self.trash.pop(deleted_id)
            if group is not None:
                self.groups[group.id] = group
            self.papers |= inside

    # leafing

    def figures(self, actor: Actor, collection_id: UUID) -> Figures:
        require(actor, "knowledge.read")
        mine = self._fitting(collection_id)
        return Figures(len(mine), sum(d.chunks for d in mine), sum(d.embedded for d in mine))

    def documents_page(
        self,
        actor: Actor,
        collection_id: UUID,
        *,
        find: str = "",
        sort: DocumentSort = "newest",
        show: DocumentShow = "all",
        days: int | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> DocumentPage:
        require(actor, "knowledge.read")
        mine = self._fitting(collection_id, find, show)
        if sort == "most_cited":
            mine.sort(key=lambda d: -self._cited(d))
        elif sort == "name":
            mine.sort(key=lambda d: (d.title or d.name).casefold())
        rows = tuple((d, self.used.get(d.id)) for d in mine[offset : offset + limit])
        return DocumentPage(rows, len(mine))

    def document_ids(
        self,
        actor: Actor,
        collection_id: UUID,
        *,
        find: str = "",
        show: DocumentShow = "all",
        days: int | None = None,
    ) -> list[UUID]:
        require(actor, "knowledge.read")
        return [d.id for d in self._fitting(collection_id, find, show)]

    def documents_of(self, actor: Actor, ids: Sequence[UUID]) -> list[Document]:
        require(actor, "knowledge.read")
        return [self.papers[i] for i in ids if i in self.papers]

    def document_names(self, actor: Actor, collections: Sequence[UUID]) -> list[DocumentName]:
        require(actor, "knowledge.read")
        mine = [d for d in self.papers.values() if d.collection_id in collections]
        return [DocumentName(d.id, d.name, d.title, d.language) for d in mine]

    def collection_use(self, actor: Actor, collection_id: UUID, *, days: int | None = None) -> CollectionUse:
        require(actor, "knowledge.read")
        mine = self._fitting(collection_id)
        found = [self.used[d.id].found if d.id in self.used else 0 for d in mine]
        cited = [self._cited(d) for d in mine]
        return CollectionUse(len(mine), sum(found), sum(cited), found.count(0), cited.count(0))

    def _fitting(self, collection_id: UUID, find: str = "", show: DocumentShow = "all") -> list[Document]:
        """The oldest first, for the fake's documents are all of one moment."""
        mine = [d for d in self.papers.values() if d.collection_id == collection_id]
        mine = [d for d in mine if all(w in f"{d.title} {d.name}".casefold() for w in find.casefold().split())]
        if show == "uncited":
            return [d for d in mine if not self._cited(d)]
        return mine if show == "all" else [d for d in mine if not (d.id in self.used and self.used[d.id].found)]

    def _cited(self, document: Document) -> int:
        return self.used[document.id].cited if document.id in self.used else 0

    def erase_deleted(self, actor: Actor, deleted_id: UUID) -> None:
        require(actor, "knowledge.write")
        del self.trash[deleted_id]

    def place_document(self, actor: Actor, document_id: UUID, collection_id: UUID, *, copy: bool = False) -> Document:
        require(actor, "knowledge.write")
        paper = dataclasses.replace(self.papers[document_id], collection_id=collection_id)
        if copy:
            paper = dataclasses.replace(paper, id=new_id())
        self.papers[paper.id] = paper
        return paper

    def read_by(self, actor: Actor, readers: Mapping[UUID, Several[UUID]]) -> list[Persona]:
        require(actor, "personas.write")
        everyone: Any = self
        saved: list[Persona] = []
        for persona in everyone.personas(actor):
            if persona.id in readers and set(readers[persona.id]) != set(persona.draft.collections):
                draft = dataclasses.replace(persona.draft, collections=tuple(readers[persona.id]))
                saved.append(everyone.save_persona(actor, draft, persona.id))
        return saved

    def document_uses(
        self, actor: Actor, collection_id: UUID | None = None, *, days: int | None = None
    ) -> dict[UUID, DocumentUse]:
        require(actor, "knowledge.read")
        return dict(self.used)

    def unanswered(
        self, actor: Actor, statuses: Sequence[UnansweredStatus] = ("open",), *, days: int | None = None
    ) -> list[Unanswered]:
        require(actor, "knowledge.write")
        return [q for q in self.questions.values() if not statuses or q.status in statuses]

    def try_question(self, actor: Actor, question_id: UUID) -> Tried:
        require(actor, "knowledge.write")
        tried = self.answers.get(question_id, Tried((), "nothing"))
        if tried.document_id is not None:
            self.settle_question(actor, question_id, "answered", tried.document_id)
        return tried

    def settle_question(
        self, actor: Actor, question_id: UUID, status: UnansweredStatus, document_id: UUID | None = None
    ) -> None:
        require(actor, "knowledge.write")
        question = self.questions[question_id]
        self.questions[question_id] = dataclasses.replace(question, status=status, document_id=document_id)

    def erase_questions(self, actor: Actor, question_id: UUID | None = None) -> int:
        require(actor, "knowledge.write")
        return 1 if self.questions.pop(question_id, None) else 0  # type: ignore[arg-type]

    def hosted_copies(self, actor: Actor, collection_id: UUID) -> list[HostedCopy]:
        require(actor, "knowledge.read")
        return list(self.copies)

    def hosted_places(self, actor: Actor) -> dict[str, str]:
        require(actor, "knowledge.read")
        return dict(self.places)

    def fill_hosted(self, actor: Actor, collection_id: UUID, endpoint: str) -> None:
        require(actor, "knowledge.write")
        if not any(d.collection_id == collection_id for d in self.papers.values()):
            raise InputError("The collection holds no documents yet. Add some first.")
        self.copies.append(HostedCopy(endpoint, self.places[endpoint], collection_id, "College success", True))

    def drop_hosted(self, actor: Actor, collection_id: UUID, endpoint: str) -> None:
        require(actor, "knowledge.write")
        self.copies = [c for c in self.copies if not (c.of_collection and c.endpoint == endpoint)]

    def keep_hosted_alive(self, actor: Actor, endpoint: str, key: UUID) -> None:
        require(actor, "knowledge.write")
        if not self.copies:
            raise NotFound("There is no store there yet.")
        self.asked.append(("alive", endpoint, key))

    def hosted_others(self, actor: Actor, endpoint: str) -> list[HostedOther]:
        require(actor, "knowledge.write")
        return list(self.others)
