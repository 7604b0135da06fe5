"""The replay of recorded traffic: a selection of every kind passes, and what is not right is told."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.replay import group, session_stage
from tests.replay.bodies import faults_of, left_out, not_offered
from tests.replay.exchanges import Exchange, Unreadable, read
from tests.replay.report import replay
from tests.replay.server import Served
from tests.replay.spoken import sayings

ROOT = Path(__file__).parents[1]
SELECTION = ROOT / "tests" / "cassettes" / "replay.jsonl"
TRAFFIC = Path(os.environ.get("REPLAY_TRAFFIC") or ROOT.parent / "shared" / "data" / "traffic")
WIRES = ("openai_responses", "openai_chat", "openai_assistants")
#: All the reasons there may be for not running an exchange of a wire; each is explained in docs/replay.md.
REASONS = {
    "conversation_delete: our adapter does not ask this",
    "assistant_retrieve: our adapter does not ask this",
    "the recording ends before the response does",
}
ASKED: dict[str, Any] = {"model": "m1", "messages": [{"role": "user", "content": "Hello"}], "stream": False}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi there"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
ENTRY: dict[str, Any] = {
    "source": "made",
    "file": "made",
    "i": 0,
    "api": "chat",
    "method": "POST",
    "host": "api.example",
    "path": "/v1/chat/completions",
    "request_body": json.dumps(ASKED),
    "status": 200,
    "response_headers": {"content-type": "application/json"},
    "sse": False,
    "response_body": json.dumps(ANSWER),
}
Play = Callable[..., dict[str, Any]]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """The result of a recording with these entries; a string stands in it as it is."""

    def run(*entries: Any, name: str = "made.jsonl") -> dict[str, Any]:
        path = tmp_path / name
        path.write_text("\n".join(e if isinstance(e, str) else json.dumps(e) for e in entries) + "\n", "utf-8")
        return replay([path])

    return run


def chosen(*wanted: str) -> list[dict[str, Any]]:
    """The exchanges of the selection's recorded test whose name ends so."""
    rows = [json.loads(line) for line in SELECTION.read_text("utf-8").splitlines()]
    found = [row for row in rows if row["file"].endswith(wanted)]
    assert found, wanted
    return found


def differing(result: dict[str, Any], wire: str) -> list[str]:
    return [d["what"] for d in result[wire]["differs"]]


def complete(result: dict[str, Any]) -> bool:
    counts = [w for w in result.values() if isinstance(w, dict)]
    return all(w["exchanges"] == w["run"] + sum(w["not_run"].values()) for w in counts)


class TestSelection:
    def test_every_kind_passes(self) -> None:
        result = replay([SELECTION])
        for wire in WIRES:
            assert result[wire]["differs"] == []
            assert result[wire]["passed"] == result[wire]["run"] >= 25
            assert set(result[wire]["not_run"]) <= REASONS
        assert complete(result) and result["unreadable"] == []

    def test_the_command(self, tmp_path: Path) -> None:
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}}
        asked = {"messages": [{"role": "assistant", "content": [picture]}, *ASKED["messages"]]}  # none of ours has one
        bad = tmp_path / "bad.jsonl"
        bad.write_text(json.dumps({**ENTRY, "request_body": asked}) + "\n{\n")
        run = subprocess.run(
            [sys.executable, "-m", "tests.replay", str(bad)], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        told = json.loads(run.stdout)
        assert (told["openai_chat"]["exchanges"], told["openai_chat"]["run"]) == (1, 1)
        assert [d["what"] for d in told["openai_chat"]["differs"]] == ["the body says all that was said"]
        assert run.returncode == 1 and told["unreadable"][0]["line"] == 2
        assert "1 of 1" in run.stderr and "Traceback" not in run.stderr

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (None, "No such file"),
            (b"", "it is empty"),
            (bytes(range(128, 256)) * 40, "no JSON"),
            (b"\x1f\x8b\x08\x00broken", "damaged gzip"),
            (b'{"log": {"entries": []}}', "no entries"),
            (b"17", "no recording"),
        ],
        ids=["missing", "empty", "binary", "gzip", "har", "number"],
    )
    @pytest.mark.slow
    def test_a_file_of_which_nothing_can_be_read_is_told_and_no_success(
        self, tmp_path: Path, content: bytes | None, says: str
    ) -> None:
        good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
        good.write_text(json.dumps(ENTRY) + "\n")
        if content is not None:
            bad.write_bytes(content)
        command = [sys.executable, "-m", "tests.replay", "--quiet", str(good), str(bad)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert run.returncode == 2, run.stdout
        (line,) = run.stderr.splitlines()
        assert str(bad) in line and says in line
        told = json.loads(run.stdout)
        assert told["openai_chat"]["passed"] == 1 and told["unreadable"][0]["file"] == str(bad)


def har(entry: dict[str, Any], **content: Any) -> dict[str, Any]:
    """The entry as a browser or a proxy writes it."""
    headers = [{"name": k.title(), "value": v} for k, v in entry["response_headers"].items()]
    headers += [{"name": "Content-Encoding", "value": "gzip"}, {"name": "Content-Length", "value": "7"}]
    return {
        "startedDateTime": "2025-01-01T00:00:00Z",
        "request": {
            "method": "POST",
            "url": f"https://{entry['host']}{entry['path']}?v=1",
            "headers": [{"name": "Authorization", "value": "Bearer x"}],
            "postData": {"mimeType": "application/json", "text": entry["request_body"]},
        },
        "response": {
            "status": entry["status"],
            "headers": headers,
            "content": {"size": 9, "mimeType": "application/json", "text": entry["response_body"], **content},
        },
    }


class TestHar:
    def test_its_entries_are_exchanges_in_their_order(self, tmp_path: Path) -> None:
        packed = base64.b64encode(ENTRY["response_body"].encode()).decode()
        entries = [har(ENTRY), har(ENTRY, text=packed, encoding="base64"), har({**ENTRY, "status": 404})]
        path = tmp_path / "made.har"
        path.write_text(json.dumps({"log": {"version": "1.2", "entries": entries}}), "utf-8")
        found = list(read([tmp_path]))
        assert [type(f) for f in found] == [Exchange] * 3
        assert [(f.i, f.line, f.status) for f in found if isinstance(f, Exchange)] == [
            (0, 1, 200),
            (1, 2, 200),
            (2, 3, 404),
        ]
        for one in found:
            assert isinstance(one, Exchange) and one.group == str(path)
            assert (one.method, one.host, one.path, one.query) == ("POST", ENTRY["host"], ENTRY["path"], {"v": "1"})
            assert one.request == ASKED and json.loads(one.body) == ANSWER and not one.sse
            assert "content-encoding" not in one.headers, "its text is unpacked already"
        result = replay([path])
        assert (result["openai_chat"]["run"], result["unreadable"]) == (3, [])
        assert result["openai_chat"]["passed"] >= 2

    def test_streams_and_lines_of_entries(self, play: Play) -> None:
        events = [{**ANSWER, "object": "chat.completion.chunk"}]
        events[0]["choices"] = [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]
        stream = "".join(f"data: {json.dumps(e)}\n\n" for e in events) + "data: [DONE]\n\n"
        asked = json.dumps({**ASKED, "stream": True, "stream_options": {"include_usage": True}})
        headers = {"content-type": "text/event-stream"}
        entry = {**ENTRY, "request_body": asked, "response_headers": headers, "response_body": stream}
        result = play(har(ENTRY), har(entry))
        assert (result["openai_chat"]["passed"], result["unreadable"]) == (2, [])

    def test_what_was_saved_without_its_content_is_told(self, tmp_path: Path) -> None:
        bare, refused = har(ENTRY), har(ENTRY)
        del bare["response"]["content"]["text"]
        refused["response"] = {"status": 0, "headers": [], "content": {"size": 0}}
        path = tmp_path / "made.har"
        path.write_text(json.dumps({"log": {"entries": [bare, refused, har(ENTRY), 7]}}))
        found = list(read([path]))
        assert [f.why for f in found if isinstance(f, Unreadable)] == [
            "the HAR was saved without the response's content",
            "there was no response",
            "no exchange: there is no response_body",
        ]
        assert [f.line for f in found] == [1, 2, 3, 4]


class TestTampered:
    """The server says another thing than the recording does: it is told, whatever it is."""

    @pytest.fixture
    def tampered(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
        def change(old: str, new: str) -> None:
            def served(exchange: Exchange) -> Served:
                body = exchange.body.replace(old, new)
                return Served(body, exchange.status, exchange.headers, exchange.sse)

            monkeypatch.setattr(group, "served", served)
            monkeypatch.setattr(session_stage, "served", served)

        return change

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            ("Hi there", "Hi their", "text"),
            ('"prompt_tokens": 5', '"prompt_tokens": 6', "usage (input, output, cached, reasoning, estimated)"),
            ('"finish_reason": "stop"', '"finish_reason": "length"', "status"),
            ('"choices"', '"error": {"message": "Oops"}, "choices"', "status"),
        ],
    )
    def test_chat(self, play: Play, tampered: Callable[[str, str], None], old: str, new: str, what: str) -> None:
        assert play(ENTRY)["openai_chat"]["passed"] == 1
        tampered(old, new)
        result = play(ENTRY)["openai_chat"]
        assert result["passed"] == 0 and what in [d["what"] for d in result["differs"]]
        assert {"file", "line", "source", "what", "expected", "got"} <= set(result["differs"][0])

    @pytest.mark.parametrize(
        ("test", "old", "new", "what"),
        [
            ("test_openai_previous_response_id_seed_auto_chains_through_retries.yaml", "NYC", "BOS", "arguments of"),
            ("test_openai_previous_response_id_seed_auto_chains_through_retries.yaml", "get_w", "put_w", "call's name"),
            ("openai-file-search-tool.1.json", "file-", "elif-", "citations"),
            ("openai-phase.1.chunks.txt", "Got it", "Got this", "text"),
            ("openai-error.1.chunks.txt", "insufficient_quota", "server_error", "error"),
        ],
    )
    def test_responses(
        self, play: Play, tampered: Callable[[str, str], None], test: str, old: str, new: str, what: str
    ) -> None:
        entries = chosen(test)
        assert differing(play(*entries), "openai_responses") == []
        tampered(old, new)
        assert any(what in told for told in differing(play(*entries), "openai_responses"))

    @pytest.mark.parametrize(
        ("old", "new", "what"),
        [
            ("cake", "pie", "text"),
            ("file-CyHtsk7XAWdRabQUBYRjCu", "file-another", "citations"),
            ('"prompt_tokens":2028', '"prompt_tokens":1', "usage"),
            ('"status":"completed"', '"status":"expired"', "status"),
        ],
    )
    def test_assistants(self, play: Play, tampered: Callable[[str, str], None], old: str, new: str, what: str) -> None:
        entries = chosen("FileSearchStreamingWorks.json")
        assert differing(play(*entries), "openai_assistants") == []
        tampered(old, new)
        assert any(what in told for told in differing(play(*entries), "openai_assistants"))

    def test_a_tool_called_with_other_arguments_on_a_polled_run(
        self, play: Play, tampered: Callable[[str, str], None]
    ) -> None:
        entries = chosen("test_agent_with_query_tool.yaml")
        assert differing(play(*entries), "openai_assistants") == []
        tampered("MAX(population)", "MIN(population)")
        assert any("arguments of sql_tool" in told for told in differing(play(*entries), "openai_assistants"))


BODY = {"model": "m1", "messages": [{"role": "user", "content": "Hello"}]}


class TestBodies:
    @pytest.mark.parametrize(
        ("path", "body", "said"),
        [
            ("/chat/completions", {"model": "m1"}, "'messages' is a required property"),
            ("/chat/completions", {**BODY, "temperature": "warm"}, "temperature"),
            ("/chat/completions", {**BODY, "max_token": 5}, "max_token: no such key"),
            ("/chat/completions", {**BODY, "messages": [{"role": "tool", "content": "2"}]}, "messages.0"),
            ("/chat/completions", {**BODY, "tools": [{"type": "function", "name": "f"}]}, "tools.0"),
            ("/responses", {"model": "m1", "input": [{"role": "user"}]}, "input"),
            ("/responses", {"model": "m1", "input": "x", "store": "yes"}, "store"),
            ("/responses", {"model": "m1", "input": "x", "messages": []}, "messages: no such key"),
            ("/responses", {"model": "m1", "input": [{"type": "function_call", "name": "f"}]}, "input.0"),
            ("/threads/{thread_id}/messages", {"role": "system", "content": "x"}, "role"),
            ("/threads/{thread_id}/runs", {"stream": True}, "assistant_id"),
            ("/threads/{thread_id}/runs/{run_id}/submit_tool_outputs", {"outputs": []}, "'outputs' was unexpected"),
        ],
    )
    def test_a_wrong_body_is_none(self, path: str, body: Any, said: str) -> None:
        assert said in " ".join(faults_of(path, body))

    def test_a_right_body_is_one(self) -> None:
        tool = {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}
        assert faults_of("/chat/completions", {**BODY, "tools": [tool], "temperature": None}) == []
        assert faults_of("/responses", {"model": "m1", "input": "x", "conversation": "conv_1"}) == []

    def test_what_is_left_out_is_found(self) -> None:
        said: list[dict[str, Any]] = [
            {"role": "system", "content": "You coach."},
            {"role": "user", "content": "One"},
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": '{"x": 1}'}}]},
            {"role": "tool", "tool_call_id": "a", "content": "2"},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}}]},
        ]
        recorded = sayings({"messages": said})
        assert list(left_out(recorded, [{"messages": said}])) == []
        for number in range(len(said)):
            assert len(list(left_out(recorded, [{"messages": said[:number] + said[number + 1 :]}]))) == 1
        swapped = [said[0], said[1], said[3], said[2], said[4]]
        assert list(left_out(recorded, [{"messages": swapped}])) == ["result: '2'"]

    def test_tools_and_form_must_be_the_same(self) -> None:
        tool = {"type": "function", "name": "f", "description": "Does.", "parameters": {"type": "object"}}
        form = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
        recorded = {"tools": [tool], "text": form}
        assert list(not_offered(recorded, recorded)) == []
        other = {**tool, "parameters": {"type": "object", "required": ["a"]}}
        assert list(not_offered(recorded, {"tools": [other]})) == ["tool f", "the form of the answer: null"]


class TestFormats:
    def odd(self, **changed: Any) -> dict[str, Any]:
        return {k: v for k, v in {**ENTRY, **changed}.items() if v != "left out"}

    @pytest.mark.parametrize(
        "changed",
        [
            pytest.param({"unknown": {"a": 1}, "openai_beta": None, "i": None}, id="unknown keys"),
            pytest.param({"request_body": ASKED, "response_body": ANSWER}, id="bodies as objects"),
            pytest.param({"request_body": base64.b64encode(json.dumps(ASKED).encode()).decode()}, id="base64"),
            pytest.param({"request_body": ""}, id="empty request"),
            pytest.param({"request_body": "left out"}, id="no request"),
            pytest.param(dict.fromkeys(("sse", "api", "host", "method", "status", "i"), "left out"), id="left out"),
            pytest.param({"path": "left out", "api": "left out"}, id="no path"),
            pytest.param({"path": "left out", "url": "https://x.example/v1/chat/completions"}, id="url"),
            pytest.param({"response_headers": {"Content-Type": ["application/json"]}}, id="header spelling"),
            pytest.param({"response_headers": "left out"}, id="no headers"),
            pytest.param({"status": "200", "sse": True}, id="wrong sse"),
            pytest.param(
                {"response_body": base64.b64encode(gzip.compress(json.dumps(ANSWER).encode())).decode(),
                 "response_headers": {"content-encoding": "gzip", "content-type": "application/json"}},
                id="gzip"),
            pytest.param({"path": "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"}, id="azure"),
            pytest.param(
                {"request": {"method": "POST", "uri": "https://x/v1/chat/completions", "body": json.dumps(ASKED)},
                 "response": {"status": {"code": 200}, "body": {"string": json.dumps(ANSWER)}},
                 **dict.fromkeys(("request_body", "response_body", "path", "method", "status"), "left out")},
                id="nested"),
            pytest.param(
                {"RequestBody": ASKED, "ResponseBody": json.dumps(ANSWER, indent=1).splitlines(), "StatusCode": 200,
                 **dict.fromkeys(("request_body", "response_body", "status"), "left out")},
                id="camel case, lines"),
        ],
    )  # fmt: skip
    def test_any_spelling_of_an_exchange(self, play: Play, changed: dict[str, Any]) -> None:
        result = play(self.odd(**changed))
        assert result["openai_chat"] == {"exchanges": 1, "run": 1, "passed": 1, "not_run": {}, "differs": []}

    def test_byte_order_mark_crlf_and_blank_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "made.jsonl"
        path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join([json.dumps(ENTRY).encode()] * 2) + b"\r\n")
        assert replay([path])["openai_chat"]["passed"] == 2

    def test_what_is_no_exchange_is_told_with_its_line(self, play: Play) -> None:
        result = play(ENTRY, "{", "[1, 2]", '"x"', {"a": 1}, ENTRY)
        assert [u["line"] for u in result["unreadable"]] == [2, 3, 4, 5]
        assert result["openai_chat"]["passed"] == 2 and complete(result)

    def test_files_that_are_not_there_or_empty(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        found = list(read([tmp_path / "nowhere.jsonl", tmp_path / "folder"]))
        assert all(isinstance(f, Unreadable) and f.why for f in found) and len(found) == 2

    def test_a_folder_of_fixtures(self, tmp_path: Path) -> None:
        chunk = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
        (tmp_path / "chat").mkdir()
        (tmp_path / "chat" / "a.chunks.txt").write_text(json.dumps(chunk) + "\n")
        (tmp_path / "chat" / "b.json").write_text(json.dumps(ANSWER))
        (tmp_path / "chat" / "error.json").write_text('{"error": {"message": "No", "code": "insufficient_quota"}}')
        (tmp_path / "other.json").write_text('{"data": [{"embedding": [0.1]}], "object": "list"}')
        result = replay([tmp_path])
        assert result["openai_chat"]["passed"] == 3
        assert result["other"]["not_run"] == {"list: not a thing of the three wires": 1}

    @pytest.mark.parametrize(
        "path", ["/v1/embeddings", "/v1/files", "/v1/responses/compact", "/v1/messages", "/api/chat", "/v1/models"]
    )
    def test_other_wires_are_counted_with_the_reason(self, play: Play, path: str) -> None:
        result = play(self.odd(path=path))
        (why,) = result["other"]["not_run"]
        assert path.removeprefix("/v1/").removeprefix("/") in why and complete(result)

    def test_a_session_told_twice_or_cut_short(self, play: Play) -> None:
        session = chosen("FileSearchStreamingWorks.json")
        assert complete(play(*session, *session))
        cut = play(*[e for e in session if not e["path"].split("?")[0].endswith("/runs")])
        assert cut["openai_assistants"]["run"] == 0 and complete(cut)


@pytest.mark.slow
def test_all_recorded_traffic() -> None:
    """Nothing differs, whatever is not run is known, and docs/replay.md says the same numbers."""
    if os.environ.get("REPLAY_TRAFFIC") == "none":
        pytest.skip("REPLAY_TRAFFIC=none: the recorded traffic is not on this machine")
    assert TRAFFIC.is_dir(), f"{TRAFFIC} is not there. REPLAY_TRAFFIC names another place; docs/replay.md says more."
    began = time.process_time()
    result = replay([TRAFFIC])
    assert time.process_time() - began < 100, "it takes half a minute on two idle cores"
    assert complete(result) and result["unreadable"] == []
    for wire in WIRES:
        assert result[wire]["differs"] == []
        assert set(result[wire]["not_run"]) <= REASONS
    table = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \|", (ROOT / "docs" / "replay.md").read_text(), re.M)
    told = {wire: tuple(map(int, numbers)) for wire, *numbers in table}
    assert told == {w: (result[w]["exchanges"], result[w]["run"], result[w]["passed"]) for w in (*WIRES, "other")}
