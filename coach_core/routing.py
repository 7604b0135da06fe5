"""Which backend answers a turn, and which takes over before the first word.

First wins: what was asked for with this question, what a coach chose for the thread, what the persona
names, the default. Invariant: a choice somebody made by hand is never swapped for another in silence:
when it cannot answer, that is an error; a persona's is swapped for the default with a notice, and so is
what is not there any more, since nobody can mend that from within the thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coach_core.errors import BadSetting, MissingKey
from coach_core.types import BackendInfo


@dataclass(frozen=True, slots=True)
class Route:
    """`backends` in the order they are tried; `notices` (source, sentence) tell of a swap."""

    backends: tuple[str, ...]
    notices: tuple[tuple[str, str], ...] = ()


def choose(
    known: Mapping[str, BackendInfo],
    *,
    asked: str | None = None,
    thread: str | None = None,
    persona: str = "",
    default: str,
    fallback: str = "",
) -> Route:
    """The route of one turn. Raises BadSetting for an unknown name, MissingKey for one that is not ready."""
    swaps: list[str] = []
    if thread and not asked and thread not in known:
        swaps.append(f"The backend {thread!r} that was chosen for this thread is not there any more.")
        thread = None
    first = asked or thread
    if not first and persona:
        if persona in known and known[persona].ready:
            first = persona
        elif persona != default:
            why = known[persona].why if persona in known else f"There is no backend called {persona!r}."
            swaps.append(f"This persona's own backend is not connected. {why}")
    if not first and default not in known:
        swaps.append(f"There is no backend called {default!r}, which the settings name.")
        first = _stand_in(known, fallback)
    first = first or default
    _must_be_ready(known, first)
    notices = (("routing", " ".join([*swaps, f"{known[first].label} answers."])),) if swaps else ()
    backup = (fallback,) if fallback and fallback != first and fallback in known and known[fallback].ready else ()
    return Route((first, *backup), notices)


def _stand_in(known: Mapping[str, BackendInfo], fallback: str) -> str:
    """Who answers while the settings name nobody that there is: the backup, else what they connect themselves."""
    if fallback in known and known[fallback].ready:
        return fallback
    ready = [i for i in known.values() if i.ready and i.endpoint == "default"]
    return next((i.name for i in sorted(ready, key=lambda i: not i.needs_key)), "")


def _must_be_ready(known: Mapping[str, BackendInfo], name: str) -> None:
    if name not in known:
        raise BadSetting(f"There is no backend called {name!r}. Choose one of: {', '.join(known)}.")
    info = known[name]
    if not info.ready:
        raise (MissingKey if info.needs_key else BadSetting)(info.why)
