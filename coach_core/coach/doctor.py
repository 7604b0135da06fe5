"""What is configured, reachable and missing, each as one line with how to mend it.

Invariant: a check never raises and never shows a secret.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from coach_core.coach import trial
from coach_core.coach.parts import BackendParts
from coach_core.errors import CoachError
from coach_core.knowledge import Knowledge
from coach_core.settings import OWN_KEY, Settings, variable
from coach_core.store import Database, personas, schema
from coach_core.types import BackendInfo, Check, Trial

LITTLE_DISK = 1_000_000_000
AT_ONCE = 8  # servers asked at the same time: one that is down must not hold up the others


def checks(
    settings: Settings,
    db: Database,
    knowledge: Knowledge,
    parts: BackendParts,
    more: Sequence[Callable[[], Check | None]] = (),
    *,
    live: bool = False,
) -> list[Check]:
    """Every check, in the order an operator would look. With `live` each backend is asked a small question."""
    found = [
        _guarded("python", _python),
        _guarded("home", lambda: _home(settings)),
        _guarded("database", lambda: _database(db)),
        _guarded("personas", lambda: _personas(db)),
        _guarded("knowledge", lambda: _knowledge(knowledge)),
        _guarded("embeddings", knowledge.check),
    ]
    found += [line for check in more if (line := check())]
    found += [
        Check("setting", "warn", sentence, f"Correct or remove {name}.") for name, sentence in settings.problems.items()
    ]
    infos = parts.infos()
    found += _named(settings, infos)

    def look(name: str) -> Check:
        return live_call(settings, parts, name) if live else check_backend(parts, name)

    with ThreadPoolExecutor(AT_ONCE, "doctor") as pool:
        found += pool.map(look, infos)
    if not any(i.ready and i.name not in {"extractive", "scripted"} for i in infos.values()):
        mend = (
            "Put OPENAI_API_KEY=... or COACH_LOCAL_MODEL=path-to.gguf into the file .env and start again, "
            "or add an endpoint."
        )
        found.append(Check("language model", "warn", "none is connected: answers are quotes from the documents", mend))
    return found


def check_backend(parts: BackendParts, name: str) -> Check:
    """A cheap look at one backend, with the time it took: is it set up, does its server answer."""
    infos = parts.infos()
    if why := _why_not(infos, name):
        return why
    row = parts.row(name)
    if row is not None and not row.endpoint.profile.get("models", True):
        return Check(name, "ok", "set up; not asked, as its server lists no models. A live test asks it.")
    found = _guarded(name, lambda: parts.get(name).check())
    mend = found.mend
    if row is not None and found.state == "fail":
        mend = f"Its key is the value of {row.key_variable}." if row.key_variable else ""
    return replace(found, name=name, mend=mend)


def live_call(settings: Settings, parts: BackendParts, name: str) -> Trial:
    """One small live question to a backend."""
    infos = parts.infos()
    if why := _why_not(infos, name):
        return Trial(why.name, why.state, why.detail, why.mend)
    try:
        row, backend = parts.row(name), parts.get(name)
    except CoachError as error:
        return Trial(name, "fail", error.sentence, error=error.kind)
    return trial.call(
        name,
        backend,
        parameters=trial.parameters(settings.temperature, row.endpoint.profile if row else {}),
        key_variable=row.key_variable if row else OWN_KEY if infos[name].needs_key else "",
        patience=settings.turn_timeout if name == "local" else trial.FIRST,
    )


def _why_not(infos: Mapping[str, BackendInfo], name: str) -> Check | None:
    if name not in infos:
        return Check(name, "fail", "there is no such backend", f"Choose one of: {', '.join(infos)}.")
    return None if infos[name].ready else Check(name, "warn", "not connected", infos[name].why)


def _named(settings: Settings, infos: Mapping[str, BackendInfo]) -> list[Check]:
    """Settings that name a backend that there is not."""
    return [
        Check(
            "setting",
            "warn",
            f"{variable(name)} ({settings.sources[name]}) names {value!r}, and there is no such backend",
            f"Choose one of: {', '.join(infos)}.",
        )
        for name, value in (("backend", settings.backend), ("fallback", settings.fallback))
        if value and value not in infos
    ]


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    began = time.perf_counter()
    try:
        found = check()
    except CoachError as error:
        found = Check(name, "fail", error.sentence)
    except Exception as error:
        found = Check(name, "fail", f"the check itself failed ({type(error).__name__})", "See the log.")
    if found.milliseconds is not None:
        return found
    took = (time.perf_counter() - began) * 1000
    return Check(found.name, found.state, found.detail, found.mend, round(took, 1))


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    state = "ok" if sys.version_info < (3, 14) else "warn"
    return Check("python", state, version, "" if state == "ok" else "Python 3.11 to 3.13 are tested.")


def _home(settings: Settings) -> Check:
    free = shutil.disk_usage(settings.home).free
    detail = f"{settings.home}, {free / 1e9:.1f} GB free"
    if not os.access(settings.home, os.W_OK):
        return Check("home", "fail", detail, "Make the folder writable, or set COACH_HOME to another one.")
    if free < LITTLE_DISK:
        return Check("home", "warn", detail, "Free some space on this disk.")
    return Check("home", "ok", detail)


def _database(db: Database) -> Check:
    schema.check(db.engine)
    kind = "SQLite" if db.sqlite else "PostgreSQL"
    return Check("database", "ok", f"{kind}, schema {schema.current(db.engine)}")


def _personas(db: Database) -> Check:
    count = len(personas.list_personas(db))
    return Check("personas", "ok" if count else "warn", f"{count}", "" if count else "Make one on the page Personas.")


def _knowledge(knowledge: Knowledge) -> Check:
    collections = knowledge.collections()
    documents = sum(c.documents for c in collections)
    done, total = knowledge.pending()
    detail = f"{documents} documents in {len(collections)} collections, {done} of {total} passages found by meaning"
    return Check(
        "knowledge",
        "ok" if documents else "warn",
        detail,
        "" if documents else "Upload documents on the page Knowledge.",
    )
