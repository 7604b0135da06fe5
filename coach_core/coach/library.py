"""Collections and documents: coaches read and search them, admins change them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace as with_values
from pathlib import Path
from uuid import UUID

from coach_core import access
from coach_core.coach.base import Base
from coach_core.errors import EmptyMessage, FileError, FileNotFound, FileTooLarge, InputError, NameTaken, NoText
from coach_core.knowledge import loaders
from coach_core.knowledge.loaders import zip as zips
from coach_core.knowledge.uploads import Progress
from coach_core.store import files
from coach_core.types import (
    Actor,
    Collection,
    Document,
    IngestProgress,
    Passage,
    StoredFile,
    clean_text,
    new_id,
)

NAME_CHARS = 80
_TOLD = 5  # failures of an archive that are told one by one


class Library(Base):
    def collections(self, actor: Actor) -> list[Collection]:
        access.require(actor, "knowledge.read")
        return self.knowledge.collections()

    def create_collection(self, actor: Actor, name: str, description: str = "", licence: str = "") -> Collection:
        access.require(actor, "knowledge.write")
        name = clean_text(name).strip()
        if not name:
            raise InputError("The collection has no name. Give it one.")
        if len(name) > NAME_CHARS:
            raise InputError(f"The name has {len(name):,} characters; {NAME_CHARS} is the most. Shorten it.")
        if name.casefold() in {c.name.strip().casefold() for c in self.knowledge.collections()}:
            raise NameTaken(f"There is a collection called {name} already. Choose another name.")
        made = self.knowledge.create_collection(name, clean_text(description), clean_text(licence))
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
        """Take a file in, in the background; `uploads` tells how far it is, or why it was not taken.

        Returns the upload's id.
        """
        access.require(actor, "knowledge.write")
        path = self._uploads.folder / new_id().hex
        path.write_bytes(data) if isinstance(data, bytes) else shutil.copyfile(data, path)

        def run(progress: Progress) -> Document:
            return self._take_in(actor, collection_id, name, path, progress, replace)

        return self._uploads.add(actor.user_id, collection_id, name, path, run)

    def largest_upload(self) -> int:
        """How many bytes a file may have."""
        return self.settings.upload_mb * 1_000_000

    def uploads(self, actor: Actor, collection_id: UUID | None = None) -> list[tuple[UUID, IngestProgress]]:
        """Where each file on its way stands, of one collection or of all; the oldest first."""
        access.require(actor, "knowledge.read")
        return [(job, step) for job, into, step in self._uploads.all() if collection_id in (None, into)]

    def retry_upload(self, actor: Actor, upload_id: UUID) -> None:
        access.require(actor, "knowledge.write")
        self._uploads.retry(upload_id)

    def dismiss_upload(self, actor: Actor, upload_id: UUID) -> None:
        access.require(actor, "knowledge.write")
        self._uploads.dismiss(upload_id)

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

    def warm(self, wait: float = 0.0) -> bool:
        """Begin to open what search by meaning needs; whether it is there within `wait` seconds."""
        return self.knowledge.warm(wait)

    def embedding_progress(self, actor: Actor) -> tuple[int, int]:
        """(passages with a vector, all passages)."""
        access.require(actor, "knowledge.read")
        return self.knowledge.pending()

    def embed_now(self, actor: Actor, progress: Callable[[int, int], None] | None = None) -> None:
        """Embed all that waits, here and now (the CLI; the app does it in the background)."""
        access.require(actor, "knowledge.write")
        self.jobs.embed_all(progress)

    def _take_in(
        self,
        actor: Actor,
        collection_id: UUID,
        name: str,
        path: Path,
        progress: Progress | None,
        replace: UUID | None,
    ) -> Document:
        size, most = path.stat().st_size, self.largest_upload()
        if size > most:
            raise FileTooLarge(
                f"The file has {size / 1e6:.1f} MB; {most / 1e6:.0f} MB is the most. Split it into parts."
            )
        if loaders.kind_of(name) == "zip":
            if replace is not None:
                raise InputError("An archive cannot take the place of one document. Unpack it and choose the file.")
            return self._unpack(actor, collection_id, name, path, progress)
        if replace is not None:
            document = self.knowledge.replace(replace, name, path, by=actor.name, progress=progress)
        else:
            document = self.knowledge.add(collection_id, name, path, by=actor.name, progress=progress)
        self._note(actor, "document.replace" if replace else "document.add", str(document.id), {}, {"name": name})
        self.jobs.wake()
        return document

    def _unpack(self, actor: Actor, collection_id: UUID, name: str, path: Path, progress: Progress | None) -> Document:
        """Take each document of an archive in; those that fail are told when the others are in. The last one."""
        data = path.read_bytes()
        loaders.check(data, name)
        total = zips.count(data)
        taken: list[Document] = []
        failed: list[str] = []
        for at, (member, content) in enumerate(zips.members(data)):
            if progress is not None:
                progress(IngestProgress(None, name, "reading", at, total))
            inside = f"{loaders.safe_name(name)}/{member}"
            try:
                if isinstance(content, FileError):
                    raise content
                if len(content) > self.largest_upload():
                    raise FileTooLarge()
                document = self.knowledge.add(collection_id, inside, content, by=actor.name)
            except FileError as error:
                failed.append(f"{member}: {error.sentence}")
                continue
            taken.append(document)
            self._note(actor, "document.add", str(document.id), {}, {"name": inside})
            self.jobs.wake()
        if failed:
            more = f" And {len(failed) - _TOLD} more." if len(failed) > _TOLD else ""
            others = "the others are in" if taken else "there are no others"
            said = " ".join(failed[:_TOLD])
            raise FileError(f"{len(failed)} of {total} documents in the archive failed, {others}. {said}{more}")
        if not taken:
            raise NoText("The archive holds no file that can be read. Pack documents into it.")
        return with_values(taken[-1], chunks=sum(d.chunks for d in taken))
