"""How `ingest` takes many files in: two at a time, with the time left, and broken off cleanly by Ctrl-C.

Invariant: what was said to be in is in, whole; what was broken off left nothing, and the same command again goes on
where this one ended, for a file that is there already costs its hash alone.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coach_core.cli import shell
from coach_core.errors import CoachError, FileError, InputError

if TYPE_CHECKING:
    from uuid import UUID

    from coach_core.coach import Coach
    from coach_core.types import Actor, Collection, Document, IngestProgress

_AT_ONCE = 2


class _BrokenOff(Exception):
    """Ctrl-C: the file in work is left."""


@dataclass(slots=True)
class Taken:
    """What came of the files."""

    total: int
    added: int = 0
    there: int = 0
    failed: list[str] = field(default_factory=list[str])
    stopped: bool = False

    @property
    def done(self) -> int:
        return self.added + self.there + len(self.failed)

    def said(self) -> str:
        known = f", {self.there} were there already" if self.there else ""
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"{self.done} of {self.total} files{known}{failed}"


def take_in(coach: Coach, actor: Actor, target: Collection, files: Sequence[tuple[str, Path]], replace: bool) -> Taken:
    """Take each file in. Raises what is not a single file's own trouble, such as a full disk."""
    present: dict[str, UUID] = {d.name: d.id for d in coach.documents(actor, target.id)} if replace else {}
    taken, stop = Taken(len(files)), threading.Event()
    weights = _weights(files)

    def one(name: str, path: Path) -> tuple[Document, bool]:
        told: list[IngestProgress] = []

        def progress(step: IngestProgress) -> None:
            if stop.is_set():
                raise _BrokenOff
            told[:] = [step]

        if stop.is_set():
            raise _BrokenOff
        shell.readable_file(path)
        document = coach.ingest(actor, target.id, name, path, progress, replace=present.get(name))
        return document, bool(told and told[-1].duplicate)

    with _bar(sum(weights)) as advance, ThreadPoolExecutor(_AT_ONCE) as pool:
        advance(0.0, taken.said())
        waiting = {pool.submit(one, name, path): at for at, (name, path) in enumerate(files)}
        try:
            for future in as_completed(waiting):
                name, _ = files[waiting[future]]
                try:
                    _, duplicate = future.result()
                    taken.there += duplicate
                    taken.added += not duplicate
                    if over := coach.passed_over(actor, name, files[waiting[future]][1]):
                        shell.say(over)
                except (FileError, InputError) as error:
                    taken.failed.append(name)
                    shell.say(f"{name}: {error.sentence}")
                except CoachError:
                    stop.set()
                    raise
                advance(weights[waiting[future]], taken.said())
        except KeyboardInterrupt:
            taken.stopped = True
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
    return taken


def _weights(files: Sequence[tuple[str, Path]]) -> list[float]:
    """What of the whole each file is: half by its size, half by being one."""
    sizes = [path.stat().st_size if path.exists() else 0 for _, path in files]
    mean = sum(sizes) / len(sizes) if sizes else 0.0
    return [size + mean + 1.0 for size in sizes]


@contextmanager
def _bar(total: float) -> Generator[Callable[[float, str], None]]:
    """A progress bar on a terminal's stderr; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda _weight, _text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns: list[Any] = [BarColumn(), TextColumn("{task.fields[what]},"), TimeRemainingColumn(), TextColumn("left")]
    bar = Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=120.0)
    with bar:
        task = bar.add_task("", total=total, what="")
        yield lambda weight, text: bar.update(task, advance=weight, what=text)
