"""`clients` on the command line: whom a coach works with, and what is remembered of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coach_core.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    told = capsys.readouterr()
    return int(left.value.code or 0), told.out, told.err


def test_a_client_from_the_first_line_to_the_export(
    used: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def data(*arguments: str) -> Any:
        code, out, err = run(capsys, *arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    made = data("clients", "add", "Anna Meyer", "--value", "honesty", "--time-zone", "Europe/Berlin")
    assert made["draft"]["values"] == ["honesty"]
    assert [c["client"]["id"] for c in data("clients", "list")] == [made["id"]]
    assert data("clients", "show", "anna meyer")["client"]["id"] == made["id"]
    assert data("clients", "brief", made["id"])["client"]["draft"]["name"] == "Anna Meyer"
    code, out, _ = run(capsys, "clients", "brief", "Anna Meyer")
    assert code == 0 and out.startswith("# Anna Meyer")
    target = tmp_path / "anna.json"
    assert run(capsys, "clients", "export", "Anna Meyer", "-o", str(target))[0] == 0
    assert json.loads(target.read_text())["format"] == "coach-client"


def test_memories_are_listed_approved_corrected_and_rejected(used: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from coach_core.cli import shell
    from coach_core.types import ClientDraft

    with shell.opened() as (coach, actor):
        anna = coach.save_client(actor, ClientDraft("Anna"))
        thread = coach.new_thread(actor, coach.personas(actor)[0].id, client_id=anna.id)
        turn = coach.start(actor, thread.id, "I want to learn Spanish this year. I live in Hamburg.")
        list(coach.tail(actor, turn.id))
        coach.propose_memories(actor, turn.question_id)
    code, out, _ = run(capsys, "clients", "memories", "list", "Anna", "--json")
    found = {m["kind"]: m for m in json.loads(out)}
    assert (code, found.keys()) == (0, {"goal", "fact"})
    assert run(capsys, "clients", "memories", "approve", found["fact"]["id"])[0] == 0
    assert run(capsys, "clients", "memories", "reject", found["goal"]["id"])[0] == 0
    _, out, _ = run(capsys, "clients", "memories", "edit", found["goal"]["id"], "--text", "Wants to speak Spanish.")
    assert "approved" in out
    _, out, _ = run(capsys, "clients", "memories", "list", "Anna", "--status", "approved")
    assert "Wants to speak Spanish." in out and "Hamburg" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("clients", "show", "Nobody"),
        ("clients", "add", "  "),
        ("clients", "add", "A", "--time-zone", "Mars/Base"),
        ("clients", "memories", "approve", "no-id"),
        ("clients", "memories", "list", "Nobody"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(
    used: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.strip() and "Traceback" not in err
