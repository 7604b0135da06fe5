"""Whether a long thread is as quick as a short one: `python -m benchmarks threads FILE... [--write docs/threads.md]`.

FILE holds conversations in LoCoMo's shape (`python -m benchmarks memorybank` writes some); what is said in them fills
one thread of 1,500 turns and many of ten, with their turns, words and vectors. The real server, over the wire that the
browser speaks but without painting: a page opens the thread (until its script has ended), then asks (until the model's
API, a process on loopback, has the whole request). Long and short take turns. Summaries are made as they are in use:
after the turns, in the background; the long thread has its own from the beginning.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from benchmarks import memory, upstream
from benchmarks.pages import Page
from benchmarks.turn import fake_upstream, last_request, machine, served, spread, write_tables
from coach_core.coach import Coach
from coach_core.store import text as fulltext
from coach_core.store import threads
from coach_core.store.messages import MESSAGES, storable
from coach_core.store.threads import THREADS
from coach_core.store.turns import TURNS
from coach_core.types import Actor, Part, TurnRecord, new_id, now

LONG, SHORT = 1_500, 10
LEAST = 1.2


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks threads", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=40, help="pages that open and ask, of each kind")
    parser.add_argument("--turns", type=int, default=LONG, help="turns of the long thread")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    chosen = parser.parse_args(arguments)
    said = [t.text for f in chosen.files for s in memory.read(f) for t in s.turns if t.text.strip()]
    if len(said) < 100:
        sys.exit("There is too little text in these files.")
    result: dict[str, Any] = {"machine": machine(), "rounds": chosen.rounds, "turns": chosen.turns}
    made: dict[str, list[UUID]] = {}

    def fill(coach: Coach) -> None:
        made.update(filled(coach, said, chosen.turns, chosen.rounds + 5))

    with fake_upstream() as base, served(base, fill) as (url, _):
        result |= asyncio.run(measured(url, base, made, chosen.rounds))
    print(json.dumps(result, indent=2))
    if chosen.write:
        write_tables(chosen.write, tables(result))


# -- filling -------------------------------------------------------------------------------------------


def filled(coach: Coach, said: Sequence[str], turns: int, count: int) -> dict[str, list[UUID]]:
    """The threads by kind; each short one is asked once, so there are many."""
    actor, words = coach.owner(), cycle(said)
    persona = coach.persona(actor, "general").id
    short = [thread(coach, actor, persona, SHORT, words) for _ in range(count)]
    long = thread(coach, actor, persona, turns, words)
    coach._remembering.embed(lambda _seconds: False)  # as the job does in its own time
    head = coach.messages(actor, long)[-1]
    record = TurnRecord(new_id(), long, head.parent_id or head.id, head.id, actor.user_id, "completed", "", now())
    coach._asking._summaries.after(actor, coach.thread(actor, long), record)  # type: ignore[union-attr]
    return {"short": short, "long": [long] * count}


def thread(coach: Coach, actor: Actor, persona: UUID, turns: int, said: Iterator[str]) -> UUID:
    made = threads.create(coach._db, actor, persona, title=f"A talk of {turns} turns")
    began = now() - timedelta(hours=turns + 1)

    def work(connection: Connection) -> None:
        rows, records, parent = list[dict[str, Any]](), list[dict[str, Any]](), None
        for n, (question, answer) in enumerate(zip(*[islice(said, 2 * turns)] * 2, strict=True)):
            at, turn = began + timedelta(hours=n), new_id()
            asked, told = new_id(), new_id()
            for message, above, speaker, text in (
                (asked, parent, "user", question),
                (told, asked, "assistant", answer),
            ):
                rows.append(
                    {
                        "id": message,
                        "thread_id": made.id,
                        "parent_id": above,
                        "turn_id": turn if speaker == "assistant" else None,
                        "speaker": speaker,
                        "status": "complete",
                        "text": text,
                        "parts": storable([Part("text", text)]),
                        "created_at": at,
                    }
                )
            records.append(
                {
                    "id": turn,
                    "thread_id": made.id,
                    "question_id": asked,
                    "answer_id": told,
                    "user_id": actor.user_id,
                    "status": "completed",
                    "backend": "openai_responses",
                    "persona_id": persona,
                    "timing": {"total": 900.0},
                    "created_at": at,
                    "ended_at": at,
                }
            )
            parent = told
        connection.execute(sa.insert(MESSAGES), rows)
        connection.execute(sa.insert(TURNS), records)
        for row in rows:
            fulltext.index(connection, made.id, row["id"], row["text"])
        connection.execute(sa.update(THREADS).where(THREADS.c.id == made.id).values(head_id=parent))

    coach._db.write(work).result()
    return made.id


# -- measuring -----------------------------------------------------------------------------------------


async def measured(url: str, base: str, made: dict[str, list[UUID]], rounds: int) -> dict[str, Any]:
    times: dict[str, dict[str, list[float]]] = {k: {"open": [], "ask": [], "both": []} for k in ("short", "long")}
    drawn: dict[str, int] = {}
    for n in range(rounds + 5):
        for kind in ("short", "long") if n % 2 else ("long", "short"):
            page = Page(url, query=f"thread={made[kind][n]}")
            began = time.monotonic_ns()
            await page.open()
            opened = (time.monotonic_ns() - began) / 1e6
            drawn[kind] = page.received
            began = time.monotonic_ns()
            asked = await page.ask(f"What would you do next, number {n}? chars=40", upstream.END)
            sent = (last_request(base)["came"] - began) / 1e6
            await page.close()
            if asked.error:
                sys.exit(f"a page failed: {asked.error}")
            if n >= 5:
                for name, ms in (("open", opened), ("ask", sent), ("both", opened + sent)):
                    times[kind][name].append(ms)
            print(f"{n} {kind}: open {opened:.0f} ms, asked {sent:.0f} ms", file=sys.stderr)
    out: dict[str, Any] = {k: {f"{name}_ms": spread(v) for name, v in of.items()} for k, of in times.items()}
    out["bytes_to_open"] = drawn
    out["ratio_p95"] = {
        name: round(out["long"][f"{name}_ms"]["p95"] / out["short"][f"{name}_ms"]["p95"], 3)
        for name in ("open", "ask", "both")
    }
    return out


def tables(result: dict[str, Any]) -> dict[str, list[str]]:
    out = ["| | 10 turns, ms (p50 / p95) | {:,} turns, ms (p50 / p95) | p95, times |".format(result["turns"])]
    out.append("| --- | --- | --- | --- |")
    for name, words in (
        ("open", "the page opens the thread"),
        ("ask", "question to the model's API"),
        ("both", "both"),
    ):
        short, long = result["short"][f"{name}_ms"], result["long"][f"{name}_ms"]
        row = f"| {words} | {short['p50']} / {short['p95']} | {long['p50']} / {long['p95']} "
        out.append(f"{row}| **{result['ratio_p95'][name]}** |")
    return {"machine": [result["machine"]], "threads": out}


if __name__ == "__main__":
    main()
