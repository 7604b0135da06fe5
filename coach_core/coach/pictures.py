"""Pages of documents as they look, with a passage marked: of the library, and of what an answer cites.

Invariant: a citation shows the file it was made from, also after that was replaced; who may not read the library
sees no page of it, and of a document that was deleted nobody does.
"""

from __future__ import annotations

from uuid import UUID

from coach_core import access
from coach_core.coach.base import Base
from coach_core.errors import FileNotFound, NotFound, UnsupportedFile
from coach_core.knowledge.picture import Picture
from coach_core.store import files, messages
from coach_core.types import Actor, Citation, StoredFile

PDF = "application/pdf"


class Pictures(Base):
    def document_page(self, actor: Actor, document_id: UUID, page: int, text: str = "") -> Picture:
        """A page of a PDF in the library, the words of `text` marked in it. Raises FileError where it is no PDF."""
        access.require(actor, "knowledge.read")
        document = self.knowledge.document(document_id)
        if document.file_id is None:
            raise FileNotFound()
        return self._drawn(files.get(self._db, document.file_id), page, text)

    def cited_page(self, actor: Actor, message_id: UUID, number: int, page: int | None = None) -> Picture:
        """The page that [number] in an answer rests on, or another `page` of the same file.

        Raises NotFound where the file is gone, FileError where it is no PDF.
        """
        access.require(actor, "threads")
        cited = messages.citations(self._db, actor, [message_id]).get(message_id, [])
        citation = next((c for c in cited if c.number == number), None)
        if citation is None or citation.document_id is None:
            raise FileNotFound()
        return self._drawn(self._cited_file(actor, citation), page or citation.page or 1, citation.text)

    def _cited_file(self, actor: Actor, citation: Citation) -> StoredFile:
        assert citation.document_id is not None
        try:
            self.knowledge.document(citation.document_id)
        except NotFound:  # not of the library: a file of one's own, attached to the question
            if files.owner_of(self._db, citation.document_id) != actor.user_id:
                raise FileNotFound() from None
            return files.get(self._db, citation.document_id)
        access.require(actor, "knowledge.read")
        return files.of_library(self._db, citation.document_hash)

    def _drawn(self, file: StoredFile, page: int, text: str) -> Picture:
        if file.media_type != PDF:
            raise UnsupportedFile("Only a PDF has pages that can be shown.")
        return self.knowledge.pages.draw(file.sha256, lambda: files.read(self._db, file.id), page, text)
