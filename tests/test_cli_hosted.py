"""What an API holds of a persona's documents, from the command line: looked at, brought in step, taken back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coach_core.backends import line
from coach_core.cli import main
from tests.backends.fake_stores import FakeStores

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(used: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(line, "pause", lambda _: None)

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return int(left.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def api(run: Run, tmp_path: Path) -> Iterator[FakeStores]:
    """An endpoint that keeps stores, and the persona Ada who answers there from two documents."""
    (tmp_path / "sleep.md").write_text("# Sleep\n\nGo to bed at the same hour every night.\n")
    (tmp_path / "goals.md").write_text("# Goals\n\nA goal that is written down is kept more often.\n")
    with FakeStores(reads=0) as made:
        where = ("--base-url", made.url, "--wire", "openai_responses", "--model", "m1", "--fact", "stores=true")
        assert run("endpoints", "add", "eu", *where)[0] == 0
        files = (str(tmp_path / "sleep.md"), str(tmp_path / "goals.md"))
        assert run("ingest", *files, "--collection", "Handbook", "--words-only")[0] == 0
        assert run("personas", "create", "--name", "Ada", "--backend", "eu", "--collection", "Handbook")[0] == 0
        yield made


def test_looking_sends_nothing_and_syncing_brings_it_in_step(run: Run, api: FakeStores) -> None:
    code, out, _ = run("personas", "hosted", "ada", "--sync")
    assert code == 0 and "searched by the app itself" in out and api.files == {}
    assert run("personas", "edit", "ada", "--search", "hosted")[0] == 0
    code, out, _ = run("personas", "hosted", "ada")
    assert code == 0 and "0 of 2 documents" in out and "own search answers" in out and api.files == {}
    code, out, err = run("personas", "hosted", "ada", "--sync")
    assert code == 0 and "2 of 2 documents" in out and "The API searches them." in out and "sleep.md" in err
    assert api.held() == {"Ada": ["goals.md", "sleep.md"]}
    checks = json.loads(run("doctor", "--json")[1])["checks"]
    (found,) = [c for c in checks if c["name"] == "hosted search"]
    assert found["state"] == "ok" and "2 documents at 127.0.0.1" in found["detail"]


def test_a_backend_that_keeps_no_documents_is_told_in_a_sentence(run: Run, api: FakeStores) -> None:
    run("personas", "edit", "ada", "--search", "hosted")
    where = ("--base-url", api.url, "--wire", "openai_chat", "--model", "m1")
    assert run("endpoints", "add", "plain", *where)[0] == 0
    code, out, _ = run("personas", "hosted", "ada", "--backend", "plain")
    assert code == 0 and out.startswith("Ada: none of its 2 documents is kept at an API.\n")
    assert "cannot search documents at its API" in out and " at ," not in out
    assert "at 127.0.0.1" in run("personas", "hosted", "ada", "--backend", "eu")[1]
    code, _, err = run("personas", "hosted", "ada", "--backend", "nowhere")
    assert code == 2 and "nowhere" in err and "eu" in err


def test_scripts_get_json(run: Run, api: FakeStores) -> None:
    run("personas", "edit", "ada", "--search", "hosted")
    api.refused = lambda f: "No." if f.name.startswith("goals") else ""
    state = json.loads(run("personas", "hosted", "ada", "--sync", "--json")[1])
    assert (state["wanted"], state["ready"], state["documents"], state["there"]) == (True, False, 2, 1)
    assert [f["name"] for f in state["failed"]] == ["goals.md"] and state["failed"][0]["again"]
    _, out, _ = run("personas", "hosted", "ada")
    assert "goals.md: " in out and "It is tried again at" in out


def test_switching_back_and_deleting_take_everything_back(run: Run, api: FakeStores) -> None:
    run("personas", "edit", "ada", "--search", "hosted")
    run("personas", "hosted", "ada", "--sync")
    run("personas", "edit", "ada", "--search", "local")
    assert "being removed" in run("personas", "hosted", "ada")[1]
    assert "Nothing of them is kept" in run("personas", "hosted", "ada", "--sync")[1]
    assert api.files == {} and api.stores == {}


def test_who_is_not_there_is_a_sentence(run: Run, api: FakeStores) -> None:
    code, _, err = run("personas", "hosted", "nobody")
    assert code == 2 and "no persona called" in err


def test_a_collections_copies_are_filled_told_and_dropped(run: Run, api: FakeStores) -> None:
    code, out, _ = run("knowledge", "hosted", "Handbook")
    assert code == 0 and "No API holds documents of Handbook." in out and api.requests == []
    code, _, err = run("knowledge", "hosted", "Handbook", "--fill", "eu")
    assert code == 2 and "Upload the 2 documents of Handbook to 127.0.0.1" in err and api.files == {}
    code, out, _ = run("knowledge", "hosted", "Handbook", "--fill", "eu", "--yes")
    assert code == 0 and "2 of 2" in out and "expires at" in out
    assert api.held() == {"Handbook": ["goals.md", "sleep.md"]}
    (copy,) = json.loads(run("knowledge", "hosted", "handbook", "--json")[1])["copies"]
    assert copy["of_collection"] and copy["ready"] and copy["endpoint"] == "eu" and copy["missing"] == []
    found = json.loads(run("knowledge", "hosted", "handbook", "--others", "eu", "--json")[1])
    assert found["others"] == []
    code, out, _ = run("knowledge", "hosted", "Handbook", "--drop", "eu", "--yes")
    assert code == 0 and api.files == {} and api.stores == {}


def test_use_and_questions_are_told_in_the_terminal(run: Run, api: FakeStores) -> None:
    code, out, _ = run("knowledge", "use", "Handbook")
    assert code == 0 and "Goals: not used" in out
    assert json.loads(run("knowledge", "use", "Handbook", "--json")[1])[0]["cited"] == 0
    code, out, _ = run("knowledge", "unanswered")
    assert code == 0 and "No open questions" in out
