"""Sessions of assistants as servers and programs record them: played whole, and read right.

What each run says is written here by hand, so that the tool's own reading is held against it too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.replay.exchanges import Exchange, read
from tests.replay.kinds import kind_of
from tests.replay.recorded import Said, Tokens
from tests.replay.recorded_assistants import said_in_run, thread_messages
from tests.replay.report import replay
from tests.replay.sessions import Session, sessions_of

Json = dict[str, Any]
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14, "prompt_token_details": {"cached_tokens": 3}}
FUNCTION = {"name": "f", "description": "Does.", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": FUNCTION}]


class Recording:
    """Exchanges of one recorded program, as they are added."""

    def __init__(self, prefix: str = "/v1", query: str = "") -> None:
        self.prefix, self.query = prefix, query
        self.rows: list[Json] = []

    def add(self, method: str, path: str, asked: Any, answer: Any, status: int = 200) -> Recording:
        body = answer if isinstance(answer, str) else json.dumps(answer)
        self.rows.append({"source": "made", "file": "made", "i": len(self.rows), "api": "assistants",
                          "method": method, "path": f"{self.prefix}{path}{self.query}", "request_body": asked,
                          "status": status, "response_body": body})  # fmt: skip
        return self

    def begun(self, *questions: str, tools: Any = None) -> Recording:
        asked = {"model": "m", "instructions": "You coach.", "tools": tools or []}
        self.add("POST", "/assistants", asked, {**asked, "id": "asst_1", "object": "assistant"})
        self.add("POST", "/threads", {}, {"id": "thread_1", "object": "thread"})
        return self.asked(*questions)

    def asked(self, *questions: str) -> Recording:
        for text in questions:
            self.add("POST", "/threads/thread_1/messages", {"role": "user", "content": text}, said("user", text, None))
        return self

    def run(self, answer: Any, **asked: Any) -> Recording:
        return self.add("POST", "/threads/thread_1/runs", {"assistant_id": "asst_1", **asked}, answer)

    def looked(self, *runs: Json) -> Recording:
        for run in runs:
            self.add("GET", "/threads/thread_1/runs/run_1", None, run)
        return self

    def listed(self, *messages: Json) -> Recording:
        return self.add("GET", "/threads/thread_1/messages", None, {"object": "list", "data": [*messages]})

    def write(self, folder: Path) -> Path:
        path = folder / "made.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        return path


def run(status: str, name: str = "run_1", thread: str = "thread_1", **more: Any) -> Json:
    usage = USAGE if status not in {"queued", "in_progress", "requires_action"} else None
    return {"id": name, "object": "thread.run", "thread_id": thread, "assistant_id": "asst_1", "status": status,
            "created_at": 100, "usage": usage, **more}  # fmt: skip


def said(role: str, text: str, of: str | None = "run_1", at: int = 105, notes: Any = ()) -> Json:
    content = [{"type": "text", "text": {"value": text, "annotations": [*notes]}}]
    return {"id": f"msg_{role}_{len(text)}", "object": "thread.message", "role": role, "run_id": of, "created_at": at,
            "status": "completed", "content": content}  # fmt: skip


def stream(text: str, end: Json, notes: Any = ()) -> str:
    message = said("assistant", text, end["id"], notes=notes)
    pieces = [{"index": 0, "type": "text", "text": {"value": t}} for t in (text[:3], text[3:])]
    events = [("thread.run.created", {**end, "status": "queued", "usage": None})]
    events += [("thread.message.delta", {"id": message["id"], "object": "thread.message.delta",
                                         "delta": {"content": [p]}}) for p in pieces if text]  # fmt: skip
    events += [("thread.message.completed", message)] if text else []
    events += [(f"thread.run.{end['status']}", end)]
    return "".join(f"event: {n}\n\ndata: {json.dumps(d)}\n\n\n" for n, d in events) + "event: done\ndata: [DONE]\n\n"


def waiting(*calls: str) -> Json:
    told = [{"id": c, "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}} for c in calls]
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": told}}
    return run("requires_action", required_action=action)


def handed(*calls: str, **more: Any) -> Json:
    return {"tool_outputs": [{"tool_call_id": c, "output": f"10 of {c}"} for c in calls], **more}


CITED = {"type": "file_citation", "text": "【4:0†a.txt】", "start_index": 5, "end_index": 16,
         "file_citation": {"file_id": "file-a"}}  # fmt: skip
MADE = {"type": "file_path", "text": "sandbox:/mnt/x.csv", "start_index": 0, "end_index": 1,
        "file_path": {"file_id": "file-x"}}  # fmt: skip
FAILED = {"last_error": {"code": "rate_limit_exceeded", "message": "You exceeded your quota"}}
SUBMIT = "/threads/thread_1/runs/run_1/submit_tool_outputs"
SECOND = run("completed", "run_2")
#: name -> (recording, what each round says: text, end, ids of calls, files cited)
CASES: dict[str, tuple[Recording, list[tuple[str, str, list[str], list[str]]]]] = {
    "streamed, name and data apart": (
        Recording().begun("Hello").run(stream("Hi there", run("completed")), stream=True),
        [("Hi there", "completed", [], [])]),
    "polled": (
        Recording().begun("Hello").run(run("queued")).looked(*[run("in_progress")] * 9, run("completed"))
        .listed(said("assistant", "Hi there"), said("user", "Hello", None, 90)),
        [("Hi there", "completed", [], [])]),
    "polled, messages that do not name their run": (
        Recording().begun("Hello").run(run("queued")).looked(run("completed"))
        .listed(said("assistant", "Hi there", None), said("user", "Hello", None, 90)),
        [("Hi there", "completed", [], [])]),
    "azure": (
        Recording("/openai", "?api-version=2024-05-01-preview").begun("Hello")
        .run(stream("Hi there", run("completed")), stream=True),
        [("Hi there", "completed", [], [])]),
    "thread and run made in one": (
        Recording().add("POST", "/threads/runs", {"assistant_id": "asst_1", "stream": True, "thread": {
            "messages": [{"role": "user", "content": "Hi"}]}}, stream("Hi there", run("completed"))),
        [("Hi there", "completed", [], [])]),
    "two runs on a thread": (
        Recording().begun("One?").run(stream("One.", run("completed")), stream=True).asked("Two?")
        .run(stream("Two.", SECOND), stream=True, additional_instructions="Be brief."),
        [("One.", "completed", [], []), ("Two.", "completed", [], [])]),
    "tools, streamed": (
        Recording().begun("Count", tools=TOOLS).run(stream("", waiting("call_1", "call_2")), stream=True)
        .add("POST", SUBMIT, handed("call_1", "call_2", stream=True), stream("It is 20.", run("completed"))),
        [("", "completed", ["call_1", "call_2"], []), ("It is 20.", "completed", [], [])]),
    "tools, polled": (
        Recording().begun("Count", tools=TOOLS).run(run("queued")).looked(run("in_progress"), waiting("call_1"))
        .add("POST", SUBMIT, handed("call_1"), run("queued")).looked(run("completed"))
        .listed(said("assistant", "It is 10.")),
        [("", "completed", ["call_1"], []), ("It is 10.", "completed", [], [])]),
    "citations of both kinds": (
        Recording().begun("Look").run(run("queued")).looked(run("completed"))
        .listed(said("assistant", "Hello【4:0†a.txt】, [get it](sandbox:/mnt/x.csv).", notes=[CITED, MADE])),
        [("Hello, get it.", "completed", [], ["file-a", "file-x"])]),
    "failed": (Recording().begun("Hi").run(stream("Par", run("failed", **FAILED)), stream=True),
               [("Par", "failed", [], [])]),
    "expired, polled": (Recording().begun("Hi").run(run("queued")).looked(run("expired")), [("", "failed", [], [])]),
    "incomplete": (
        Recording().begun("Hi").run(
            stream("Part", run("incomplete", incomplete_details={"reason": "max_completion_tokens"})), stream=True),
        [("Part", "incomplete", [], [])]),
    "cancelled": (Recording().begun("Hi").run(stream("Part", run("cancelled")), stream=True),
                  [("Part", "cancelled", [], [])]),
    "cut": (Recording().begun("Hi").run(stream("Part of it", run("completed"))[:-700], stream=True),
            [("Par", "cut", [], [])]),
}  # fmt: skip


def sessions_in(path: Path) -> list[Session]:
    found = [e for e in read([path]) if isinstance(e, Exchange)]
    return list(sessions_of([(e, kind_of(e)) for e in found]))


@pytest.mark.parametrize("case", CASES)
def test_a_session(case: str, tmp_path: Path) -> None:
    recording, wanted = CASES[case]
    path = recording.write(tmp_path)
    (session,) = sessions_in(path)
    rounds = [r for run in session.runs for r in run.rounds]
    heard = [said_in_run(r.start, r.polls, thread_messages(session.members)) for r in rounds]
    told = [(s.text, s.end, [c.call_id for c in s.calls], [c.target for c in s.cited]) for s in heard]
    assert told == wanted
    result = replay([path])["openai_assistants"]
    assert result["differs"] == [] and result["passed"] == result["run"] == len(recording.rows)


def test_tokens_are_those_of_the_whole_run(tmp_path: Path) -> None:
    (session,) = sessions_in(CASES["tools, polled"][0].write(tmp_path))
    first, last = (said_in_run(r.start, r.polls, ()) for r in session.runs[0].rounds)
    assert isinstance(first, Said) and (first.usage, last.usage) == (None, Tokens(10, 4, 3, 0))


def test_a_run_that_the_recording_leaves(tmp_path: Path) -> None:
    recording = Recording().begun("Hi").run(run("queued")).looked(run("in_progress"))
    result = replay([recording.write(tmp_path)])["openai_assistants"]
    assert result["run"] == 0 and result["not_run"]["the recording ends before the run does"] == 2


def test_threads_that_run_side_by_side(tmp_path: Path) -> None:
    recording = Recording()
    for name in ("a", "b"):
        asked = {"messages": [{"role": "user", "content": f"Question {name}"}]}
        recording.add("POST", "/threads", asked, {"id": name, "object": "thread"})
    for name in ("a", "b"):
        answer = stream(f"Answer {name}", run("completed", f"run_{name}", name))
        recording.add("POST", f"/threads/{name}/runs", {"assistant_id": "asst_1", "stream": True}, answer)
    result = replay([recording.write(tmp_path)])["openai_assistants"]
    assert (result["differs"], result["run"], result["passed"]) == ([], 4, 4)


def test_each_step_recorded_as_a_test_of_its_own(tmp_path: Path) -> None:
    recording = CASES["tools, polled"][0]
    path = recording.write(tmp_path)
    rows = [{**row, "file": f"step_{number}.yml"} for number, row in enumerate(recording.rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = replay([path])["openai_assistants"]
    assert result["differs"] == [] and result["passed"] == result["run"] == len(rows)


@pytest.mark.parametrize(("status", "error"), [(401, "invalid_api_key"), (429, "rate_limit_exceeded"), (500, "x")])
def test_a_run_that_is_refused(status: int, error: str, tmp_path: Path) -> None:
    answer = {"error": {"message": "It is refused", "code": error}}
    recording = Recording().begun("Hi")
    recording.add("POST", "/threads/thread_1/runs", {"assistant_id": "asst_1", "stream": True}, answer, status)
    result = replay([recording.write(tmp_path)])["openai_assistants"]
    assert (result["differs"], result["run"]) == ([], 4)
