"""What an adapter costs per chunk of a stream: `python -m benchmarks adapters [--write docs/adapters.md]`.

Each wire's adapter reads a long stream beside the bare SDK (`for chunk in client...create(stream=True): pass`),
turn by turn, from the same server in a process of its own on loopback. `at_once`: it plays without waiting;
`one_by_one`: each event arrives alone, as from a model, and only the processor's time says anything. The clock
runs from the first event to the last, so that what is sent before is not counted. `cpu` is the time of this
process on a processor, `wall` that on the clock, in microseconds a chunk; ratios are medians over the pairs.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from typing import Any

import openai

from benchmarks.turn import ROOT, free_port, machine, wait_for, write_tables
from coach_core import tokens
from coach_core.backends import BACKENDS, Endpoint, Request, build
from coach_core.types import Message, Part, new_id, now

KEY = "measured-key"
MODEL = "measured"
GOAL = 1.2
Read = Callable[[], Iterable[Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks adapters", description=__doc__)
    parser.add_argument("--only", choices=[name for name in _BARE if name in BACKENDS], help="one wire")
    parser.add_argument("--chunks", type=int, default=3_000, help="pieces of text in a stream")
    parser.add_argument("--paced", type=int, default=600, help="the same where they arrive one by one")
    parser.add_argument("--repeats", type=int, default=7, help="pairs of runs a wire; one by one half as many")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    parser.add_argument("--profile", action="store_true", help="where the adapter's time goes, to standard error")
    chosen = parser.parse_args(arguments)
    result: dict[str, Any] = {"machine": machine(), "chunks": chosen.chunks, "goal": GOAL, "wires": {}}
    tokens.count("warm")
    with played(chosen.chunks, chosen.paced) as base:
        for name in [chosen.only] if chosen.only else [n for n in _BARE if n in BACKENDS]:
            print(f"{name} ...", file=sys.stderr)
            result["wires"][name] = {
                "at_once": measured(name, f"{base}/v1", chosen.chunks, chosen.repeats),
                "one_by_one": measured(name, f"{base}/paced/v1", chosen.paced, (chosen.repeats + 1) // 2),
            }
            if chosen.profile:
                profile(name, f"{base}/v1")
    print(json.dumps(result, indent=2))
    if chosen.write:
        write_tables(chosen.write, {"machine": [result["machine"]], "adapters": table(result)})


# -- measuring -----------------------------------------------------------------------------------------


def measured(name: str, base: str, chunks: int, repeats: int) -> dict[str, Any]:
    """Medians over the pairs; the first pair warms both sides up and is not counted."""
    client = openai.OpenAI(api_key=KEY, base_url=base, max_retries=0)
    backend = build(name, Endpoint("measured", base, KEY, MODEL))
    sides: dict[str, Read] = {
        "sdk": lambda: _BARE[name](client),
        "adapter": lambda: backend.stream(_request(), Flag()),
    }
    taken: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for number in range(repeats + 1):
        order = list(sides) if number % 2 else list(sides)[::-1]
        for side in order:
            cpu, wall, count = _timed(sides[side])
            if not chunks <= count <= chunks + 50:
                raise SystemExit(f"{name}: {side} gave {count} events of a stream of {chunks} pieces")
            if number:
                taken[side].append((cpu / chunks * 1e6, wall / chunks * 1e6))
    backend.close()
    client.close()
    out: dict[str, Any] = {}
    for index, what in enumerate(("cpu", "wall")):
        sdk, adapter = ([times[index] for times in taken[side]] for side in ("sdk", "adapter"))
        ratios = sorted(a / s for a, s in zip(adapter, sdk, strict=True))
        out[what] = {
            "sdk_us": round(statistics.median(sdk), 1),
            "adapter_us": round(statistics.median(adapter), 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        }
    return out


def _timed(read: Read) -> tuple[float, float, int]:
    """Seconds of processor and clock from the first event to the end, and how many events there were."""
    gc.collect()
    events = iter(read())
    count = 1
    next(events)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in events:
        count += 1
    return time.process_time() - cpu, time.perf_counter() - wall, count


def profile(name: str, base: str) -> None:
    import cProfile
    import pstats

    backend = build(name, Endpoint("measured", base, KEY, MODEL))
    watched = cProfile.Profile()
    watched.runcall(lambda: list(backend.stream(_request(), Flag())))
    backend.close()
    pstats.Stats(watched, stream=sys.stderr).sort_stats("tottime").print_stats(18)


# -- the two sides -------------------------------------------------------------------------------------


def _request() -> Request:
    text = "How do I begin?"
    question = Message(new_id(), new_id(), None, "user", (Part("text", text),), text, "complete", now())
    return Request(question, instructions="Be kind.")


def _chat(client: openai.OpenAI) -> Iterable[Any]:
    messages: Any = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "How do I begin?"}]
    options: Any = {"include_usage": True}
    return client.chat.completions.create(model=MODEL, messages=messages, stream=True, stream_options=options)


def _responses(client: openai.OpenAI) -> Iterable[Any]:
    return client.responses.create(model=MODEL, input="How do I begin?", instructions="Be kind.", stream=True)


def _assistants(client: openai.OpenAI) -> Iterable[Any]:
    runs: Any = client.beta.threads.runs  # the vendor's own is gone, which the SDK says at each call
    return runs.create(thread_id="thread_1", assistant_id="assistant_1", stream=True)


_BARE: dict[str, Callable[[openai.OpenAI], Iterable[Any]]] = {
    "openai_responses": _responses,
    "openai_chat": _chat,
    "openai_assistants": _assistants,
}


@contextmanager
def played(chunks: int, paced: int) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.streams", str(port), str(chunks), str(paced)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_for(f"http://127.0.0.1:{port}/v1/models", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


# -- telling -------------------------------------------------------------------------------------------


def table(result: dict[str, Any]) -> list[str]:
    lines = [
        "| µs a chunk | | bare SDK | adapter | adapter / SDK | lowest - highest |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, row in result["wires"].items():
        shown = [
            ("at once, processor", row["at_once"]["cpu"]),
            ("at once, clock", row["at_once"]["wall"]),
            ("one by one, processor", row["one_by_one"]["cpu"]),
        ]
        for what, cell in shown:
            least, most = cell["ratio_range"]
            ours = f"{cell['sdk_us']} | {cell['adapter_us']} | **{cell['ratio']}** | {least} - {most}"
            lines.append(f"| {name} | {what} | {ours} |")
    return lines


if __name__ == "__main__":
    main()
