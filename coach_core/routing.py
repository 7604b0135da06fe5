"""Which backend answers a turn, and which takes over before the first word.

First wins: what was asked for with this question, what a coach chose for the thread, what the persona
names, the default. Invariant: a choice somebody made by hand is never swapped for another in silence:
when it cannot answer, that is an error; a persona's is swapped for the default with a notice.
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
    notices: tuple[tuple[str, str], ...] = ()
    first = asked or thread
    if first:
        _must_be_ready(known, first)
    elif persona and persona in known and known[persona].ready:
        first = persona
    else:
        first = default
        if persona and persona != default:
            why = known[persona].why if persona in known else f"there is no backend called {persona!r}."
            label = known[default].label if default in known else default
            notices = (("routing", f"This persona's own backend is not connected ({why}) {label} answers."),)
        _must_be_ready(known, first)
    backup = (fallback,) if fallback and fallback != first and fallback in known and known[fallback].ready else ()
    return Route((first, *backup), notices)


def _must_be_ready(known: Mapping[str, BackendInfo], name: str) -> None:
    if name not in known:
        raise BadSetting(f"There is no backend called {name!r}. Choose one of: {', '.join(known)}.")
    info = known[name]
    if not info.ready:
        raise (MissingKey if info.needs_key else BadSetting)(info.why)
