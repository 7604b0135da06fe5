"""What the commands share: the Coach, who acts, where words go.

Invariant: stdout carries only what was asked for; `say` and progress go to stderr. The log goes to
coach.log in the home folder, so that nothing of it mixes with either.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import typer

from coach_core.errors import CoachError, CollectionNotFound, InputError, NotFound, ProfileNotFound, ThreadNotFound

if TYPE_CHECKING:
    from coach_core.coach import Coach
    from coach_core.settings import Settings
    from coach_core.types import Actor, Collection

log = logging.getLogger("coach_core")
#: The name given by --profile; "" is the owner.
profile = ""
#: Passages that take a few seconds to embed.
FEW = 500
#: By the state of a check.
COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}


def say(text: str) -> None:
    """A line to the person, beside the data."""
    typer.echo(text, err=True)


#: What would move the cursor, colour the screen or turn the line round: all controls but tab and newline.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def put(text: str, *, end: str = "\n") -> None:
    """What was asked for. A lone surrogate or a poor terminal never breaks it; a terminal gets no controls."""
    stream = sys.stdout
    if stream.isatty():
        text = _CONTROLS.sub("", text)
    try:
        stream.write(text + end)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write((text + end).encode(encoding, "replace").decode(encoding))
    stream.flush()


def put_json(data: Any) -> None:
    put(json.dumps(data, ensure_ascii=False, indent=2, default=str))


def load_settings(**overrides: Any) -> Settings:
    """The settings in force, with the log put where it belongs."""
    from coach_core.settings import Settings

    settings = Settings.load(**overrides)
    with contextlib.suppress(OSError):  # a home that cannot be written has its own sentence elsewhere
        _log_to(settings)
    return settings


@contextmanager
def opened(*, background: bool = False) -> Iterator[tuple[Coach, Actor]]:
    """The Coach and who acts, let go of at the end."""
    settings = load_settings()
    from coach_core.coach import Coach

    coach = Coach.from_settings(settings, background=background)
    try:
        yield coach, _actor(coach)
    finally:
        coach.close()


def wait_for_search(coach: Coach, actor: Actor) -> None:
    """A command lives too short to let search by meaning come in its own time, as the app does.

    A few passages that still wait for it, such as those of the first start, are embedded here.
    """
    from coach_core import access

    if not coach.warm(60.0) or not access.allowed(actor.role, "knowledge.write"):
        return
    done, total = coach.embedding_progress(actor)
    if 0 < total - done <= FEW and not coach.embedding_state(actor).trouble:
        say(f"(making {total - done} passages findable by meaning, once)")
        coach.embed_now(actor)


def _actor(coach: Coach) -> Actor:
    if not profile:
        return coach.actor_for(coach.owner().user_id, channel="cli")
    for user in coach.profiles():
        if user.name.casefold() == profile.casefold():
            return coach.actor_for(user.id, channel="cli")
    raise ProfileNotFound(f"There is no profile called {profile!r}. The app's sidebar shows the profiles.")


def as_uuid(text: str, error: type[NotFound] = ThreadNotFound) -> UUID:
    """`text` as an id; what is no id names nothing."""
    try:
        return UUID(text)
    except ValueError:
        raise error() from None


def collection_named(coach: Coach, actor: Actor, name: str) -> Collection:
    """The collection by name (or id)."""
    known = coach.collections(actor)
    for collection in known:
        if name.casefold() in {collection.name.casefold(), str(collection.id)}:
            return collection
    names = ", ".join(c.name for c in known) or "none yet; `ingest --collection NAME` makes one"
    raise CollectionNotFound(f"There is no collection called {name!r}. There are: {names}.")


def confirmed(question: str, yes: bool) -> None:
    """Go on only with --yes or a yes at the terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        say(f"{question} Say so with --yes.")
        raise typer.Exit(2)
    typer.confirm(question, abort=True, err=True)


def log_unexpected(error: Exception) -> None:
    """The traceback goes to the log, which the person can send along."""
    if isinstance(error, CoachError):
        return
    log.error("a command failed", exc_info=error)


def _log_to(settings: Settings) -> None:
    from logging.handlers import RotatingFileHandler

    settings.home.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        settings.home / "coach.log", maxBytes=2_000_000, backupCount=2, delay=True, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    for old in [h for h in root.handlers if getattr(h, "of_coach", False)]:
        root.removeHandler(old)
        old.close()
    handler.of_coach = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    log.setLevel(settings.log_level)


def write_file(path: Path, data: bytes) -> None:
    """Write a file the person named; a place that cannot be written is bad input."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from None


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def readable_file(path: Path) -> None:
    """InputError unless the file can be opened."""
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
