"""The Assistants wire, for servers that still speak it; its vendor switched it off on 2026-08-26.

Invariant: local history is the truth. An assistant a persona's settings, a thread a conversation: both only
spare telling it again, and whichever is gone is made anew in the same turn, with a notice. A thread is spoken
into by one turn at a time and given back by the one that completes. A run that is left before its end is
stopped at the server.

A run that calls tools waits there: the next round hands the results in. Its tokens are told when it has
ended, for all its rounds together. Code that the API runs comes as reasoning; a picture as "[image]".
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx2
import openai

from coach_core.backends import Endpoint, Remotes, Request
from coach_core.backends.assistants_personas import Assistant, Lost
from coach_core.backends.assistants_runs import Call, Gathered
from coach_core.backends.assistants_threads import Threads, second_store
from coach_core.backends.items import arguments_of
from coach_core.backends.line import Watch
from coach_core.backends.retries import aloud
from coach_core.backends.sdk import Reply, ToolsRefused, estimate, refuses_tools
from coach_core.backends.sdk_errors import host_of, said
from coach_core.backends.vendors import switched_off
from coach_core.errors import (
    ApiSwitchedOff,
    BackendError,
    ContextTooLong,
    MalformedStream,
    NotAnApi,
    Refused,
    StreamCut,
    TimedOut,
)
from coach_core.types import Check, Event, Part, Usage

log = logging.getLogger(__name__)
Raw = Mapping[str, Any]
_REMEMBERED = 512
_EXPIRES = 600.0  # seconds that a run waits for its tools
_DELETING = 2.0  # seconds for each thing that a test leaves
_REFUSES = frozenset({400, 404, 409, 410, 422})
_MEND = "Choose Responses or Chat Completions, or give the base URL of a compatible server."
_NO_MORE = "This tool cannot be called in this answer. Answer with what you know already."
_INCLUDE = {"include[]": "step_details.tool_calls[*].file_search.results[*].content"}


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A run that waits for the results of its calls."""

    thread: str
    run: str
    assistant: str
    calls: frozenset[str]
    cancel: threading.Event
    since: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class _Asked:
    """One question on its way: what it is, where it is asked, and what came of it."""

    request: Request
    watch: Watch
    said: list[str]
    thread: str = ""
    assistant: str = ""
    retries: int = 0
    request_id: str = ""
    threads: list[str] = field(default_factory=list[str])
    assistants: list[Assistant] = field(default_factory=list[Assistant])


class OpenAIAssistants(Threads):
    name = "openai_assistants"
    MARKS = frozenset({"thread_id", "assistant_id"})

    def __init__(self, endpoint: Endpoint, remotes: Remotes | None = None) -> None:
        super().__init__(endpoint, remotes)
        self._gate = threading.Lock()
        self._waiting: OrderedDict[tuple[Any, str], _Waiting] = OrderedDict()  # (our thread, call) -> its run
        self._spent: OrderedDict[str, None] = OrderedDict()  # threads that a turn spoke into and did not complete

    def check(self) -> Check:
        try:
            self._must_be_served()
        except ApiSwitchedOff as error:
            return Check(self.name, "fail", error.sentence, _MEND)
        return super().check()

    def close(self) -> None:
        with self._gate:
            left, _ = set(self._waiting.values()), self._waiting.clear()
        for waiting in left:
            self.stop(waiting.thread, waiting.run, patience=1.0)
        super().close()

    def _models(self) -> set[str]:
        self.call("get", "/assistants", query={"limit": 1}, timeout=5.0)
        try:
            return super()._models()
        except (openai.APIStatusError, NotAnApi):  # a server of assistants alone
            return set()

    def _must_be_served(self) -> None:
        if off := switched_off(self.name, self.endpoint.base_url):
            raise ApiSwitchedOff(off)

    # -- one round ----------------------------------------------------------------------------------

    def _answer(self, request: Request, watch: Watch, said: list[str]) -> Iterator[Event]:
        self._must_be_served()
        watch.look()
        self._sweep()
        asked = _Asked(request, watch, said)
        try:
            yield from self._round(asked)
        finally:
            if request.trial:
                self._leave_nothing(asked)

    def _leave_nothing(self, asked: _Asked) -> None:
        """Delete what was made for this question: at best, and without waiting long."""
        for assistant in asked.assistants:
            self.forget(assistant)
        made = [f"/threads/{t}" for t in asked.threads]
        for path in made + [f"/assistants/{a.id}" for a in asked.assistants if a.key]:
            try:
                self.call("delete", path, timeout=_DELETING, once=True)
            except Exception as error:  # the server may know no deletion, or may not answer any more
                log.info("what a test made was not deleted at the server: %s", type(error).__name__)
                return

    def _round(self, asked: _Asked) -> Iterator[Event]:
        request = asked.request
        results = _results(request)
        waiting = self._run_of(request, results)
        if waiting is not None:
            if (yield from self._go_on(asked, waiting, results)):
                return
            host = host_of(self.endpoint)
            text = f"{host} no longer waits for the results of the tools. The conversation is told again from here."
            yield Event("notice", source="state", text=text)
            asked.retries += 1
        yield from self._begin(asked, "" if waiting else self._known(request))

    def _begin(self, asked: _Asked, known: str) -> Iterator[Event]:
        """Ask in a thread; what has gone at the server is made again, each thing once."""
        request, watch = asked.request, asked.watch
        second_store(request)
        asked.thread, own, lost = "", False, set[str]()
        while True:
            assistant: Assistant | None = None
            try:
                assistant = self.assistant(request, watch, own=own)
                asked.assistants.append(assistant)
                if not asked.thread:
                    self._ask_in(asked, known)
                reply = yield from aloud(watch, partial(self._start, asked, assistant))
                break
            except Lost as gone:
                if gone.what in lost:
                    raise gone.error from gone
                lost.add(gone.what)
                if gone.what != "thread":
                    own = own or assistant is None or assistant.given
                    self.forget(assistant)
                if gone.what != "assistant":
                    asked.thread = known = ""
                yield Event("notice", source="state", text=self.sentence(gone, request, assistant))
                asked.retries += 1
        asked.assistant = assistant.id
        yield from self._read(asked, reply)

    def _start(self, asked: _Asked, assistant: Assistant) -> Reply:
        body = self.run_body(asked.request, assistant)
        query = _INCLUDE if asked.request.stores or assistant.given else {}
        path = f"/threads/{asked.thread}/runs"
        return self.in_thread(asked.thread, asked.watch, lambda: self.ask(path, body, asked.watch, query))

    def _ask_in(self, asked: _Asked, known: str) -> None:
        thread = ""
        for thread in self.told(asked.request, known, asked.watch):
            asked.threads.append(thread)
            with self._gate:
                self._spent[thread] = None
                while len(self._spent) > _REMEMBERED:
                    self._spent.popitem(last=False)
        asked.thread = thread

    def holds_history(self, request: Request) -> bool:
        return bool(self._known(request))

    def _known(self, request: Request) -> str:
        """The thread that has heard all but the question."""
        kept = (request.provider_state or {}).get("thread_id", "")
        if request.resume_from or request.parameters.get("state") == "stateless":
            return ""
        return "" if kept in self._spent else kept

    def _go_on(self, asked: _Asked, waiting: _Waiting, results: Sequence[Part]) -> Generator[Event, None, bool]:
        """Hand the results in; whether the run was still there to take them."""
        asked.thread, asked.assistant = waiting.thread, waiting.assistant
        outputs = {p.call_id: p.error or p.text for p in results}
        try:
            reply = yield from aloud(asked.watch, lambda: self._submit(asked, waiting.run, outputs))
        except openai.APIStatusError as error:
            self.stop(waiting.thread, waiting.run)
            if error.status_code in _REFUSES:
                return False
            raise
        except BaseException:
            self.stop(waiting.thread, waiting.run)
            raise
        return (yield from self._read(asked, reply, waiting.run))

    def _submit(self, asked: _Asked, run: str, outputs: Mapping[str, str]) -> Reply:
        path = f"/threads/{asked.thread}/runs/{run}/submit_tool_outputs"
        told = [{"tool_call_id": call_id, "output": text} for call_id, text in outputs.items()]
        return self.ask(path, {"tool_outputs": told}, asked.watch)

    # -- what comes back ----------------------------------------------------------------------------

    def _read(self, asked: _Asked, reply: Reply, run: str = "") -> Generator[Event, None, bool]:
        """The run's events to its end. False when it gave up waiting for tools before it said a word."""
        gathered = Gathered(self.endpoint, must_find=bool(asked.request.stores), run_id=run)
        settled = refused = False
        try:
            while True:
                yield from self._hear(asked, reply, gathered)
                if gathered.status != "requires_action" or asked.request.tools or refused:
                    break
                refused = True  # nothing is on offer any more: it is told so once, and may still answer
                outputs = {call.call_id: _NO_MORE for call in gathered.calls}
                gathered.run = {}
                reply = yield from aloud(asked.watch, partial(self._submit, asked, gathered.run_id, outputs))
            if gathered.status == "requires_action":
                calls = gathered.calls
                settled = bool(asked.request.tools)
                yield from self._called(asked, gathered, calls, keep=settled)
                return True
            settled = True
            if gathered.status == "expired" and run and not asked.said:
                return False
            yield from self._end(asked, gathered)
            return True
        finally:
            if not settled:
                self.stop(asked.thread, gathered.run_id)

    def _hear(self, asked: _Asked, reply: Reply, gathered: Gathered) -> Iterator[Event]:
        """All that comes until the run halts; what is held back of a text when it breaks off was said too."""
        asked.retries += reply.retries
        asked.request_id = reply.request_id or asked.request_id
        try:
            yield from self._listen(asked, reply, gathered)
        except Exception:
            yield from self._saying(asked, gathered.flush())
            raise
        yield from self._saying(asked, gathered.flush())

    def _listen(self, asked: _Asked, reply: Reply, gathered: Gathered) -> Iterator[Event]:
        polled = cut = False
        try:
            with closing(reply):
                for frame in reply:
                    if gathered.alive(frame):
                        asked.watch.token()
                    yield from self._saying(asked, gathered.take(frame))
                    if gathered.ended:
                        reply.said_all()
                        break
        except (httpx2.TransportError, StreamCut) as error:  # the run may go on there all the same
            if not gathered.run_id or isinstance(error, MalformedStream):
                raise
            cut = True
        if not gathered.ended:  # it is no stream, or one that ends without a word on the run
            polled = True
            self._wait(asked, gathered, cut=cut)
        if gathered.status in {"completed", "incomplete", "cancelled"} and (polled or not gathered.spoken):
            yield from self._saying(asked, self._asked_for(asked, gathered))

    def _saying(self, asked: _Asked, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            if event.kind == "text":
                asked.said.append(event.text)
            yield event

    def _wait(self, asked: _Asked, gathered: Gathered, *, cut: bool) -> None:
        """Ask for the run until it has ended; after a `cut` no longer than an answer may stop for."""
        if not gathered.run_id:
            raise StreamCut
        if not cut:
            asked.watch.only_whole()
        pause = 0.25
        while not gathered.ended:
            asked.watch.wait(pause)
            try:
                run = self.call("get", f"/threads/{asked.thread}/runs/{gathered.run_id}", asked.watch)
            except openai.NotFoundError as error:
                raise StreamCut from error
            if "status" not in run:
                raise StreamCut
            for _ in gathered.take(run):
                pass
            pause = min(pause * 1.5, 2.0)

    def _asked_for(self, asked: _Asked, gathered: Gathered) -> Iterator[Event]:
        """What the run wrote, asked for when it has ended."""
        messages = list(self._written(asked, gathered.run_id))
        if asked.request.stores or any(_annotated(m) for m in messages):
            path = f"/threads/{asked.thread}/runs/{gathered.run_id}/steps"
            try:
                steps = self.call("get", path, asked.watch, query={**_INCLUDE, "limit": 100, "order": "asc"})
            except (openai.APIStatusError, NotAnApi):
                steps = {}
            for step in steps.get("data") or ():
                yield from gathered.step(step)
        for message in messages:
            yield from gathered.message(message)

    def _written(self, asked: _Asked, run: str) -> Iterator[Raw]:
        """The run's messages in order, from a server that may know no filter by run."""
        query: dict[str, Any] = {"order": "asc", "limit": 100, "run_id": run}
        listed: list[Raw] = []
        while True:
            page = self.call("get", f"/threads/{asked.thread}/messages", asked.watch, query=query)
            items: list[Raw] = [i for i in page.get("data") or () if isinstance(i, Mapping)]
            listed += items
            last = page.get("last_id") or (items[-1].get("id") if items else None)
            if not page.get("has_more") or not items or last == query.get("after"):
                break
            query["after"] = last
        if len(listed) > 1 and (listed[0].get("created_at") or 0) > (listed[-1].get("created_at") or 0):
            listed.reverse()  # a server that knows no order but the newest first
        spoken = [m for m in listed if m.get("role") == "assistant"]
        if of_run := [m for m in spoken if m.get("run_id") == run]:
            return iter(of_run)
        asked_at = max((i for i, m in enumerate(listed) if m.get("role") == "user"), default=-1)
        return (m for m in listed[asked_at + 1 :] if m.get("role") == "assistant" and not m.get("run_id"))

    # -- how it ends --------------------------------------------------------------------------------

    def _called(self, asked: _Asked, gathered: Gathered, calls: Sequence[Call], *, keep: bool) -> Iterator[Event]:
        if keep:
            ids = frozenset(call.call_id for call in calls)
            waiting = _Waiting(asked.thread, gathered.run_id, asked.assistant, ids, asked.watch.cancel)
            with self._gate:
                for call_id in ids:
                    self._waiting[asked.request.question.thread_id, call_id] = waiting
                while len(self._waiting) > _REMEMBERED:
                    self._waiting.popitem(last=False)
        for call in calls:
            yield Event("tool_call", call_id=call.call_id, name=call.name, arguments=arguments_of(call.arguments))
        yield self._done(asked, gathered, "completed", "tool_calls", Usage())

    def _end(self, asked: _Asked, gathered: Gathered) -> Iterator[Event]:
        usage = gathered.usage or estimate(asked.request, asked.said)
        match gathered.status:
            case "failed":
                raise self._failure(asked, gathered)
            case "expired":
                host = host_of(self.endpoint)
                raise TimedOut(f"{host} gave the answer up before it was finished. What had arrived is kept.")
            case "cancelled":
                yield self._done(asked, gathered, "cancelled", "cancelled", usage)
                return
            case _:
                pass
        reason = self._reason(asked, gathered)
        if not reason:
            gathered.must_have_found()
            with self._gate:
                self._spent.pop(asked.thread, None)
        finish = reason or ("refusal" if gathered.refused else "stop")
        yield self._done(asked, gathered, "incomplete" if reason else "completed", finish, usage)

    def _reason(self, asked: _Asked, gathered: Gathered) -> str:
        """Why the answer is not whole, or ""."""
        told = str((gathered.run.get("incomplete_details") or {}).get("reason") or "")
        if gathered.filtered or told == "content_filter":
            if not asked.said:
                raise Refused
            return "content_filter"
        if gathered.status != "incomplete":
            return ""
        if told == "max_prompt_tokens" and not asked.said:
            raise ContextTooLong
        return "length" if told in {"max_completion_tokens", "max_prompt_tokens"} else told or "incomplete"

    def _failure(self, asked: _Asked, gathered: Gathered) -> Exception:
        error = gathered.run.get("last_error") or {}
        message = str(error.get("message") or "")
        if not asked.said and self.takes_tools(asked.request) and asked.request.tools and refuses_tools(message):
            return ToolsRefused()
        fault: BackendError = said(str(error.get("code") or ""), message, self.endpoint)
        return fault

    def _done(self, asked: _Asked, gathered: Gathered, status: Any, finish: str, usage: Usage) -> Event:
        ids = {
            "thread_id": asked.thread,
            "assistant_id": asked.assistant,
            "run_id": gathered.run_id,
            "thread_store": second_store(asked.request),
            "request_id": asked.request_id,
        }
        told = {k: v for k, v in ids.items() if v}
        return Event("done", status=status, usage=usage, finish_reason=finish, ids=told, retries=asked.retries)

    # -- runs that wait -----------------------------------------------------------------------------

    def _run_of(self, request: Request, results: Sequence[Part]) -> _Waiting | None:
        """The run that waits for just these results; taken out, for it takes them once."""
        place = request.question.thread_id
        with self._gate:
            found = {self._waiting.get((place, p.call_id)) for p in results}
            waiting = found.pop() if len(found) == 1 else None
            told = frozenset(p.call_id for p in results)
            if waiting is None or request.resume_from or waiting.calls != told:
                return None
            for call_id in waiting.calls:
                self._waiting.pop((place, call_id), None)
        return waiting

    def _sweep(self) -> None:
        """Stop runs that wait for a turn that was stopped; forget those that have given up waiting."""
        with self._gate:
            left = {k: w for k, w in self._waiting.items() if w.cancel.is_set() or _old(w)}
            for key in left:
                del self._waiting[key]
        for waiting in set(left.values()):
            if not _old(waiting):
                self.stop(waiting.thread, waiting.run)


def _old(waiting: _Waiting) -> bool:
    return time.monotonic() - waiting.since > _EXPIRES


def _results(request: Request) -> list[Part]:
    """The results that came last, of one round of tools."""
    out: list[Part] = []
    for message in reversed(request.exchange):
        if message.speaker != "tool":
            break
        out += [p for p in message.parts if p.kind == "tool_result"]
    return out[::-1]


def _annotated(message: Raw) -> bool:
    texts = [c.get("text") for c in message.get("content") or ()]
    return any(isinstance(t, Mapping) and t.get("annotations") for t in texts)


def build(endpoint: Endpoint, remotes: Remotes | None = None, **_: object) -> OpenAIAssistants:
    return OpenAIAssistants(endpoint, remotes)
