"""A backend that plays a script: for tests, browser tests and benchmarks.

Invariant: the same script and request give the same events, at any speed. The state is the request
itself: after n rounds of tool calls it goes on behind the n-th group of them, and `resume_from` is
skipped in the text when the script begins with it.

A script is a list of steps, or a path or JSON text of one, or of a mapping:

    {"tokens_per_second": 40, "rules": [{"match": "regex over the question", "steps": [...]}],
     "calls": [[...], [...]], "steps": [...]}

`calls` are played one a call of `stream`, the last one again and again; then the first rule that matches,
then `steps`, then a sensible answer. A step is a text, or one of {"text", "delay"}, {"reasoning"},
{"notice"}, {"citation": {"url", "title", ...}}, {"tool": name, "arguments", "call_id"}, {"wait": seconds},
{"error": kind, "text"}, {"cut": true}, {"hang": true}, {"done": status, "finish_reason"}, {"usage": {...}}.
{question} in a text is the question.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from coach_core import errors
from coach_core.backends import Endpoint, Request
from coach_core.errors import BackendError, BadSetting, StreamCut, TimedOut
from coach_core.types import Check, Citation, Event, Usage

_TOKEN = re.compile(r"\s*\S+\s*?(?=\s|$)|\s+")
_FIELDS = {"text", "reasoning", "notice", "citation", "tool", "wait", "error", "cut", "hang", "done", "usage"}
Step = Mapping[str, Any]


class Scripted:
    """Plays `script`; keeps the requests it got in `requests`, for tests to look at."""

    name = "scripted"

    def __init__(self, script: Mapping[str, Any], model: str = "", tokens_per_second: float = 0.0) -> None:
        self.model = model or "scripted"
        self.requests: list[Request] = []
        self._script = script
        self._pause = 1 / tokens_per_second if tokens_per_second else 0.0
        self._lock = threading.Lock()

    def stream(self, request: Request, cancel: threading.Event) -> Iterator[Event]:
        with self._lock:
            steps = self._pick(request, len(self.requests))
            self.requests.append(request)
        return _Play(request, cancel, self._pause).run(_round(steps, _rounds_done(request)))

    def check(self) -> Check:
        return Check("scripted", "ok", "plays a script", milliseconds=0.0)

    def close(self) -> None:
        pass

    def _pick(self, request: Request, call: int) -> list[Step]:
        if calls := self._script.get("calls"):
            return _steps(calls[min(call, len(calls) - 1)])
        for rule in self._script.get("rules", ()):
            if re.search(rule["match"], request.question.text, re.IGNORECASE):
                return _steps(rule["steps"])
        return _steps(self._script.get("steps") or [_sensible(request)])


class _Play:
    """One run through the steps of one round."""

    def __init__(self, request: Request, cancel: threading.Event, pause: float) -> None:
        self._request = request
        self._cancel = cancel
        self._pause = pause
        self._ends = time.monotonic() + request.total_timeout
        self._skip = request.resume_from
        self._said = 0
        self._called = False

    def run(self, steps: Sequence[Step]) -> Iterator[Event]:
        usage: Usage | None = None
        status, reason = "completed", ""
        whole = "".join(s["text"] for s in steps if "text" in s)
        self._skip = self._skip if self._fill(whole).startswith(self._skip) else ""
        for step in steps:
            if self._cancel.is_set():
                break
            if "usage" in step:
                usage = Usage(**step["usage"])
            elif "done" in step:
                status, reason = step["done"], step.get("finish_reason", "")
                break
            else:
                yield from self._play(step)
        if self._cancel.is_set():
            status, reason = "cancelled", ""
        elif not reason:
            reason = "tool_calls" if self._called else "stop" if status == "completed" else "length"
        yield Event(
            "done",
            status=status,
            usage=usage or self._usage(),
            finish_reason=reason,  # type: ignore[arg-type]
        )

    def _play(self, step: Step) -> Iterator[Event]:
        if "text" in step:
            yield from self._text("text", step["text"], step.get("delay", self._pause))
        elif "reasoning" in step:
            yield from self._text("reasoning", step["reasoning"], step.get("delay", self._pause))
        elif "notice" in step:
            yield Event("notice", source="scripted", text=step["notice"])
        elif "citation" in step:
            yield Event("citation", citation=Citation.from_dict({"number": 0, **step["citation"]}))
        elif "tool" in step:
            self._called = True
            call_id = step.get("call_id") or f"call_{len(self._request.exchange)}_{step['tool']}"
            yield Event("tool_call", call_id=call_id, name=step["tool"], arguments=step.get("arguments", {}))
        elif "wait" in step:
            self._wait(float(step["wait"]))
        elif "hang" in step:
            first = self._said == 0
            self._wait(self._request.first_token_timeout if first else self._request.token_timeout)
            if not self._cancel.is_set():
                raise TimedOut
        elif "error" in step:
            raise _KINDS.get(step["error"], BackendError)(step.get("text", ""))
        elif "cut" in step:
            raise StreamCut

    def _text(self, kind: Any, text: str, pause: float) -> Iterator[Event]:
        text = self._fill(text)
        if kind == "text" and self._skip:
            skipped = min(len(text), len(self._skip))
            text, self._skip = text[skipped:], self._skip[skipped:]
        for piece in _TOKEN.findall(text):
            if pause:
                self._wait(pause)
            if self._cancel.is_set():
                return
            self._said += 1
            yield Event(kind, text=piece)

    def _fill(self, text: str) -> str:
        return text.replace("{question}", self._request.question.text)

    def _wait(self, seconds: float) -> None:
        left = self._ends - time.monotonic()
        self._cancel.wait(max(min(seconds, left), 0))
        if seconds > left and not self._cancel.is_set():
            raise TimedOut

    def _usage(self) -> Usage:
        request = self._request
        told = (request.instructions, request.context, request.question.text, *(m.text for m in request.history))
        return Usage(sum(len(t.split()) for t in told), self._said, estimated=True)


def build(endpoint: Endpoint, *, script: Any = None, tokens_per_second: float = 0.0, **_: Any) -> Scripted:
    """`script` as the module's docstring says; None plays a sensible answer."""
    loaded = _load(script)
    speed = tokens_per_second or float(loaded.get("tokens_per_second", 0.0))
    return Scripted(loaded, endpoint.model, speed)


def _load(script: Any) -> Mapping[str, Any]:
    if isinstance(script, str | Path):
        script = _read(script) if str(script) else None
    loaded: Any = {"steps": script} if isinstance(script, Sequence) else script or {}
    listed = [loaded.get("steps", []), *loaded.get("calls", []), *(r["steps"] for r in loaded.get("rules", []))]
    for step in (step for steps in listed for step in _steps(steps)):
        if not _FIELDS & set(step):
            raise BadSetting(f"The script has a step that is not known: {json.dumps(step)[:80]}")
    return loaded


def _read(script: str | Path) -> Any:
    try:
        text = str(script)
        if not text.lstrip().startswith(("{", "[")):
            text = Path(script).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as error:
        raise BadSetting(f"The script for the scripted backend cannot be read: {error}") from error


def _steps(steps: Sequence[Any]) -> list[Step]:
    return [{"text": s} if isinstance(s, str) else s for s in steps]


def _round(steps: Sequence[Step], done: int) -> list[Step]:
    """The steps after `done` groups of tool calls, up to the end of the next group; the last one again and
    again, since a person may have called tools that the script knows nothing of."""
    groups: list[list[Step]] = [[]]
    for step in steps:
        if groups[-1] and "tool" in groups[-1][-1] and "tool" not in step:
            groups.append([])
        groups[-1].append(step)
    return groups[min(done, len(groups) - 1)]


def _rounds_done(request: Request) -> int:
    return sum(m.speaker == "assistant" for m in request.exchange)


def _sensible(request: Request) -> str:
    asked = " ".join(request.question.text.split())[:120]
    if not request.passages:
        return (
            f"You asked: {asked}\n\nBefore I suggest anything, tell me what you have tried already and what "
            "got in the way. Then pick one small step you could take this week, and say when and where."
        )
    first = request.passages[0]
    return (
        f"You asked: {asked}\n\nThe documents speak to this. {' '.join(first.text.split())[:300].rstrip()} [1]\n\n"
        f"That is from **{first.title}**. Pick one small step you could take this week, and say when and where."
    )


def _kinds(of: type[BackendError]) -> dict[str, Callable[[str], BackendError]]:
    found: dict[str, Callable[[str], BackendError]] = {of().kind: of}
    for below in of.__subclasses__():
        found |= _kinds(below)
    return found


_KINDS = _kinds(errors.BackendError)
