"""Run whole recordings and count: what was played, what passed, what was not played and why."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from coach_core.backends import BACKENDS
from tests.replay.compare import Difference
from tests.replay.exchanges import Exchange, Unreadable, read
from tests.replay.group import Group
from tests.replay.kinds import ASSISTANTS, CHAT, RESPONSES, WIRES, Kind, kind_of
from tests.replay.play import Outcome, Player, play_chat, play_responses
from tests.replay.server import ReplayServer
from tests.replay.session_play import play_sessions
from tests.replay.sessions import joined

OTHER = "other"
Tell = Callable[[str], None]


def replay(paths: Iterable[Path], tell: Tell | None = None) -> dict[str, Any]:
    """Per wire: exchanges, run, passed, not_run by reason, differs. What cannot be read is under `unreadable`."""
    began = time.monotonic()
    exchanges: list[tuple[Exchange, Kind]] = []
    unreadable: list[Unreadable] = []
    for found in read(paths):
        if isinstance(found, Unreadable):
            unreadable.append(found)
        else:
            exchanges.append((found, kind_of(found)))
    outcomes = list(outcomes_of(exchanges, tell))
    result: dict[str, Any] = {wire: _counted([o for o in outcomes if o.wire == wire]) for wire in (*WIRES, OTHER)}
    result["unreadable"] = [{"file": u.file, "line": u.line, "why": u.why} for u in unreadable]
    result["seconds"] = round(time.monotonic() - began, 1)
    return result


def outcomes_of(exchanges: list[tuple[Exchange, Kind]], tell: Tell | None = None) -> Iterator[Outcome]:
    with ReplayServer() as server:
        player = Player(server)
        try:
            for number, outcome in enumerate(_played(player, exchanges), 1):
                if tell and (number % 100 == 0 or number == len(exchanges)):
                    tell(f"{number} of {len(exchanges)} exchanges")
                yield outcome
        finally:
            player.close()


def _played(player: Player, exchanges: list[tuple[Exchange, Kind]]) -> Iterator[Outcome]:
    groups: dict[tuple[str, str, str], list[tuple[Exchange, Kind]]] = {}
    for exchange, kind in exchanges:
        if not kind.wire:
            yield Outcome(exchange, OTHER, kind.why)
        elif kind.wire not in BACKENDS:
            yield Outcome(exchange, kind.wire, f"this app has no {kind.wire}")
        elif not 200 <= exchange.status < 300 and exchange.status < 400:
            yield Outcome(exchange, kind.wire, f"status {exchange.status}: no answer")
        else:
            # a chat tells everything each time, so that each exchange stands for itself
            name = f"line {exchange.line}" if kind.wire == CHAT else exchange.group
            groups.setdefault((kind.wire, exchange.file, name), []).append((exchange, kind))
    for (wire, file, name), members in groups.items():
        if wire != ASSISTANTS:
            yield from _group(player, members, f"{file} {name}")
    for file in dict.fromkeys(file for wire, file, _ in groups if wire == ASSISTANTS):
        for members in joined([m for (wire, of, _), m in groups.items() if (wire, of) == (ASSISTANTS, file)]):
            yield from _group(player, members, f"{file} {members[0][0].group}")


def _group(player: Player, members: list[tuple[Exchange, Kind]], apart: str) -> Iterator[Outcome]:
    """The outcomes of a group; what goes wrong in here is told of each exchange that is left."""
    left = {exchange.line: (exchange, kind) for exchange, kind in members}
    wire = members[0][1].wire
    try:
        for outcome in _outcomes(player, wire, members, apart):
            left.pop(outcome.exchange.line, None)
            yield outcome
    except Exception as error:
        broken = Difference("this tool", "no fault of its own", f"{type(error).__name__}: {error}")
        for exchange, _ in left.values():
            yield Outcome(exchange, wire, differs=(broken,))


def _outcomes(player: Player, wire: str, members: list[tuple[Exchange, Kind]], apart: str) -> Iterator[Outcome]:
    if wire == CHAT:
        return (play_chat(player, exchange, kind) for exchange, kind in members)
    if wire == RESPONSES:
        return play_responses(player, Group(members), apart)
    return play_sessions(player, members, apart)


def _counted(outcomes: list[Outcome]) -> dict[str, Any]:
    run = [o for o in outcomes if not o.why]
    return {
        "exchanges": len(outcomes),
        "run": len(run),
        "passed": sum(not o.differs for o in run),
        "not_run": dict(Counter(o.why for o in outcomes if o.why).most_common()),
        "differs": [_told(o, d.to_dict()) for o in run for d in o.differs],
    }


def _told(outcome: Outcome, difference: dict[str, Any]) -> dict[str, Any]:
    exchange = outcome.exchange
    where = {"file": exchange.file, "line": exchange.line, "source": exchange.source}
    if exchange.group != exchange.file:
        where |= {"recorded_as": exchange.group, "i": exchange.i}
    return where | difference
