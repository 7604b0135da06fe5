"""Documents kept in step at a server that others wrote: llama-stack's own files, vector stores and search."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from coach_core.coach import Coach
from coach_core.settings import Settings
from coach_core.types import Actor, EndpointDraft, Event, Persona, PersonaDraft
from tests.peers.peer import TOLD_MODEL, Peer
from tests.peers.told import Call

pytestmark = pytest.mark.peer
SLEEP = b"# Sleep\n\nAdults need seven to nine hours of sleep a night.\n\nCoffee after two keeps many awake.\n"


@pytest.fixture
def coach(planted: Path, tmp_path: Path, peer: Peer) -> Iterator[Coach]:
    shutil.copytree(planted, tmp_path / "home")
    settings = Settings(home=tmp_path / "home", embedder="./nowhere", backend="scripted")
    made = Coach.from_settings(settings, background=False)
    facts = {"stores": True}
    made.save_endpoint(
        made.owner(), EndpointDraft("peer", peer.url, "openai_responses", model=TOLD_MODEL, profile=facts)
    )
    yield made
    made.close()


def listed(peer: Peer, path: str) -> list[dict[str, Any]]:
    return httpx2.get(f"{peer.url}/{path}", timeout=30).json()["data"]


def names(peer: Peer) -> list[str]:
    return sorted(f["filename"] for f in listed(peer, "files"))


def ask(coach: Coach, me: Actor, persona: Persona, text: str) -> list[Event]:
    turn = coach.start(me, coach.new_thread(me, persona.id).id, text)
    return [e for e in coach.tail(me, turn.id) if e]


def test_a_store_there_is_filled_searched_changed_and_taken_back(coach: Coach, peer: Peer) -> None:
    me = coach.owner()
    before, others = names(peer), {f["id"] for f in listed(peer, "files")}
    group = coach.create_collection(me, "Handbook").id
    sleep = coach.knowledge.add(group, "sleep.md", SLEEP)
    plan = coach.knowledge.add(group, "plan.csv", b"day,task\nmonday,write the plan\ntuesday,rest a little\n")
    draft = PersonaDraft("Ada", backend="peer", collections=(group,), parameters={"search": "hosted"})
    ada = coach.save_persona(me, draft)
    assert coach.hosted_sync(me)
    state = coach.hosted_state(me, ada.id)
    assert state.ready and (state.there, state.documents) == (2, 2), state
    assert names(peer) == sorted([*before, "plan.csv.txt", "sleep.md"])

    files = [f for f in listed(peer, "files") if f["id"] not in others]
    (file_id,) = [f["id"] for f in files if f["filename"] == "sleep.md"]
    marked = ["Seven to nine hours ", f"<|{file_id}|>", "."]
    peer.told.says([Call("file_search", {"query": "hours of sleep a night for adults"})], marked)
    events = ask(coach, me, ada, "How many hours of sleep do adults need?")
    assert events[-1].status == "completed" and not [e for e in events if e.source == "hosted"], events
    assert [t["type"] for t in peer.sent[-1]["tools"]] == ["file_search"]  # type: ignore[index,attr-defined]

    (cited,) = [e.citation for e in events if e.citation]
    text, _ = coach.document_text(me, sleep.id)
    assert (cited.document_id, cited.title) == (sleep.id, sleep.title)
    assert "nine hours" in cited.text and cited.text == text[cited.start : cited.end]

    coach.knowledge.replace(sleep.id, "sleep.md", SLEEP + b"\nA nap before three is fine.\n")
    coach.delete_document(me, plan.id)
    assert coach.hosted_sync(me)
    assert coach.hosted_state(me, ada.id).ready and names(peer) == sorted([*before, "sleep.md"])

    coach.save_persona(me, dataclasses.replace(draft, parameters={}), ada.id)
    assert coach.hosted_sync(me)
    assert names(peer) == before
    assert not [s for s in listed(peer, "vector_stores") if (s.get("metadata") or {}).get("persona") == str(ada.id)]
