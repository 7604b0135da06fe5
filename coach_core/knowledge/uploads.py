"""Uploads that wait, run and ended: one worker takes them in turn, pages ask where each stands.

Invariant: an upload is listed until it is dismissed or the app ends; one that failed keeps its bytes
so that it can be tried again, and leaves nothing in the collection.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from coach_core.errors import CoachError
from coach_core.types import Document, IngestProgress, new_id

log = logging.getLogger(__name__)
Progress = Callable[[IngestProgress], None]


@dataclass(slots=True)
class _Job:
    id: UUID
    by: UUID
    collection_id: UUID
    name: str
    path: Path
    run: Callable[[Progress], Document]
    progress: IngestProgress


class Uploads:
    """A queue of files to take in. `folder` holds their bytes while they wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._jobs: dict[UUID, _Job] = {}
        self._gate = threading.Lock()
        self._queue: queue.SimpleQueue[UUID | None] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None

    def add(self, by: UUID, collection_id: UUID, name: str, path: Path, run: Callable[[Progress], Document]) -> UUID:
        """Queue `run(progress)` for the file at `path`, which is removed once it is in."""
        job = _Job(new_id(), by, collection_id, name, path, run, IngestProgress(None, name, "queued"))
        with self._gate:
            self._jobs[job.id] = job
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="uploads", daemon=True)
                self._worker.start()
        self._queue.put(job.id)
        return job.id

    def all(self) -> list[tuple[UUID, UUID, IngestProgress]]:
        """(job, collection, progress), oldest first."""
        with self._gate:
            return [(j.id, j.collection_id, j.progress) for j in self._jobs.values()]

    def retry(self, job_id: UUID) -> None:
        with self._gate:
            job = self._jobs.get(job_id)
            if job is None or job.progress.stage != "failed" or not job.path.exists():
                return
            job.progress = IngestProgress(None, job.name, "queued")
        self._queue.put(job_id)

    def dismiss(self, job_id: UUID) -> None:
        """Take an upload that has ended off the list."""
        with self._gate:
            job = self._jobs.get(job_id)
            if job is not None and job.progress.stage in {"ready", "failed"}:
                del self._jobs[job_id]
                job.path.unlink(missing_ok=True)

    def close(self) -> None:
        self._queue.put(None)

    def _work(self) -> None:
        while (job_id := self._queue.get()) is not None:
            with self._gate:
                job = self._jobs.get(job_id)
            if job is not None:
                self._take(job)

    def _take(self, job: _Job) -> None:
        def progress(step: IngestProgress) -> None:
            job.progress = replace(step, name=job.name)

        try:
            document = job.run(progress)
        except CoachError as error:
            job.progress = IngestProgress(None, job.name, "failed", error=error.sentence)
        except Exception:
            log.exception("taking in an upload failed")
            job.progress = IngestProgress(None, job.name, "failed", error=CoachError().sentence)
        else:
            chunks = document.chunks
            job.progress = replace(job.progress, document_id=document.id, stage="ready", done=chunks, total=chunks)
            job.path.unlink(missing_ok=True)
