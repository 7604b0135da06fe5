"""From one embedding model to another: who serves, since when another does not, and what becomes of its vectors.

Invariant: a model serves when it has read all that the one before had read, in one moment for all processes; vectors of
one that was left are kept for a while and then dropped in small parts.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import datetime, timedelta

from coach_core.errors import BadSetting
from coach_core.knowledge.choice import Choice
from coach_core.search import e5, english, meaning
from coach_core.store import Database, serving
from coach_core.store.serving import Serving
from coach_core.types import now

log = logging.getLogger(__name__)
KEEP = timedelta(days=7)  # going back within that time costs nothing


def begin(db: Database, choice: Choice) -> None:
    """The first model to read anything serves from the start."""
    if serving.get(db) is None:
        serving.put(db, Serving(choice.spec, choice.names()))


def settle(db: Database, choice: Choice) -> bool:
    """Let the chosen model serve if it has read all that the one before had read; whether anything changed."""
    state = serving.get(db)
    names = choice.names()
    if state is None or not names or (state.models == names and state.spec == choice.spec):
        return False
    if state.models[0] != names[0]:
        with db.read() as connection:
            if serving.uncovered(connection, state.models[0], names[0]):
                return False
    moment = now().isoformat()
    left = {m: state.left.get(m, moment) for m in (*state.left, *state.models) if m not in names}
    specs = {m: s for m, s in (*state.specs.items(), *((m, state.spec) for m in state.models)) if m in left}
    serving.put(db, Serving(choice.spec, names, left, specs))
    if state.models[0] != names[0]:
        log.info("%s finds passages now; the vectors of %s are kept for a while", names[0], state.models[0])
    return True


def clear(db: Database, choice: Choice, stop: threading.Event) -> None:
    """Note what is neither wanted nor serving, and drop it when its time has come."""
    state = serving.get(db)
    if state is None:
        return
    with db.read() as connection:
        stored = serving.models(connection)
    used = {*choice.names(), *state.models}
    if any(lazy.opened is None for lazy, _ in choice.parts):
        used.add(english.NAME)  # it could not be opened this time
    moment = now()
    left = {m: state.left.get(m, moment.isoformat()) for m in stored if m not in used}
    for model in [m for m, at in left.items() if datetime.fromisoformat(at) + KEEP <= moment]:
        while not stop.is_set() and db.write(lambda c, model=model: serving.drop_some(c, model)).result():
            pass
        if not stop.is_set():
            del left[model]
    if left != dict(state.left):
        serving.put(db, replace(state, left=left, specs={m: s for m, s in state.specs.items() if m in left}))


def left_here(db: Database) -> tuple[str, frozenset[str]]:
    """What opens the last model that was left and needs no request, and the names of all that were; "" for none."""
    state = serving.get(db)
    left = state.left if state is not None else {}
    for name in sorted(left, key=left.__getitem__, reverse=True):
        spec = state.specs.get(name, "") if state is not None else ""
        spec = spec or ("bundled" if name == e5.NAME else "")
        if spec and not _far(spec):
            return spec, frozenset(left)
    return "", frozenset()


def _far(spec: str) -> bool:
    try:
        return meaning.kind_of(spec) in ("address", "endpoint")
    except BadSetting:  # a folder that is gone: opening it says so
        return False


def kept(db: Database) -> str:
    """Which models' vectors are kept for going back, and until when."""
    state = serving.get(db)
    left = state.left if state is not None else {}
    return ", ".join(f"{m} until {datetime.fromisoformat(at) + KEEP:%d %b}" for m, at in left.items())
