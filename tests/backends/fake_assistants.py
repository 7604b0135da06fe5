"""A server of the Assistants API on the loopback: it keeps assistants, threads and files as told.

Invariant: what runs say is scripted (`replies`, one a run's start or submit, as in FakeApi, kept in `requests`);
all else answers from what was made here, and every request stands in `seen`. What is in `gone` is not there
any more; `once` answers a request before anything else does. Whatever a test is about, it fails at its end
when a body was sent that is none by the API's own description.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from coach_core.backends import Request
from coach_core.types import Event, Part
from tests.backends.conftest import message, text_of
from tests.backends.fake_api import FakeApi, Piece, Reply, Seen, json_reply
from tests.replay.bodies import faults_of

USAGE = {"prompt_tokens": 21, "completion_tokens": 4, "prompt_token_details": {"cached_tokens": 5}}
Json = dict[str, Any]


class FakeAssistants(FakeApi):
    def __init__(self, *replies: Reply) -> None:
        super().__init__(*replies)
        self.assistants: dict[str, Json] = {}
        self.threads: dict[str, list[Json]] = {}
        self.files: dict[str, str] = {}
        self.seen: list[Seen] = []
        self.gone: set[str] = set()
        self.polls: dict[str, list[Json]] = {}  # run -> what it says when asked for, the last again and again
        self.steps: list[Json] = []
        self.written: list[Json] = []  # what runs have added to whatever thread is listed
        self.faults: list[str] = []
        self._once: list[tuple[str, list[Reply]]] = []
        self._ids = itertools.count(1)

    def __exit__(self, *trouble: object) -> None:
        super().__exit__(*trouble)
        assert not self.faults

    def once(self, pattern: str, *replies: Reply) -> None:
        """Requests whose "METHOD /path" matches get these replies, each once, before all else."""
        self._once.append((pattern, list(replies)))

    def asked(self, pattern: str) -> list[Seen]:
        return [s for s in self.seen if re.search(pattern, f"{s.method} {s.path}")]

    def told(self, thread: str = "") -> list[tuple[str, Any]]:
        """Who said what in a thread, the newest by default."""
        return [(m["role"], m["content"]) for m in self.threads[thread or list(self.threads)[-1]] if "said" in m]

    def _routed(self, seen: Seen) -> Reply | None:
        with self._lock:
            self.seen.append(seen)
            if seen.method == "POST" and "form" not in seen.body and not seen.path.endswith("/cancel"):
                self.faults += [f"{seen.path}: {fault}" for fault in faults_of(_described(seen.path), seen.body)]
            return self._answered(seen)

    def _answered(self, seen: Seen) -> Reply | None:
        address = urlsplit(seen.path)
        asked = f"{seen.method} {seen.path}"
        for pattern, replies in self._once:
            if replies and re.search(pattern, asked):
                return replies.pop(0)
        path = address.path.removeprefix("/v1")
        for name in self.gone:
            if name in path.split("/") or seen.body.get("assistant_id") == name:
                return not_found(name)
        query = {k: v[0] for k, v in parse_qs(address.query).items()}
        match seen.method, path.strip("/").split("/"):
            case "POST", ["assistants"]:
                return self._made("asst", self.assistants, seen.body)
            case "GET", ["assistants", name]:
                return _json(self.assistants[name])
            case "GET", ["assistants"]:
                return _list(list(self.assistants.values()))
            case "DELETE", ["assistants" | "threads" as kind, name]:
                kept = self.assistants if kind == "assistants" else self.threads
                return _json({"id": name, "deleted": kept.pop(name, None) is not None})
            case "POST", ["files"]:
                return self._made("file", self.files, seen.body["form"])
            case "POST", ["threads"]:
                return self._new_thread(seen.body)
            case "POST", ["threads", name]:
                return _json({"id": name, "object": "thread"})
            case "POST", ["threads", name, "messages"]:
                return _json(self._message(name, seen.body))
            case "GET", ["threads", name, "messages"]:
                return self._page([*self.threads.get(name, []), *self.written], query)
            case "GET", ["threads", _, "runs", run, "steps"]:
                return _list([s for s in self.steps if s["run_id"] == run])
            case "GET", ["threads", _, "runs", run]:
                return self._poll(run)
            case "POST", ["threads", _, "runs", run, "cancel"]:
                if run in self.polls:
                    self.polls[run] = [a_run("cancelled", id=run)]
                return _json(a_run("cancelling", id=run))
            case _:
                return None

    def _made(self, kind: str, kept: dict[str, Any], body: Any) -> Reply:
        name = f"{kind}_{next(self._ids)}"
        kept[name] = {**body, "id": name, "object": "assistant"} if kind == "asst" else body
        return _json({"id": name, "object": kind})

    def _new_thread(self, body: Json) -> Reply:
        name = f"thread_{next(self._ids)}"
        self.threads[name] = []
        for told in body.get("messages", []):
            self._message(name, told)
        return _json({"id": name, "object": "thread", "created_at": 1, "metadata": {}})

    def _message(self, thread: str, body: Json) -> Json:
        number = next(self._ids)
        message = {**body, "id": f"msg_{number}", "object": "thread.message", "created_at": number, "run_id": None}
        self.threads.setdefault(thread, []).append({**message, "said": True})
        return message

    def wrote(self, *messages: Json) -> None:
        self.written += [{"created_at": 10_000 + n, **m} for n, m in enumerate(messages, len(self.written))]

    def _page(self, messages: list[Json], query: dict[str, str]) -> Reply:
        found = messages if query.get("order") == "asc" else messages[::-1]
        names = [m["id"] for m in found]
        start = names.index(query["after"]) + 1 if "after" in query else 0
        limit = min(int(query.get("limit", 20)), 2)  # pages are small here
        return _list(found[start : start + limit], more=len(found) > start + limit)

    def _poll(self, run: str) -> Reply:
        polls = self.polls.get(run)
        if not polls:
            return not_found(run)
        return _json(polls.pop(0) if len(polls) > 1 else polls[0])


def _described(path: str) -> str:
    """The path as the API's description spells it."""
    parts = path.partition("?")[0].removeprefix("/v1").split("/")
    names = {"threads": "{thread_id}", "runs": "{run_id}"}
    return "/".join(names.get(before, part) for before, part in zip(["", *parts], parts, strict=False))


def not_found(name: str) -> Reply:
    kind = {"asst": "assistant", "msg": "message"}.get(name.split("_")[0], name.split("_")[0])
    text = f"No {kind} found with id '{name}'."
    return json_reply(404, json.dumps({"error": {"message": text, "type": "invalid_request_error"}}))


def refusal(message: str, status: int = 400, **fields: Any) -> Reply:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None, **fields}
    return json_reply(status, json.dumps({"error": error}))


def _json(value: Any) -> Reply:
    return json_reply(200, json.dumps(value))


def _list(data: list[Json], *, more: bool = False) -> Reply:
    return _json({"object": "list", "data": data, "last_id": data[-1]["id"] if data else None, "has_more": more})


def a_run(status: str, **fields: Any) -> Json:
    own = {"id": "run_1", "object": "thread.run", "assistant_id": "asst_1", "thread_id": "thread_2", "status": status}
    usage = USAGE if status in {"completed", "incomplete"} else None
    return {**own, "required_action": None, "last_error": None, "incomplete_details": None, "usage": usage, **fields}


def waits(*calls: tuple[str, str, str], **fields: Any) -> Json:
    """A run that waits for (id, name, arguments)."""
    told = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": told}}
    return a_run("requires_action", required_action=action, **fields)


def delta(text: str, *notes: Json, message: str = "msg_a", index: int = 0) -> Json:
    value = {"value": text, **({"annotations": list(notes)} if notes else {})}
    return _delta({"index": index, "type": "text", "text": value}, message)


def _delta(part: Json, message: str = "msg_a") -> Json:
    return {"id": message, "object": "thread.message.delta", "delta": {"content": [part]}}


def refused(text: str) -> Json:
    return _delta({"index": 0, "type": "refusal", "refusal": text})


def whole(text: str, *notes: Json, message: str = "msg_a", run: str = "run_1", **fields: Any) -> Json:
    part = {"type": "text", "text": {"value": text, "annotations": list(notes)}}
    own = {"id": message, "object": "thread.message", "run_id": run, "role": "assistant", "status": "completed"}
    return {**own, "content": [part], **fields}


def cites(text: str, file_id: str = "file-1", **fields: Any) -> Json:
    return {"type": "file_citation", "text": text, "file_citation": {"file_id": file_id}, **fields}


def searched(*results: Json, status: str = "completed", run: str = "run_1") -> Json:
    call = {"id": "call_s", "type": "file_search", "file_search": {"results": list(results)}}
    own = {"id": "step_1", "object": "thread.run.step", "run_id": run, "type": "tool_calls", "status": status}
    return {**own, "step_details": {"type": "tool_calls", "tool_calls": [call]}}


def found(file_id: str, name: str, text: str) -> Json:
    return {"file_id": file_id, "file_name": name, "score": 0.7, "content": [{"type": "text", "text": text}]}


def stream(*frames: Json, end: Json | None = None, done: bool = True, run: str = "run_1") -> Reply:
    """A run's events as the vendor wrote them: begun, `frames`, and its end (completed, unless told)."""
    told = [a_run("queued", id=run), a_run("in_progress", id=run), *frames, end or a_run("completed", id=run)]
    pieces: list[Piece] = [event(f) for f in told]
    return Reply([*pieces, b"event: done\ndata: [DONE]\n\n"] if done else pieces)


def event(frame: Json) -> bytes:
    name = frame.get("object", "error")
    if "status" in frame and not name.endswith("delta"):
        name = f"{name}.{frame['status']}"
    return f"event: {name}\ndata: {json.dumps(frame, ensure_ascii=False)}\n\n".encode()


def incomplete(reason: str) -> Json:
    return a_run("incomplete", incomplete_details={"reason": reason})


def shown(events: list[Event]) -> str:
    """The text with <file> where a citation stands."""
    return "".join(e.text if e.kind == "text" else f"<{e.citation.external_id}>" if e.citation else "" for e in events)


def with_results(asked: Request, events: list[Event], *texts: str) -> Request:
    """The next round of the turn: what was called, and what the tools said."""
    calls = [e for e in events if e.kind == "tool_call"]
    asks = tuple(Part("tool_call", call_id=c.call_id, name=c.name, arguments=c.arguments) for c in calls)
    said = text_of(events)
    spoke = message(said, "assistant", *([Part("text", said)] if said else []), *asks)
    results = tuple(
        message(t, "tool", Part("tool_result", t, call_id=c.call_id, name=c.name))
        for c, t in zip(calls, texts or ["2"] * len(calls), strict=True)
    )
    return replace(asked, exchange=(*asked.exchange, spoke, *results))
