"""kill -9 in the middle of an answer: what had arrived is in the thread, marked, and can be gone on with."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from benchmarks.pages import Page
from coach_core.coach import Coach
from coach_core.settings import ROOT, Settings
from coach_core.store import turns
from coach_core.types import Message, ThreadQuery, now

WORDS = [f"word{number}" for number in range(300)]
ANSWER = " ".join(WORDS)
SCRIPT = json.dumps({"tokens_per_second": 40, "steps": [ANSWER]})
SAVED_EVERY = 0.25


def environment(home: Path) -> dict[str, str]:
    return os.environ | {"COACH_HOME": str(home), "COACH_BACKEND": "scripted", "COACH_SCRIPT": SCRIPT}


@contextmanager
def reopened(home: Path, script: str = "") -> Iterator[Coach]:
    coach = Coach.from_settings(
        Settings(home=home, embedder="./nowhere", backend="scripted", script=script or SCRIPT), background=False
    )
    try:
        yield coach
    finally:
        coach.close()


def wait_until(what: Callable[[], bool], most: float = 60.0) -> None:
    until = time.monotonic() + most
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def killed_while_asking(home: Path, heard: int) -> str:
    """Ask, and kill the process once it has printed `heard` pieces of the answer; the text it printed."""
    command = [sys.executable, "-m", "coach_core", "ask", "--json", "How do I begin?"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pieces: list[str] = []
        for line in process.stdout:
            event = json.loads(line)
            if event["kind"] == "text":
                pieces.append(event["text"])
            if len(pieces) == heard:
                process.kill()
                break
        assert process.wait(30) == -signal.SIGKILL
    return "".join(pieces)


def last_answer(coach: Coach) -> Message:
    actor = coach.owner()
    hits, _ = coach.threads(actor, ThreadQuery(limit=1))
    return coach.messages(actor, hits[0].thread.id)[-1]


def expect_interrupted(coach: Coach, shown: str) -> None:
    """The answer is a true beginning, and misses at most what came within the saving interval."""
    answer = last_answer(coach)
    assert answer.status == "interrupted"
    assert ANSWER.startswith(answer.text.strip()) and answer.text.strip()
    missing = len(shown.split()) - len(answer.text.split())
    assert missing <= 40 * SAVED_EVERY + 4, f"{missing} words that were shown are lost"


def expect_resumed(coach: Coach) -> None:
    actor, answer = coach.owner(), last_answer(coach)
    turn = coach.resume(actor, answer.id)
    events = [e for e in coach.tail(actor, turn.id) if e is not None]
    assert events[-1].status == "completed"
    whole = last_answer(coach)
    assert (whole.text, whole.status) == (ANSWER, "complete"), "nothing twice, nothing left out"
    assert answer.id in whole.siblings


@pytest.mark.slow
def test_a_killed_ask_leaves_what_had_arrived_and_goes_on(used: Path) -> None:
    shown = killed_while_asking(used, heard=60)
    with reopened(used, json.dumps([ANSWER])) as coach:
        wait_until(lambda: last_answer(coach).status != "streaming", most=20)  # the lease runs out by itself
        expect_interrupted(coach, shown)
        expect_resumed(coach)


@pytest.mark.parametrize("stop", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_killed_server_leaves_what_had_arrived_and_goes_on(
    used: Path, free_port: Callable[[], int], stop: signal.Signals
) -> None:
    port = free_port()
    command = [sys.executable, "-m", "coach_core", "serve", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(used), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            wait_until(lambda: _answers(f"http://127.0.0.1:{port}/healthz"), most=120)
            with ThreadPoolExecutor(1) as own:  # browser tests may leave a loop running in this thread
                shown = own.submit(asyncio.run, _shown_on_page(f"ws://127.0.0.1:{port}")).result()
            server.send_signal(stop)
            server.wait(30)
        finally:
            server.kill()
    with reopened(used, json.dumps([ANSWER])) as coach:
        wait_until(lambda: last_answer(coach).status != "streaming", most=20)
        expect_interrupted(coach, shown)
        expect_resumed(coach)


@pytest.mark.slow
def test_killed_again_and_again_nothing_is_lost(used: Path) -> None:
    for heard in (1, 2, 7, 25, 90, 200):
        shown = killed_while_asking(used, heard)
        with reopened(used, json.dumps([ANSWER])) as coach:
            turns.recover(coach._db, now() + timedelta(seconds=11))  # as if the lease had run out
            answer = last_answer(coach)
            assert answer.status == "interrupted"
            assert ANSWER.startswith(answer.text.strip())
            assert len(shown.split()) - len(answer.text.split()) <= 40 * SAVED_EVERY + 4
            expect_resumed(coach)
    with reopened(used) as coach:
        actor = coach.owner()
        hits, total = coach.threads(actor, ThreadQuery())
        assert total == 6
        assert all(coach.running(actor, hit.thread.id) is None for hit in hits)
        assert all(coach.messages(actor, hit.thread.id)[-1].text == ANSWER for hit in hits)


async def _shown_on_page(url: str) -> str:
    """Ask on the chat page and watch until fifty words are painted; the longest text seen."""
    page = Page(url)
    await page.open()
    shown = await page.watch("How do I begin?", lambda text: WORDS[50] in text)
    await page.close()
    return shown


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2.0).status_code == 200
    except httpx2.HTTPError:
        return False
