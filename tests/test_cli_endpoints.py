"""Endpoints from the command line: added, tested, changed, asked and removed, by a person and by a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coach_core.cli import main
from tests.backends.fake_api import FakeApi, json_reply, recorded

KEY = "cli-planted-7Gq2Lr9XwT"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(used: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COACH_KEY_EU", KEY)

    def run(*arguments: str) -> Ran:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err + captured.out and KEY not in captured.err + captured.out
        return Ran(int(left.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(recorded("chat_text")) as api:
        yield api


def add(run: Run, url: str, *more: str, name: str = "eu") -> Ran:
    given = ("--base-url", url, "--wire", "openai_chat", "--key-variable", "COACH_KEY_EU", "--model", "m1")
    return run("endpoints", "add", name, *given, *more)


def test_an_endpoint_is_added_tested_asked_changed_and_removed(run: Run, api: FakeApi) -> None:
    assert "No endpoint yet" in run("endpoints", "list").err
    added = add(run, api.url, "--fact", "stream_options=false", "--fact", 'headers={"X-Site": "coach"}')
    assert added.code == 0 and "COACH_KEY_EU set" in added.out and "endpoints test eu" in added.err
    assert not api.requests
    tested = run("endpoints", "test", "eu")
    assert tested.code == 0 and tested.out.startswith("ok") and "tokens" in tested.out

    asked = run("ask", "--backend", "eu", "Hello?")
    assert asked.code == 0 and asked.out.strip()
    assert api.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    assert api.requests[-1].headers["x-site"] == "coach" and "stream_options" not in api.bodies[-1]

    edited = run("endpoints", "edit", "eu", "--model", "m2", "--fact", "headers=", "--fact", "role=user")
    assert edited.code == 0
    shown = run("endpoints", "show", "eu", "--json").json()
    assert shown["model"] == "m2" and shown["profile"] == {"stream_options": False, "role": "user"}
    assert shown["base_url"] == api.url and shown["uses"] == [] and shown["key"] == "set"
    assert 'role = "user"' in run("endpoints", "show", "eu").out

    doctor = run("doctor", "--json").json()["checks"]
    assert next(c for c in doctor if c["name"] == "eu")["state"] == "warn", "m2 is not listed there"
    assert run("endpoints", "remove", "eu").code == 2, "not without --yes where nobody can be asked"
    assert "removed" in run("endpoints", "remove", "eu", "--yes").err
    assert run("ask", "--backend", "eu", "Hello?").code == 2


def test_scripts_get_json(run: Run, api: FakeApi) -> None:
    added = add(run, api.url, "--test", "--json").json()
    assert added["name"] == "eu" and added["test"]["state"] == "ok" and added["test"]["usage"]["output_tokens"]
    assert [e["name"] for e in run("endpoints", "list", "--json").json()] == ["eu"]
    tested = run("endpoints", "test", "eu", "--json").json()
    assert tested["first_token"] > 0 and tested["model"] == "m1" and tested["error"] == ""
    assert run("endpoints", "models", "eu", "--json").json() == ["m1"]
    vendors = {v["name"]: v for v in run("endpoints", "vendors", "--json").json()}
    assert vendors["mistral"]["profile"]["call_id_length"] == 9
    event = json.loads(run("ask", "--backend", "eu", "--json", "Hello?").out.splitlines()[0])
    assert (event["kind"], event["backend"]) == ("start", "eu")


def test_a_vendor_fills_the_form(run: Run) -> None:
    added = run("endpoints", "add", "paris", "--vendor", "mistral", "--model", "mistral-small-latest")
    assert added.code == 0 and "MISTRAL_API_KEY missing" in added.out
    assert "No key is set. Put MISTRAL_API_KEY=... into the file .env." in added.out
    shown = run("endpoints", "show", "paris", "--json").json()
    assert shown["base_url"] == "https://api.mistral.ai/v1" and shown["wire"] == "openai_chat"
    assert "https://api.mistral.ai/v1" in run("endpoints", "vendors").out
    checks = run("doctor", "--json").json()["checks"]
    assert "MISTRAL_API_KEY" in next(c for c in checks if c["name"] == "paris")["mend"]
    assert "MISTRAL_API_KEY" in run("ask", "--backend", "paris", "Hello?").err


def test_what_fails_its_test_is_not_saved(run: Run) -> None:
    refused = json_reply(401, '{"error": {"message": "no", "code": "invalid_api_key"}}')
    with FakeApi(refused) as api:
        added = add(run, api.url, "--test")
    assert added.code == 1 and "Check the value of COACH_KEY_EU" in added.out and "not saved" in added.err
    assert run("endpoints", "list", "--json").json() == []
    assert run("endpoints", "test", "eu").code == 1


def test_doctor_asks_for_real_when_told_to(run: Run, api: FakeApi) -> None:
    add(run, api.url)
    assert run("doctor").code == 0 and not api.requests
    live = run("doctor", "--live")
    assert live.code == 0 and len(api.requests) == 1 and "says" in live.out
    with FakeApi(json_reply(500, '{"error": {"message": "oh"}}')) as broken:
        run("endpoints", "edit", "eu", "--base-url", broken.url)
        assert run("doctor", "--live").code == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "eu"), "The address is missing"),
        (("add", "eu", "--vendor", "acme"), "no vendor called 'acme'. There are: openai"),
        (("add", "eu", "--vendor", "azure"), "Replace RESOURCE"),
        (("add", "e u", "--base-url", "http://127.0.0.1:9/v1"), "small letters"),
        (("add", "eu", "--base-url", "http://127.0.0.1:9/v1", "--fact", "stream"), "name=value"),
        (("add", "eu", "--base-url", "http://127.0.0.1:9/v1", "--fact", "body={a"), "body is not JSON"),
        (("add", "eu", "--base-url", "http://127.0.0.1:9/v1", "--fact", "stream=maybe"), "true or false"),
        (("add", "eu", "--base-url", "http://127.0.0.1:9/v1", "--wire", "smoke"), "Choose a protocol"),
        (("add", "eu", "--base-url", "http://127.0.0.1:9/v1", "--key-variable", KEY), "A key stands where"),
        (("add", "eu", "--base-url", "http://127.0.0.1:9/v1", "--key-variable", "PATH"), "cannot name a key"),
        (("edit", "us"), "no endpoint called 'us'"),
        (("show", "us"), "no endpoint called 'us'"),
        (("models", "us"), "no endpoint called 'us'"),
        (("remove", "us", "--yes"), "no endpoint called 'us'"),
    ],
)
def test_bad_input_of_endpoints(run: Run, arguments: tuple[str, ...], says: str) -> None:
    ran = run("endpoints", *arguments)
    assert ran.code == 2 and says in ran.err and ran.err.count("\n") == 1


def test_each_command_explains_itself(run: Run) -> None:
    for command in ("list", "vendors", "show", "add", "edit", "test", "models", "remove"):
        helped = run("endpoints", command, "--help")
        assert helped.code == 0 and "Usage" in helped.out, command
