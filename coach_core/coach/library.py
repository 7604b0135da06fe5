"""Collections and documents: coaches read and search them, admins change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace as with_values
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from coach_core import access
from coach_core.backends import sentences
from coach_core.coach.base import Base
from coach_core.errors import EmptyMessage, FileError, FileNotFound, FileTooLarge, InputError, NoText
from coach_core.knowledge import loaders
from coach_core.knowledge.loaders import zip as zips
from coach_core.knowledge.uploads import Progress
from coach_core.search import fit
from coach_core.store import files, shelf
from coach_core.store.uploads import Upload
from coach_core.types import (
    Actor,
    Collection,
    Document,
    DocumentName,
    DocumentPage,
    DocumentShow,
    DocumentSort,
    Figures,
    Filter,
    IngestProgress,
    Passage,
    StoredFile,
    UploadCounts,
    UploadStage,
    clean_text,
    now,
)

_NO_ARCHIVE = "An archive cannot take the place of one document. Unpack it and choose the file."
_NOTHING_INSIDE = "The archive holds no file that can be read. Pack documents into it."
_TOLD = 5  # failures of an archive that are told one by one


class Library(Base):
    def collections(self, actor: Actor) -> list[Collection]:
        access.require(actor, "knowledge.read")
        return self.knowledge.collections()

    def documents(self, actor: Actor, collection_id: UUID | None = None) -> list[Document]:
        access.require(actor, "knowledge.read")
        if collection_id is not None:
            return self.knowledge.documents(collection_id)
        return [d for c in self.knowledge.collections() for d in self.knowledge.documents(c.id)]

    def figures(self, actor: Actor, collection_id: UUID) -> Figures:
        """How many documents and passages a collection holds, and how many of these meaning finds."""
        access.require(actor, "knowledge.read")
        return self.knowledge.figures(collection_id)

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
        """Some of the documents whose name holds every word of `find`, with their use in the last `days` or ever."""
        access.require(actor, "knowledge.read")
        since = now() - timedelta(days=days) if days else None
        model = self.knowledge.embedding.model()
        return shelf.page(
            self._db, collection_id, model, find=find, sort=sort, show=show, since=since, limit=limit, offset=offset
        )

    def document_ids(
        self,
        actor: Actor,
        collection_id: UUID,
        *,
        find: str = "",
        show: DocumentShow = "all",
        days: int | None = None,
    ) -> list[UUID]:
        """All documents that `documents_page` would show on its pages, in no order."""
        access.require(actor, "knowledge.read")
        since = now() - timedelta(days=days) if days else None
        return shelf.ids(self._db, collection_id, find=find, show=show, since=since)

    def documents_of(self, actor: Actor, ids: Sequence[UUID]) -> list[Document]:
        """The documents of these ids that are still there, in the same order."""
        access.require(actor, "knowledge.read")
        return self.knowledge.these(ids)

    def document_names(self, actor: Actor, collections: Sequence[UUID]) -> list[DocumentName]:
        """What the documents of these collections are called."""
        access.require(actor, "knowledge.read")
        return shelf.names(self._db, collections)

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
        """Take a file in, in the background and through any restart; `uploads` tells how far it is.

        Returns the upload's id. A file that cannot be read is told there; DiskFull is raised here.
        """
        access.require(actor, "knowledge.write")
        refused = self._too_large(len(data) if isinstance(data, bytes) else data.stat().st_size)
        self._uploads.start()
        return self._uploads.add(
            collection_id, name, data, user_id=actor.user_id, by=actor.name, replaces=replace, refused=refused
        )

    def passed_over(self, actor: Actor, name: str, data: bytes | Path) -> str:
        """What in an archive is left out, in a sentence; "" where nothing is, and of what is no archive."""
        access.require(actor, "knowledge.write")
        try:
            data = data if isinstance(data, bytes) else data.read_bytes() if loaders.kind_of(name) == "zip" else b""
            over = zips.passed_over(data) if loaders.kind_of(name) == "zip" else []
        except (FileError, OSError):  # told where the file is read
            return ""
        if not over:
            return ""
        files, kinds = ("1 file", "This kind") if len(over) == 1 else (f"{len(over):,} files", "These kinds")
        more = f" and {len(over) - _TOLD} more" if len(over) > _TOLD else ""
        were = "was" if len(over) == 1 else "were"
        told = f"{', '.join(over[:_TOLD])}{more}"
        return f"{loaders.safe_name(name)}: {files} in it {were} left out: {told}. {kinds} cannot be read."

    def largest_upload(self) -> int:
        """How many bytes a file may have."""
        return self.settings.upload_mb * 1_000_000

    def uploads(
        self,
        actor: Actor,
        collection_id: UUID | None = None,
        stages: Sequence[UploadStage] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> list[tuple[UUID, IngestProgress]]:
        """Where each file on its way stands, of one collection or of all; the oldest first."""
        access.require(actor, "knowledge.read")
        return self._uploads.list(collection_id, stages, limit, offset)

    def upload_counts(self, actor: Actor, collection_id: UUID | None = None) -> UploadCounts:
        """How many files on their way stand where, and how long the rest will take."""
        access.require(actor, "knowledge.read")
        return self._uploads.counts(collection_id)

    def uploads_worked_on(self, actor: Actor) -> bool:
        """Whether the app, or another process of this home, works on what waits."""
        access.require(actor, "knowledge.read")
        return self._uploads.worked_on()

    def pause_uploads(self, actor: Actor, collection_id: UUID | None = None) -> int:
        """Leave alone what waits, also after a restart; what is in work goes on to its end. How many."""
        access.require(actor, "knowledge.write")
        return self._uploads.pause(collection_id)

    def resume_uploads(self, actor: Actor, collection_id: UUID | None = None) -> int:
        access.require(actor, "knowledge.write")
        return self._uploads.resume(collection_id)

    def cancel_uploads(self, actor: Actor, collection_id: UUID | None = None, upload_id: UUID | None = None) -> int:
        """Give up the files that are not in yet, or the one; what is in stays. How many."""
        access.require(actor, "knowledge.write")
        cancelled = self._uploads.cancel(collection_id, upload_id)
        if cancelled:
            self._note(actor, "upload.cancel", str(upload_id or collection_id or ""), {}, {"files": cancelled})
        return cancelled

    def retry_uploads(self, actor: Actor, collection_id: UUID | None = None) -> int:
        """Try all files again that failed. How many."""
        access.require(actor, "knowledge.write")
        return self._uploads.retry(collection_id)

    def clear_uploads(
        self, actor: Actor, collection_id: UUID | None = None, stages: Sequence[UploadStage] = ("ready", "failed")
    ) -> int:
        """Take off the list what is in, or failed; it changes no document. How many."""
        access.require(actor, "knowledge.write")
        return self._uploads.clear(collection_id, stages)

    def retry_upload(self, actor: Actor, upload_id: UUID) -> None:
        access.require(actor, "knowledge.write")
        self._uploads.retry(None, upload_id)

    def dismiss_upload(self, actor: Actor, upload_id: UUID) -> None:
        access.require(actor, "knowledge.write")
        self._uploads.clear(None, ("ready", "failed"), upload_id)

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

    def search(
        self,
        actor: Actor,
        text: str,
        *,
        collections: Sequence[UUID] | None = None,
        fits: Filter = Filter(),  # noqa: B008 - it is frozen
        k: int = 8,
    ) -> list[Passage]:
        """The best passages, best first, of `collections` (all unless told) that fit the filter."""
        access.require(actor, "knowledge.read")
        if fits.since and fits.until and fits.since > fits.until:
            raise InputError(f"{fits.since} is later than {fits.until}. Give the earlier date first.")
        if not text.strip():
            raise EmptyMessage("The search is empty. Type what to look for.")
        chosen = [c.id for c in self.knowledge.collections()] if collections is None else list(collections)
        return self.knowledge.find(clean_text(text), chosen, k=k, fits=fits)

    def fitting(self, actor: Actor, fits: Filter, *, collections: Sequence[UUID] | None = None) -> int:
        """How many documents of `collections` (all unless told) fit the filter."""
        access.require(actor, "knowledge.read")
        chosen = [c.id for c in self.knowledge.collections()] if collections is None else list(collections)
        return self.knowledge.fitting(chosen, fits)

    def why(self, actor: Actor, text: str, passages: Sequence[Passage]) -> list[list[tuple[int, int]]]:
        """Where in each passage the words of the question stand, as the search by words finds them."""
        access.require(actor, "knowledge.read")
        return self.knowledge.why(text, passages)

    def glossed(self, actor: Actor, text: str, passages: Sequence[Passage]) -> list[str]:
        """The question's words in English, where English passages were found by them; else none."""
        access.require(actor, "knowledge.read")
        return self.knowledge.glossed(text, passages)

    def verdict(self, actor: Actor, text: str, passages: Sequence[Passage]) -> fit.Verdict:
        """Whether passages answer a question: a score says only how near each is to the best of them."""
        access.require(actor, "knowledge.read")
        cut = [sentence for p in passages for sentence in sentences.split(p.text) or [p.text]]
        return fit.judge(clean_text(text), cut, self.knowledge.score).verdict

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
        if refused := self._too_large(path.stat().st_size):
            raise FileTooLarge(refused)
        if loaders.kind_of(name) == "zip":
            if replace is not None:
                raise InputError(_NO_ARCHIVE)
            return self._unpack(actor, collection_id, name, path, progress)
        if replace is not None:
            document = self.knowledge.replace(replace, name, path, by=actor.name, progress=progress)
        else:
            document = self.knowledge.add(collection_id, name, path, by=actor.name, progress=progress)
        self._note(actor, "document.replace" if replace else "document.add", str(document.id), {}, {"name": name})
        self.jobs.wake()
        return document

    def _take_upload(self, upload: Upload, path: Path, progress: Progress) -> Document | None:
        """One file of the queue; of an archive the members take its place there."""
        actor = Actor(upload.user_id, "admin", upload.by)  # it was asked of access.py when it was handed over
        if loaders.kind_of(upload.name) != "zip":
            return self._take_in(actor, upload.collection_id, upload.name, path, progress, upload.replaces)
        if upload.replaces is not None:
            raise InputError(_NO_ARCHIVE)
        self._uploads.spread(upload, self._members(upload.name, path, progress))
        return None

    def _members(self, name: str, path: Path, progress: Progress) -> Iterator[tuple[str, bytes | FileError]]:
        """(name, bytes or why there are none) of each document of an archive, told as they come."""
        data = path.read_bytes()
        loaders.check(data, name)
        total = zips.count(data)
        if not total:
            raise NoText(_NOTHING_INSIDE)
        for at, (member, content) in enumerate(zips.members(data)):
            progress(IngestProgress(None, name, "reading", at, total))
            if isinstance(content, bytes) and (refused := self._too_large(len(content))):
                content = FileTooLarge(refused)
            yield f"{loaders.safe_name(name)}/{member}", content

    def _too_large(self, size: int) -> str:
        most = self.largest_upload()
        if size <= most:
            return ""
        return f"The file has {size / 1e6:.1f} MB; {most / 1e6:.0f} MB is the most. Split it into parts."

    def _unpack(self, actor: Actor, collection_id: UUID, name: str, path: Path, progress: Progress | None) -> Document:
        """Take each document of an archive in; those that fail are told when the others are in. The last one."""
        taken: list[Document] = []
        failed: list[str] = []
        total = 0
        for inside, content in self._members(name, path, progress or (lambda _: None)):
            total += 1
            try:
                if isinstance(content, FileError):
                    raise content
                document = self.knowledge.add(collection_id, inside, content, by=actor.name)
            except FileError as error:
                failed.append(f"{inside.partition('.zip/')[2] or inside}: {error.sentence}")
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
            raise NoText(_NOTHING_INSIDE)
        return with_values(taken[-1], chunks=sum(d.chunks for d in taken))
