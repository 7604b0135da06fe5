"""Uploads: a queue in the database, whose files lie on disk until they are in.

Invariant: what was handed over is listed until it is dismissed, through any restart or kill; nothing is added
twice. One process of a home works on it at a time, by a lock that the operating system lets go of when the
process dies; any number look on and steer. A file that ended the app MOST_CRASHES times is not tried again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from filelock import FileLock, Timeout

from coach_core.errors import CoachError, DiskFull, FileError
from coach_core.knowledge import pace
from coach_core.store import Database
from coach_core.store import uploads as rows
from coach_core.store.uploads import Upload
from coach_core.types import Document, IngestProgress, UploadCounts, UploadStage, new_id, now

log = logging.getLogger(__name__)
Progress = Callable[[IngestProgress], None]
#: takes one file in (None: others took its place in the queue); the progress it calls raises once nobody wants it
Take = Callable[[Upload, Path, Progress], Document | None]

MOST_CRASHES = 3
LANES = max(1, min(2, os.cpu_count() or 1))  # files read at once: as many as there are children to read them
_LOOK = 1.0  # seconds between two looks for what other processes handed over
_TELL = 0.5  # seconds between two notes of how far a file is
_TIDY = 900.0  # seconds between two clearings
_KEPT = timedelta(days=1)  # how long a file that is in stays listed
_STRAY = 3600.0  # seconds after which bytes that no row names are removed
_CRASHED = (
    f"The app ended {MOST_CRASHES} times while it read this file. Save it again, or in another form, and upload that."
)
_VANISHED = "The file is no longer on this machine's disk. Upload it again."


class Withdrawn(Exception):
    """The file in work is not wanted any more: cancelled, its collection deleted, or the app ends."""


class Uploads:
    """`folder` holds the files while they wait; `take` reads one. Nothing is read before `start`."""

    def __init__(self, db: Database, folder: Path, take: Take, *, lanes: int = LANES) -> None:
        self._db, self._take, self._lanes = db, take, lanes
        self._home = folder
        self._place = ""
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._gate = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._counted: dict[UUID | None, tuple[float, UploadCounts]] = {}

    def start(self) -> None:
        """Go on with what waits, here or as soon as no other process of this home does."""
        with self._gate:
            if not self._threads and not self._stop.is_set():
                self._begin("uploads", self._watch)

    def add(
        self,
        collection_id: UUID,
        name: str,
        data: bytes | Path,
        *,
        user_id: UUID,
        by: str = "",
        replaces: UUID | None = None,
        refused: str = "",
    ) -> UUID:
        """Hand a file over; `refused` says why it is not to be read at all. Raises DiskFull."""
        size = len(data) if isinstance(data, bytes) else data.stat().st_size
        new = self._new(collection_id, name, size, user_id, by, replaces)
        if not refused:
            self._keep(self._home / new.path, data)
        try:
            rows.add(self._db, [new], {new.id: refused} if refused else {})
        except BaseException:
            self._drop([new.path])
            raise
        self._changed()
        return new.id

    def spread(self, archive: Upload, members: Iterable[tuple[str, bytes | FileError]]) -> None:
        """In place of an archive in work, its members wait: each is read, cancelled and tried again by itself."""
        kept: list[Upload] = []
        errors: dict[UUID, str] = {}
        try:
            for name, content in members:
                refused = content.sentence if isinstance(content, FileError) else ""
                data = content if isinstance(content, bytes) else b""
                member = self._new(archive.collection_id, name, len(data), archive.user_id, archive.by)
                kept.append(member)
                if refused:
                    errors[member.id] = refused
                else:
                    self._keep(self._home / member.path, data)
            if not rows.add(self._db, kept, errors, instead_of=archive.id):
                raise Withdrawn
        except BaseException:
            self._drop([k.path for k in kept])
            raise

    # looking on

    def list(
        self, collection_id: UUID | None, stages: Sequence[UploadStage] = (), limit: int | None = None, offset: int = 0
    ) -> list[tuple[UUID, IngestProgress]]:
        return rows.listed(self._db, collection_id, stages, limit, offset)

    def counts(self, collection_id: UUID | None) -> UploadCounts:
        """How many stand where; many who look at once share one count."""
        with self._gate:
            at, counted = self._counted.get(collection_id, (0.0, None))
        if counted is None or time.monotonic() - at > _TELL:
            counted = pace.counts(rows.timed(self._db), collection_id, now(), self._lanes)
            with self._gate:
                self._counted[collection_id] = (time.monotonic(), counted)
        return counted

    def worked_on(self) -> bool:
        """Whether some process of this home works on what waits."""
        if self._threads:
            return True
        try:
            with self._lock():
                return False
        except Timeout:
            return True

    # steering

    def pause(self, collection_id: UUID | None) -> int:
        return self._did(rows.pause(self._db, collection_id))

    def resume(self, collection_id: UUID | None) -> int:
        return self._did(rows.resume(self._db, collection_id))

    def retry(self, collection_id: UUID | None, upload_id: UUID | None = None) -> int:
        """Those that failed wait again; of one whose bytes are gone the next look says so."""
        return self._did(rows.retry(self._db, collection_id, upload_id))

    def cancel(self, collection_id: UUID | None, upload_id: UUID | None = None) -> int:
        """What waits, is paused or in work goes, with its bytes; nothing of it is added."""
        return self._take_off(("queued", "paused", *rows.WORKING), collection_id, upload_id)

    def drop(self, collection_id: UUID) -> None:
        """All uploads of a collection that is to go."""
        self._take_off(("queued", "paused", *rows.WORKING, *rows.ENDED), collection_id, None)

    def clear(self, collection_id: UUID | None, stages: Sequence[UploadStage], upload_id: UUID | None = None) -> int:
        """Take what has ended off the list."""
        return self._take_off([s for s in stages if s in rows.ENDED], collection_id, upload_id)

    def close(self) -> None:
        """Break off; what was in work waits for the next start."""
        with self._gate:
            self._stop.set()
            threads = list(self._threads)
        self._wake.set()
        if threads:
            with contextlib.suppress(CoachError):
                rows.put_back(self._db, self.place())
        for thread in threads:
            thread.join(5.0)

    def place(self) -> str:
        """The name of this home's own folder: of one machine's disk, whoever shares the database."""
        with self._gate:
            if not self._place:
                self._home.mkdir(parents=True, exist_ok=True)
                with FileLock(self._home / "place.lock"):
                    there = sorted(p.name for p in self._home.iterdir() if p.is_dir())
                    self._place = there[0] if there else new_id().hex
                    (self._home / self._place).mkdir(exist_ok=True)
            return self._place

    # the work

    def _watch(self) -> None:
        """Wait for the lock, then work until the app ends."""
        lock = self._lock()
        while not self._stop.is_set():
            try:
                with lock:
                    self._work()
            except Timeout:
                self._stop.wait(_LOOK)
            except Exception:
                if not self._stop.is_set():
                    log.exception("uploads stand still; trying again")
                self._stop.wait(5 * _LOOK)

    def _lock(self) -> FileLock:
        return FileLock(self._home / f"{self.place()}.lock", timeout=0)

    def _work(self) -> None:
        rows.recover(self._db, self.place(), MOST_CRASHES, _CRASHED, _VANISHED)
        self._tidy()
        lanes = [threading.Thread(target=self._lane, name=f"uploads-{n}", daemon=True) for n in range(self._lanes)]
        for lane in lanes:
            lane.start()
        while not self._stop.wait(_TIDY):
            self._tidy()
        for lane in lanes:
            lane.join()

    def _lane(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                upload = rows.claim(self._db, self.place())
                if upload is not None:
                    self._one(upload)
                    self._wake.set()  # the other lane may wait for this one's end
                    continue
            except Exception:
                if not self._stop.is_set():
                    log.exception("an upload stands still; trying again")
                    self._stop.wait(_LOOK)
                continue
            self._wake.wait(_LOOK)

    def _one(self, upload: Upload) -> None:
        path = self._home / upload.path
        tell = _Tell(self._db, upload, self._stop)
        try:
            if not path.exists() or path.stat().st_size != upload.size:  # a power cut may have cut it
                raise FileError(_VANISHED)
            document = self._take(upload, path, tell)
        except Withdrawn:
            if not self._stop.is_set():
                self._drop([upload.path])
        except CoachError as error:
            self._failed(upload, error.sentence)
        except OSError as error:
            log.warning("an upload could not be read: %s", error)
            self._failed(upload, DiskFull.__doc__ or "")
        except Exception:
            log.exception("taking in an upload failed")
            self._failed(upload, CoachError().sentence)
        else:
            if document is None:
                self._drop([upload.path])
                return
            again = upload.begun_at is not None and document.created_at >= upload.begun_at  # it was cut off after that
            rows.is_in(self._db, upload.id, document.id, document.chunks, tell.duplicate and not again)
            self._drop([upload.path])

    def _failed(self, upload: Upload, sentence: str) -> None:
        if not self._stop.is_set():  # else what failed is the app's own end
            rows.fail(self._db, upload.id, sentence)

    def _tidy(self) -> None:
        """Take away old lines, and bytes that no line names."""
        self._drop(rows.take_off(self._db, ["ready"], before=now() - _KEPT))
        needed = rows.paths(self._db, self.place())
        for path in (self._home / self.place()).iterdir():
            if f"{self.place()}/{path.name}" not in needed and time.time() - path.stat().st_mtime > _STRAY:
                path.unlink(missing_ok=True)

    def _begin(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _new(
        self, collection_id: UUID, name: str, size: int, user_id: UUID, by: str, replaces: UUID | None = None
    ) -> Upload:
        upload_id = new_id()
        return Upload(upload_id, collection_id, user_id, by, name, f"{self.place()}/{upload_id.hex}", size, replaces)

    def _keep(self, path: Path, data: bytes | Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data) if isinstance(data, bytes) else shutil.copyfile(data, path)
        except OSError as fault:
            path.unlink(missing_ok=True)
            raise DiskFull("The file could not be stored: the disk is full or not writable.") from fault

    def _drop(self, paths: Sequence[str]) -> None:
        for path in paths:
            (self._home / path).unlink(missing_ok=True)

    def _take_off(self, stages: Sequence[str], collection_id: UUID | None, upload_id: UUID | None) -> int:
        gone = rows.take_off(self._db, stages, collection_id=collection_id, upload_id=upload_id)
        self._drop(gone)
        return self._did(len(gone))

    def _did(self, count: int) -> int:
        self._changed()
        return count

    def _changed(self) -> None:
        with self._gate:
            self._counted.clear()
        self._wake.set()


class _Tell:
    """Notes where a file in work stands, now and then, and raises Withdrawn once nobody wants it."""

    def __init__(self, db: Database, upload: Upload, stop: threading.Event) -> None:
        self.duplicate = False
        self._db, self._upload, self._stop = db, upload, stop
        self._stage, self._at = "reading", time.monotonic()

    def __call__(self, step: IngestProgress) -> None:
        if self._stop.is_set():
            raise Withdrawn
        self.duplicate = self.duplicate or step.duplicate
        if step.stage not in rows.WORKING or time.monotonic() - self._at < _TELL:
            return
        self._at = time.monotonic()
        if not rows.tell(self._db, self._upload.id, step.stage, step.done, step.total):
            raise Withdrawn
