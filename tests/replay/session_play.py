"""Play recorded sessions of the Assistants wire through our adapter.

Invariant: the adapter is asked as the app asks it: one Request a run, the same with the tools' results for
its next round, and with what it said itself in `done.ids` for the next run on the thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from coach_core.backends import Request
from coach_core.types import ToolSpec
from tests.replay.asked import Asked, asked_of, messages_of
from tests.replay.bodies import faults_of, left_out, not_offered
from tests.replay.compare import Difference, Got, differences
from tests.replay.kinds import ASSISTANTS
from tests.replay.play import Outcome, Player
from tests.replay.recorded import Said, Tokens
from tests.replay.recorded_assistants import Member, said_in_run, thread_messages
from tests.replay.server import Sent
from tests.replay.session_stage import SessionStage
from tests.replay.sessions import STARTS, Round, Run, Session, sessions_of
from tests.replay.spoken import Media, Saying, form, sayings, tools

_SPEC_PATHS = {
    "assistant_create": "/assistants",
    "assistant_modify": "/assistants/{assistant_id}",
    "thread_create": "/threads",
    "thread_run": "/threads/runs",
    "thread_modify": "/threads/{thread_id}",
    "message_create": "/threads/{thread_id}/messages",
    "run_create": "/threads/{thread_id}/runs",
    "submit": "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
}


def play_sessions(player: Player, members: Sequence[Member], apart: str) -> Iterator[Outcome]:
    """Every session of a group; what belongs to none was not run."""
    played: set[int] = set()
    for session in sessions_of(members):
        for outcome in play_session(player, session, f"{apart} {session.thread}"):
            if outcome.exchange.line not in played:
                played.add(outcome.exchange.line)
                yield outcome
    for exchange, kind in members:
        if exchange.line not in played:
            yield Outcome(exchange, ASSISTANTS, f"{kind.operation}: no run in the recording needs it")


def play_session(player: Player, session: Session, apart: str) -> Iterator[Outcome]:
    """The outcome of every member: its run's for what starts one, passed for what was only served."""
    stage = SessionStage(session)
    found: dict[int, list[Difference]] = {}
    unheard: dict[int, str] = {}
    history: list[Saying] = []
    state: Mapping[str, str] | None = None
    for run in session.runs:
        state = _play_run(player, stage, run, history, state, apart, found, unheard)
        history += [*run.asked, *stage.answers]
    for exchange, kind in session.members:
        if exchange.line in unheard:
            yield Outcome(exchange, ASSISTANTS, unheard[exchange.line])
        elif exchange.line in stage.served or exchange.line in found:
            yield Outcome(exchange, ASSISTANTS, differs=tuple(found.get(exchange.line, ())))
        else:
            yield Outcome(exchange, ASSISTANTS, f"{kind.operation}: our adapter does not ask this")


def _play_run(
    player: Player,
    stage: SessionStage,
    run: Run,
    history: Sequence[Saying],
    state: Mapping[str, str] | None,
    apart: str,
    found: dict[int, list[Difference]],
    unheard: dict[int, str],
) -> Mapping[str, str] | None:
    """Ask the run's question and hand in its results; what the app keeps for the next question."""
    asked = _asked(stage.session, run, history, state)
    got = Got([])
    stage.begin(run)
    for number, now in enumerate(run.rounds):
        said = said_in_run(now.start, now.polls, thread_messages(stage.session.members))
        if said.end == "waiting":
            unheard |= {e.line: "the recording ends before the run does" for e in (now.start, *now.polls)}
            break
        if number:
            asked = replace(asked, request=_with_results(asked.request, run.rounds[number - 1], now, stage.session))
        stage.turn(now)
        before = len(stage.sent)
        got = player.play(ASSISTANTS, now.kind.prefix, asked, stage, apart)
        wrong = [*differences(_comparable(said), got), *_sent_wrong(stage, run, now, stage.sent[before:])]
        if got.error is None:  # a run that is left before its end may be stopped
            wrong += [Difference("asks no more than a server answers", "", told) for told in stage.beyond]
        stage.beyond.clear()
        found[now.start.line] = wrong
        stage.answers = [Saying("assistant", (got.text,))] if got.text else []
        if got.error is not None:
            break
    return got.done.ids if got.done else None


def _comparable(said: Said) -> Said:
    """A run has no response id, and tells its tokens when it has ended, for all its rounds together."""
    return replace(said, response_id="", usage=said.usage or (Tokens(0, 0, 0, 0) if said.calls else None))


def _asked(session: Session, run: Run, history: Sequence[Saying], state: Mapping[str, str] | None) -> Asked:
    start = run.rounds[0].start
    body = start.request if isinstance(start.request, dict) else {}
    asked = asked_of(replace(start, request={"input": _as_items([*history, *run.asked])}))
    made = session.made or {}
    system = [str(body.get(k) or "") for k in ("instructions", "additional_instructions")]
    parameters = {k: v for k in ("temperature", "top_p") if (v := body.get(k) or made.get(k)) is not None}
    if not session.made:
        parameters["assistant_id"] = session.assistant
    request = replace(
        asked.request,
        instructions=str(made.get("instructions") or ""),
        context="\n\n".join(s for s in system if s),
        tools=tuple(ToolSpec(t.name, t.description, t.parameters) for t in tools(body) or tools(made)),
        model=str(body.get("model") or made.get("model") or session.shown.get("model") or "recorded"),
        schema=form(body) or form(made),
        parameters=parameters,
        provider_state=state,
    )
    facts = {"stream": start.sse}
    if start.query and "api-version" in start.query:
        facts["query"] = {"api-version": start.query["api-version"]}
    return Asked(request, facts, [])


def _as_items(said: Sequence[Saying]) -> list[dict[str, Any]]:
    return [{"role": s.role, "content": [_as_part(p) for p in s.pieces]} for s in said]


def _as_part(piece: str | Media) -> dict[str, Any]:
    if isinstance(piece, str):
        return {"type": "text", "text": piece}
    if piece.kind == "image":
        return {"type": "image_url", "image_url": piece.url}
    return {"type": "file", "file_data": piece.url, "filename": piece.name}


def _with_results(request: Request, before: Round, now: Round, session: Session) -> Request:
    """The next round: the calls that the round before ended in, and the results that were handed in."""
    called = said_in_run(before.start, before.polls, ()).calls
    calls = [Saying("call", (c.arguments,), c.call_id, c.name) for c in called]
    results = sayings(now.start.request)
    told = tuple(messages_of([*calls, *results], {}))
    return replace(request, exchange=(*request.exchange, *told))


def _sent_wrong(stage: SessionStage, run: Run, now: Round, sent: Sequence[tuple[str, Sent]]) -> Iterator[Difference]:
    like = [e.request for e, _ in stage.session.members]
    for operation, request in sent:
        path = _SPEC_PATHS.get(operation)
        for fault in faults_of(path, request.body, like) if path and request.method == "POST" else ():
            yield Difference("the body follows the description", path, fault)
    told = [s.body for _, s in stage.sent if s.body]
    first = now is run.rounds[0]
    wanted = run.asked if first else sayings(now.start.request)
    context = now.start.request if first and isinstance(now.start.request, dict) else {}
    flat = [_unfolded(body) for body in told]
    for missing in left_out([*wanted, *(s for s in sayings(context) if s.role == "system")], flat):
        yield Difference("the bodies say all that was said", missing, "not there")
    if first and stage.session.made:
        system = {"instructions": stage.session.made.get("instructions") or ""}
        for missing in [*left_out(sayings(system), flat), *not_offered(stage.session.made, _assistant_sent(stage))]:
            yield Difference("the assistant is the same", missing, "not there")


def _unfolded(body: dict[str, Any]) -> dict[str, Any]:
    """A body with what a thread within it holds."""
    thread = body.get("thread")
    return {**body, "messages": thread.get("messages")} if isinstance(thread, dict) else body


def _assistant_sent(stage: SessionStage) -> dict[str, Any]:
    """The tools that a run has: those of the run's own body, or those its assistant was made with."""
    bodies = [s.body for o, s in stage.sent if o in {"assistant_create", "assistant_modify", *STARTS} and s.body]
    return {k: v for body in bodies for k, v in body.items() if k in ("tools", "response_format") and v}
