"""What a turn costs beside the model: `python -m benchmarks turn [--write docs/turn.md] [--only PART]`.

Three parts. `overhead`: from `coach.start` to the upstream having the whole request, against the bare SDK
sending the very same body, taken in turns. `sessions`: the real server, 50 pages over the wire of the browser,
each with its own answer at the same time. `bytes`: what reaches the page for answers of several lengths.
The upstream is a process of its own on loopback and is told how fast to answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
from openai import OpenAI

from benchmarks import chunks, upstream
from benchmarks.pages import Asked, Page
from coach_core.coach import Coach
from coach_core.settings import Settings
from coach_core.types import PersonaDraft

ROOT = Path(__file__).resolve().parent.parent
KEY = "measured-key"
LENGTHS = (2_500, 5_000, 10_000, 20_000, 40_000)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks turn", description=__doc__)
    parser.add_argument("--only", choices=("overhead", "sessions", "bytes"), help="one part")
    parser.add_argument("--turns", type=int, default=200, help="turns a row of the overhead table")
    parser.add_argument("--chunks", type=int, nargs="*", default=[0, 100_000], help="passages in the collection")
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--write", type=Path, help="put the tables between the marks of this file")
    chosen = parser.parse_args(arguments)
    parts = [chosen.only] if chosen.only else ["overhead", "sessions", "bytes"]
    result: dict[str, Any] = {"machine": machine()}
    with fake_upstream() as base:
        if "overhead" in parts:
            result["overhead"] = [overhead(base, count, chosen.turns) for count in (None, *chosen.chunks)]
        if "sessions" in parts or "bytes" in parts:
            with served(base) as (url, server):
                if "sessions" in parts:
                    result["sessions"] = sessions(url, server, chosen.sessions)
                if "bytes" in parts:
                    result["bytes"] = bytes_to_page(url)
    print(json.dumps(result, indent=2))
    if chosen.write:
        write_tables(chosen.write, tables(result))


# -- overhead ------------------------------------------------------------------------------------------


def overhead(base: str, count: int | None, turns: int) -> dict[str, Any]:
    """One row: `count` passages in the persona's collection, None for a persona without documents."""
    home = Path(tempfile.mkdtemp(prefix="bench-turn-"))
    settings = Settings(
        home=home, openai_base_url=base, openai_api_key=KEY, model="measured", backend="openai_responses"
    )
    coach = Coach.from_settings(settings, background=False)
    try:
        actor = coach.owner()
        collections = () if count is None else (chunks.fill(coach, actor, count),)
        draft = PersonaDraft("Measured", instructions="You are brief and kind.", collections=collections)
        persona = coach.save_persona(actor, draft)
        bare = OpenAI(api_key=KEY, base_url=base, max_retries=0)
        ours: list[float] = []
        theirs: list[float] = []
        stages: dict[str, list[float]] = {}
        for number in range(turns + 10):
            thread = coach.new_thread(actor, persona.id)
            began = time.monotonic_ns()
            turn = coach.start(actor, thread.id, f"How do I plan week {number}? {chunks.question(number)} chars=40")
            for _ in coach.tail(actor, turn.id):
                pass
            sent = last_request(base)
            started = time.monotonic_ns()
            for _ in bare.responses.create(**sent["body"]):
                pass
            if number < 10:  # the first ones open connections and fill caches on both sides
                continue
            ours.append((sent["came"] - began) / 1e6)
            theirs.append((last_request(base)["came"] - started) / 1e6)
            for stage, ms in coach.turn(actor, turn.id).timing.items():
                stages.setdefault(stage, []).append(ms)
        extra = [a - b for a, b in zip(ours, theirs, strict=True)]
        return {
            "passages": count,
            "turns": turns,
            "turn_ms": spread(ours),
            "bare_sdk_ms": spread(theirs),
            "overhead_ms": spread(extra),
            "stages_ms": {name: round(statistics.median(values), 2) for name, values in stages.items()},
        }
    finally:
        coach.close()
        shutil.rmtree(home, ignore_errors=True)


# -- the page ------------------------------------------------------------------------------------------


def sessions(url: str, server: psutil.Process, count: int, chars: int = 2_000, rate: int = 200) -> dict[str, Any]:
    """`count` pages ask at once; each answer of `chars` characters comes at `rate` characters a second."""

    async def run() -> tuple[list[Asked], float]:
        pages = [Page(url) for _ in range(count)]
        for page in pages:  # people do not open their tabs in the same millisecond
            await page.open()
        busy, began = cpu(server), time.monotonic()
        asked = await asyncio.gather(
            *(p.ask(f"Question {i} chars={chars} rate={rate}", upstream.END) for i, p in enumerate(pages))
        )
        share = (cpu(server) - busy) / (time.monotonic() - began)
        for page in pages:
            await page.close()
        return asked, share

    asked, share = asyncio.run(run())
    whole = [a for a in asked if not a.error]
    return {
        "sessions": count,
        "whole": len(whole),
        "errors": sorted({a.error for a in asked if a.error}),
        "upstream_seconds": chars / rate,
        "first_text_s": spread([a.first_text for a in whole]),
        "behind_upstream_s": spread([a.last_text - chars / rate for a in whole]),
        "bytes_a_session": round(statistics.mean(a.bytes for a in whole)) if whole else 0,
        "cores_used": round(share, 2),
        "memory_mb": round(server.memory_info().rss / 1e6),
    }


def bytes_to_page(url: str) -> list[dict[str, Any]]:
    """Each answer in a new session, at a steady 1,000 characters a second."""
    rows = []
    for length in LENGTHS:
        asked = asyncio.run(in_new_session(url, f"Tell me all of it. chars={length} rate=1000"))
        rows.append(
            {
                "chars": length,
                "bytes": asked.bytes,
                "bytes_a_char": round(asked.bytes / length, 1),
                "messages": asked.messages,
                "error": asked.error,
            }
        )
    return rows


async def in_new_session(url: str, question: str) -> Asked:
    page = Page(url)
    await page.open()
    asked = await page.ask(question, upstream.END)
    await page.close()
    return asked


# -- processes -----------------------------------------------------------------------------------------


@contextmanager
def fake_upstream() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.upstream", str(port)], cwd=ROOT)
    try:
        wait_for(f"http://127.0.0.1:{port}/last", process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def served(base: str, fill: Callable[[Coach], None] | None = None) -> Iterator[tuple[str, psutil.Process]]:
    """The real server on the welcome set and what `fill` adds, the fake upstream behind it, after its first answer."""
    port, home = free_port(), tempfile.mkdtemp(prefix="bench-serve-")
    coach = Coach.from_settings(Settings(home=Path(home)), background=False)
    coach.embed_now(coach.owner())
    if fill is not None:
        fill(coach)
    coach.close()
    env = os.environ | {
        "COACH_HOME": home,
        "COACH_BACKEND": "openai_responses",
        "COACH_MODEL": "measured",
        "OPENAI_BASE_URL": base,
        "OPENAI_API_KEY": KEY,
    }
    command = [sys.executable, "-m", "coach_core", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz", process)
        asyncio.run(in_new_session(f"ws://127.0.0.1:{port}", "chars=200"))
        yield f"ws://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
        shutil.rmtree(home, ignore_errors=True)


def wait_for(url: str, process: subprocess.Popen[bytes], most: float = 120.0) -> None:
    until = time.monotonic() + most
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"the process behind {url} has ended")
        try:
            if httpx2.get(url, timeout=2.0).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"{url} does not answer")


def last_request(base: str) -> dict[str, Any]:
    return httpx2.get(base.removesuffix("/v1") + "/last").json()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


# -- telling -------------------------------------------------------------------------------------------


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and greatest."""
    if not values:
        return {}
    ordered = sorted(values)
    at = min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))
    return {"p50": round(statistics.median(ordered), 2), "p95": round(ordered[at], 2), "max": round(ordered[-1], 2)}


def machine() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text()) if info.exists() else []
    memory = psutil.virtual_memory().total / 2**30
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores of {name}, {memory:.0f} GB, Python {platform.python_version()}"


def write_tables(path: Path, tables: Mapping[str, Sequence[str]]) -> None:
    """Replace what stands between `<!-- NAME -->` and `<!-- /NAME -->` by the table of that part."""
    text = path.read_text(encoding="utf-8")
    for name, lines in tables.items():
        block = f"<!-- {name} -->\n" + "\n".join(lines) + f"\n<!-- /{name} -->"
        text = re.sub(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _m, b=block: b, text, flags=re.DOTALL)
    path.write_text(text, encoding="utf-8")


def tables(result: dict[str, Any]) -> dict[str, list[str]]:
    out = {"machine": [result["machine"]]}
    if rows := result.get("overhead"):
        out["overhead"] = [
            "| documents | a turn, ms (p50 / p95) | bare SDK, ms | overhead, ms (p50 / p95) |",
            "| --- | --- | --- | --- |",
        ]
        for row in rows:
            what = "none" if row["passages"] is None else f"{row['passages']:,} passages"
            both = [f"{row[k]['p50']} / {row[k]['p95']}" for k in ("turn_ms", "bare_sdk_ms", "overhead_ms")]
            out["overhead"].append(f"| {what} | {both[0]} | {both[1]} | **{both[2]}** |")
    if row := result.get("sessions"):
        first, behind = row["first_text_s"], row["behind_upstream_s"]
        out["sessions"] = [
            "| pages | whole answers | first words, s (p50 / p95) | end behind upstream, s (p50 / p95) | cores | MB |",
            "| --- | --- | --- | --- | --- | --- |",
            f"| {row['sessions']} | {row['whole']} | {first['p50']} / {first['p95']} | {behind['p50']} / "
            f"{behind['p95']} | {row['cores_used']} | {row['memory_mb']} |",
        ]
    if rows := result.get("bytes"):
        out["bytes"] = [
            "| answer, characters | bytes to the page | bytes a character | messages |",
            "| --- | --- | --- | --- |",
        ]
        out["bytes"] += [f"| {r['chars']:,} | {r['bytes']:,} | {r['bytes_a_char']} | {r['messages']:,} |" for r in rows]
    return out


if __name__ == "__main__":
    main()
