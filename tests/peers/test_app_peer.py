"""The whole app on a server that others wrote, reached by the settings: a thread through restarts and switches."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coach_core.coach import Coach
from coach_core.settings import Settings
from coach_core.store import state
from coach_core.types import Event, PersonaDraft, Thread
from tests.peers.peer import SMALL_MODEL, TOLD_MODEL, Peer
from tests.peers.told import Call

pytestmark = pytest.mark.peer
Open = Callable[..., Coach]


@pytest.fixture
def open_app(planted: Path, tmp_path: Path, peer: Peer) -> Iterator[Open]:
    """open_app(**settings): the app on its home, started anew; the one before is closed."""
    home = tmp_path / "home"
    shutil.copytree(planted, home)
    opened: list[Coach] = []

    def open_(**settings: Any) -> Coach:
        for coach in opened:
            coach.close()
        named = {"openai_base_url": peer.url, "openai_api_key": "any", "model": TOLD_MODEL}
        given = {"home": home, "embedder": "./nowhere", "backend": "openai_responses", **named, **settings}
        opened[:] = [Coach.from_settings(Settings(**given), background=False)]
        return opened[0]

    yield open_
    for coach in opened:
        coach.close()


def new_thread(coach: Coach, *tools: str) -> Thread:
    draft = PersonaDraft("Plain", instructions="Be kind.", tools=tools)
    return coach.new_thread(coach.owner(), coach.save_persona(coach.owner(), draft).id)


def ask(coach: Coach, thread: Thread, text: str, backend: str | None = None) -> list[Event]:
    turn = coach.start(coach.owner(), thread.id, text, backend=backend)
    return [e for e in coach.tail(coach.owner(), turn.id) if e]


def heard(peer: Peer) -> list[str]:
    """What the peer's model was told at last, without the instructions."""
    told: list[str] = []
    for said in peer.told.asked[-1]["messages"]:
        content = said.get("content") or ""
        text = content if isinstance(content, str) else "".join(c.get("text", "") for c in content)
        if said["role"] != "system" and text:
            told.append(text)
    return told


KEPT = {"previous_response": "response_id", "conversation": "conversation_id", "stateless": ""}


@pytest.mark.parametrize("kept", list(KEPT))
def test_a_thread_through_a_restart_another_backend_and_back(kept: str, open_app: Open, peer: Peer) -> None:
    peer.told.says("Hello Ann.", "Ann.", "Still Ann.", "Ann for good.")
    coach = open_app(conversation_state=kept)
    thread = new_thread(coach)
    assert ask(coach, thread, "My name is Ann.")[-1].status == "completed"

    coach = open_app(conversation_state=kept)
    events = ask(coach, thread, "What is my name?")
    assert events[-1].status == "completed" and not [e for e in events if e.source == "state"]
    assert heard(peer) == ["My name is Ann.", "Hello Ann.", "What is my name?"]
    row = state.get(coach._db, thread.id, "openai_responses@default")
    if name := KEPT[kept]:
        assert "Ann" not in str(peer.sent[-1]["input"]), "the peer remembers it"
        assert row is not None and row.message_id == coach.messages(coach.owner(), thread.id)[-1].id
        assert row.data[name]
    else:
        assert peer.sent[-1]["store"] is False and len(peer.sent[-1]["input"]) == 3  # type: ignore[arg-type]

    assert ask(coach, thread, "And on the other wire?", "openai_chat")[-1].status == "completed"
    assert heard(peer)[-3:] == ["What is my name?", "Ann.", "And on the other wire?"]

    events = ask(coach, thread, "And back again?", "openai_responses")
    assert events[-1].status == "completed"
    assert heard(peer) == [
        "My name is Ann.",
        "Hello Ann.",
        "What is my name?",
        "Ann.",
        "And on the other wire?",
        "Still Ann.",
        "And back again?",
    ]
    texts = [m.text for m in coach.messages(coach.owner(), thread.id)]
    assert texts[1::2] == ["Hello Ann.", "Ann.", "Still Ann.", "Ann for good."]


def test_a_tool_of_the_app_is_called_and_the_answer_rests_on_it(open_app: Open, peer: Peer) -> None:
    peer.told.says([Call("search_documents", {"query": "sleep"})], "As the documents say.")
    coach = open_app()
    events = ask(coach, new_thread(coach, "search_documents"), "How long should I sleep?")
    kinds = [e.kind for e in events]
    assert kinds.index("tool_call") < kinds.index("tool_result") < kinds.index("text")
    assert events[-1].status == "completed" and events[-1].usage is not None
    assert peer.sent[1]["previous_response_id"] and len(peer.sent) == 2


def test_a_real_model_behind_it_answers(open_app: Open) -> None:
    coach = open_app(model=SMALL_MODEL, answer_tokens=16, passages=0)
    thread = new_thread(coach)
    for question in ("Say hello.", "Say it again."):
        events = ask(coach, thread, question)
        assert events[-1].kind == "done" and events[-1].usage and not events[-1].usage.estimated
        assert "".join(e.text for e in events if e.kind == "text").strip()
