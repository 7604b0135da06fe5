"""How long what waits will take, from how long what ended took.

Invariant: the averages are of all that ended, never of the last alone, so that the figure moves slowly; nothing
is said before enough has ended to say it by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from coach_core.store.uploads import ENDED, WORKING, Timed
from coach_core.types import UploadCounts

_ENOUGH = 3  # files that have to have ended


@dataclass(slots=True)
class _Pace:
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def note(self, size: int, seconds: float) -> None:
        self.files, self.bytes, self.seconds = self.files + 1, self.bytes + size, self.seconds + seconds

    def of(self, size: int) -> float:
        """Half by the file, half by its size: a small one is never free, a huge one of pictures not all text."""
        by_size = size * self.seconds / self.bytes if self.bytes else 0.0
        return (self.seconds / self.files + by_size) / 2 if self.files else 0.0


def counts(uploads: Sequence[Timed], collection_id: UUID | None, moment: datetime, lanes: int) -> UploadCounts:
    """Of a collection, or of all; `uploads` are all there are, since they share the `lanes`."""
    mine = [u for u in uploads if collection_id in (None, u.collection_id)]
    stages = [u.stage for u in mine]
    waiting, working = stages.count("queued"), sum(s in WORKING for s in stages)
    return UploadCounts(
        total=len(mine),
        ready=stages.count("ready"),
        failed=stages.count("failed"),
        waiting=waiting,
        paused=stages.count("paused"),
        working=working,
        duplicates=sum(u.duplicate for u in mine),
        share=_share(mine),
        seconds=_seconds(uploads, mine, moment, lanes) if waiting or working else None,
    )


def _share(mine: Sequence[Timed]) -> float:
    """How much is done, by files and by bytes alike."""
    if not mine:
        return 0.0
    done = [1.0 if u.stage in ENDED else _part(u) for u in mine]
    size = sum(u.size for u in mine)
    by_size = sum(d * u.size for d, u in zip(done, mine, strict=True)) / size if size else 0.0
    return min(1.0, (sum(done) / len(mine) + by_size) / 2) if size else sum(done) / len(mine)


def _part(upload: Timed) -> float:
    """Of a file in work: its pages are most of it, writing its passages the rest."""
    if upload.stage not in WORKING or not upload.total:
        return 0.0
    part = min(1.0, upload.done / upload.total)
    return 0.9 * part if upload.stage == "reading" else 0.9 + 0.1 * part


def _seconds(uploads: Sequence[Timed], mine: Sequence[Timed], moment: datetime, lanes: int) -> float | None:
    overall, kinds = _Pace(), defaultdict[str, _Pace](_Pace)
    for u in uploads:
        if u.stage in ENDED and u.started_at is not None and u.ended_at is not None:
            took = max(0.0, (u.ended_at - u.started_at).total_seconds())
            overall.note(u.size, took)
            kinds[_kind(u.name)].note(u.size, took)
    if overall.files < _ENOUGH:
        return None
    last = max(u.id for u in mine if u.stage == "queued" or u.stage in WORKING)
    left: list[float] = []
    for u in uploads:
        if u.id > last or not (u.stage == "queued" or u.stage in WORKING):
            continue
        kind = kinds.get(_kind(u.name))
        cost = (kind if kind is not None and kind.files >= _ENOUGH else overall).of(u.size)
        if u.stage in WORKING and u.started_at is not None:
            spent = (moment - u.started_at).total_seconds()
            part = _part(u)
            cost = spent * (1 - part) / part if part > 0.05 else max(cost - spent, 0.2 * cost)
        left.append(cost)
    return max(sum(left) / lanes, max(left, default=0.0))


def _kind(name: str) -> str:
    return name.rpartition(".")[2].lower()
