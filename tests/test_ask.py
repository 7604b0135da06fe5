"""`ask` over a fake API: what --json tells to ask again, answers that are data, tools called by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coach_core.cli import main
from coach_core.types import Event
from tests.backends.fake_api import FakeApi, Reply, json_reply
from tests.coach.api import chat, responses, told

KEY = "sk-planted-7Gq2Lr9XwT"
SCHEMA = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def api(used: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    with FakeApi(responses("Fine.")) as api:
        monkeypatch.setenv("OPENAI_BASE_URL", api.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("COACH_MODEL", "m1")
        yield api


@pytest.fixture
def ask(api: FakeApi, capfd: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str, command: str = "ask") -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main([command, *arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err and KEY not in out + err
        return int(left.value.code or 0), out, err

    return run


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_json_holds_all_it_takes_to_ask_the_same_again(ask: Run, api: FakeApi) -> None:
    busy = json_reply(429, '{"error": {"message": "slow down"}}', retry_after="0")
    api.replies[:] = [busy, responses("Fine.", answer="resp_9")]
    code, out, _ = ask("--json", "--persona", "general", "How do I begin?")
    told_ = lines(out)
    assert code == 0 and [Event.from_dict(line).seq for line in told_] == list(range(1, len(told_) + 1))
    record, body = told_[-1]["record"], api.bodies[-1]
    assert (record["backend"], record["wire"]) == ("openai_responses", "openai_responses")
    assert (record["endpoint"], record["model"]) == ("openai_responses@default", body["model"])
    for name in ("temperature", "max_output_tokens"):
        assert record["parameters"][name] == body[name]
    assert record["parameters"]["state"] == "previous_response" and record["timeouts"]["first_token"] == 25
    assert record["ids"]["response_id"] == "resp_9" and record["ids"]["request_id"] == "req_responses"
    assert (record["attempts"], record["retries"], record["history"]) == (1, 1, 0)
    assert record["persona"] == {"slug": "general", "version": 1}
    assert record["usage"]["input_tokens"] == 30 and record["usage"]["estimated"] is False
    assert record["timing_ms"]["total"] > 0 and isinstance(record["notices"], list)
    _, out, _ = ask("--json", "--thread", record["thread"], "And then?")
    again = lines(out)[-1]["record"]
    assert again["history"] == 2 and again["continues"] == {"response_id": "resp_9", "request_id": "req_responses"}


def test_json_of_a_turn_that_failed_says_the_same(ask: Run, api: FakeApi) -> None:
    api.replies[:] = [json_reply(401, '{"error": {"message": "no"}}')]
    code, out, _ = ask("--json", "Hello")
    end = lines(out)[-1]
    assert code == 1 and (end["kind"], end["error"]) == ("error", "auth_failed")
    assert end["record"]["backend"] == "openai_responses" and end["record"]["parameters"]["temperature"] == 0.7


def test_what_was_cut_names_the_command_to_go_on_with(ask: Run, api: FakeApi) -> None:
    api.replies[:] = [chat("Half an", cut=True)]
    code, out, err = ask("--backend", "openai_chat", "--persona", "general", "Hello")
    thread = err.split("thread ")[1].split()[0]
    assert code == 1 and "Half an" in out and "press" not in err
    assert f'What had arrived is kept; go on with `ask --thread {thread} "Go on."`.' in err
    api.replies[:] = [chat("Half an", end="length")]
    code, _, err = ask("--backend", "openai_chat", "--thread", thread, "Again")
    assert code == 1 and f'go on with `ask --thread {thread} "Go on."`.' in err
    api.replies[:] = [chat("")]
    code, _, err = ask("--backend", "openai_chat", "--thread", thread, "Once more")
    assert code == 1 and "empty answer" in err and "Press" not in err


def test_an_answer_that_follows_its_schema(ask: Run, api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    api.replies[:] = [responses('{"days": 3}')]
    code, out, _ = ask("--schema", str(tmp_path / "schema.json"), "--persona", "general", "How many days?")
    assert code == 0 and json.loads(out) == {"days": 3}
    sent = json.dumps(api.bodies[-1])
    assert '"days"' in sent and "json_schema" in sent and "square brackets" not in sent
    _, out, _ = ask("--json", "--schema", str(tmp_path / "schema.json"), "How many days?")
    assert lines(out)[-1]["record"]["schema"] == {"follows": True, "why": ""}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("About three.", "not JSON"),
        ('{"days": "three"}', "does not follow the schema at days: 'three' is not of type 'integer'"),
        ("{}", "'days' is a required property"),
    ],
)
def test_an_answer_that_does_not_is_told_and_no_success(
    ask: Run, api: FakeApi, tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    api.replies[:] = [chat(text)]
    code, out, err = ask("--schema", str(tmp_path / "schema.json"), "--backend", "openai_chat", "How many days?")
    assert code == 1 and says in err and text in out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "is not JSON"),
        (b"[]", "must be an object"),
        (b'{"type": "nonsense"}', "is not a JSON Schema"),
        (b'{"$ref": "http://127.0.0.1:9/x"}', "its own parts only"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_bad_schema_is_a_sentence_and_asks_nothing(
    ask: Run, api: FakeApi, tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "schema.json").write_bytes(content)
    code, out, err = ask("--schema", str(tmp_path / "schema.json"), "Hello")
    assert (code, out) == (2, "") and says in err and not api.requests


def test_a_tool_called_by_hand(ask: Run, api: FakeApi) -> None:
    assert ask("edit", "general", "--tool", "search_documents", command="personas")[0] == 0
    api.replies[:] = [chat("Goals help.")]
    code, out, err = ask("--backend", "openai_chat", "--persona", "general", "/search_documents goals")
    assert code == 0 and "Goals help." in out and "using search_documents" in err
    assert [who for who, _ in told(api.bodies[-1])] == ["user", "call", "result"]
    asked = len(api.requests)
    code, _, err = ask("--persona", "general", "/search_documents")
    assert code == 2 and "/search_documents QUERY" in err and len(api.requests) == asked


def test_sources_of_the_web_are_listed_with_their_address(ask: Run, api: FakeApi) -> None:
    note = {"type": "url_citation", "url": "https://health.example/sleep", "title": "Sleep"}
    note |= {"start_index": 0, "end_index": 5}
    whole = responses("Sleep.")
    added = {"type": "response.output_text.annotation.added", "item_id": "msg_1", "output_index": 0}
    event = f"data: {json.dumps({**added, 'content_index': 0, 'annotation_index': 0, 'annotation': note})}\n\n"
    pieces = list(whole.pieces)
    api.replies[:] = [Reply([*pieces[:2], event.encode(), *pieces[2:]])]
    code, out, _ = ask("--persona", "general", "How do I sleep?")
    assert code == 0 and "Sleep. [1]" in out and "[1] Sleep, https://health.example/sleep" in out


def test_a_sentence_that_goes_beyond_its_source_is_told(ask: Run, api: FakeApi, tmp_path: Path) -> None:
    note = tmp_path / "keepers.txt"
    note.write_text("The lantern of Quillmoor is lit an hour before dusk by the eldest of the keepers.")
    api.replies[:] = [responses("The lantern is lit an hour before dusk [1]. It takes 40 litres of oil [1].")]
    asked = ("--persona", "general", "--file", str(note), "When is the lantern of Quillmoor lit?")
    code, out, _ = ask(*asked)
    assert code == 0 and "[1] This sentence may go beyond what the passage says" in out
    assert "the passage does not mention 40 litres" in out and out.count("may go beyond") == 1
    api.replies[:] = [responses("The lantern is lit an hour before dusk [1].")]
    code, out, _ = ask("--json", *asked)
    assert code == 0 and lines(out)[-1]["verdicts"] == {"1": "holds"}
