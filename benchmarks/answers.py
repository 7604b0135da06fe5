"""Whether questions find their passages and answers cite them: `python -m benchmarks answers FILE...`.

FILE is a document or a folder of documents, each a collection of its own name, or a .jsonl of questions with their
right passages; without questions those beside the documents (questions/questions.jsonl) are asked, without documents
those beside the questions (knowledge/*). All are taken in under --home (kept, and not taken in twice) or a home of
its own that is gone afterwards.

A hit is a passage that holds a right quote, or eight words of one in a row, spaces aside. `hit@k` is measured on
search over all collections together; `cited_right` on the answers of the backend, through the whole turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numkong

from benchmarks import tables
from coach_core.coach import Coach
from coach_core.errors import CoachError
from coach_core.knowledge import loaders
from coach_core.settings import Settings
from coach_core.types import Actor, PersonaDraft

RUN = 8  # words in a row that make a hit
PERSONA = "Answers benchmark"


@dataclass(frozen=True)
class Question:
    id: str
    text: str
    language: str
    corpus: str
    quotes: tuple[str, ...]

    @property
    def answerable(self) -> bool:
        return bool(self.quotes)

    def hit(self, passage: str) -> bool:
        flat = " ".join(passage.split())
        return any(quote in flat for quote in self.quotes) or bool(_runs(flat) & _all_runs(self.quotes))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks answers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--home", type=Path, help="where the documents are kept between runs")
    parser.add_argument("--backend", default="extractive", help='who answers; "" measures search alone')
    parser.add_argument("--details", action="store_true", help="each question with its rank and its answer")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    chosen = parser.parse_args(arguments)
    asked, documents = _inputs(chosen.files)
    if chosen.home:
        result = measure(asked, documents, chosen.home, chosen.backend, details=chosen.details)
    else:
        with tempfile.TemporaryDirectory() as home:
            result = measure(asked, documents, Path(home), chosen.backend, details=chosen.details)
    if chosen.write:
        tables.put(chosen.write, "answers", table(result))
    print(json.dumps(result, indent=2, ensure_ascii=False))


def measure(
    asked: Sequence[Question], documents: Sequence[Path], home: Path, backend: str, *, details: bool = False
) -> dict[str, Any]:
    settings = Settings.load(home=home, context_deadline=30.0, backend="extractive")
    coach = Coach.from_settings(settings, background=False)
    try:
        actor = coach.owner()
        collections = _take_in(coach, actor, documents)
        _say("opening the embedder")
        coach.knowledge.warm(120.0)
        rows = [_searched(coach, question, collections) for question in asked]
        if backend:
            _answered(coach, actor, asked, rows, collections, backend)
        return _report(coach, actor, rows, collections, backend, details)
    finally:
        coach.close()


def _inputs(files: Sequence[Path]) -> tuple[list[Question], list[Path]]:
    lists = [f for f in files if f.suffix == ".jsonl"]
    documents = [f for f in files if f.suffix != ".jsonl"]
    if missing := [f for f in files if not f.exists()]:
        sys.exit(f"{missing[0]} does not exist.")
    if not lists:
        near = (parent / "questions" / "questions.jsonl" for f in documents for parent in f.resolve().parents)
        lists = [next((p for p in near if p.exists()), Path("questions.jsonl"))]
    if not documents:
        documents = sorted(p for p in (lists[0].resolve().parent.parent / "knowledge").glob("*") if p.is_dir())
    asked = [_question(json.loads(line)) for f in lists for line in f.read_text("utf-8").splitlines() if line.strip()]
    return asked, documents


def _question(row: dict[str, Any]) -> Question:
    also = [quote for quotes in (row.get("also_quotes") or {}).values() for quote in quotes]
    quotes = tuple(" ".join(q.split()) for q in [*(row.get("quotes") or []), *also])
    corpus = row.get("corpus") or "none"
    return Question(row["id"], row["question"], row["lang"], corpus, quotes if row["answerable"] else ())


def _take_in(coach: Coach, actor: Actor, documents: Sequence[Path]) -> list[UUID]:
    there = {c.name: c for c in coach.collections(actor)}
    out: list[UUID] = []
    for path in documents:
        collection = there.get(path.name) or coach.create_collection(actor, path.name)
        out.append(collection.id)
        names = {d.name for d in coach.documents(actor, collection.id)}
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            name = file.relative_to(path).as_posix() if path.is_dir() else path.name
            if name in names or not loaders.readable(name):
                continue
            try:
                coach.ingest(actor, collection.id, name, file)
            except CoachError as error:
                _say(f"{name}: {error.sentence}")
        _say(f"{path.name}: taken in")
    coach.embed_now(actor, lambda done, total: _say(f"embedded {done} of {total}", end="\r"))
    return out


def _searched(coach: Coach, question: Question, collections: Sequence[UUID]) -> dict[str, Any]:
    started = time.perf_counter()
    found = coach.knowledge.find(question.text, collections, k=20)
    took = (time.perf_counter() - started) * 1000
    ranks = [n for n, passage in enumerate(found, 1) if question.hit(passage.text)]
    return {"question": question, "rank": ranks[0] if ranks else None, "ms": took, "found": found}


def _answered(
    coach: Coach,
    actor: Actor,
    asked: Sequence[Question],
    rows: Sequence[dict[str, Any]],
    collections: Sequence[UUID],
    backend: str,
) -> None:
    drafts = {p.name: p for p in coach.personas(actor)}
    old = drafts.get(PERSONA)
    draft = PersonaDraft(PERSONA, "Answer from the passages and cite them as [n].", collections=tuple(collections))
    persona = coach.save_persona(actor, draft, old.id if old else None)
    for number, (question, row) in enumerate(zip(asked, rows, strict=True), 1):
        thread = coach.new_thread(actor, persona.id, backend=backend)
        turn = coach.start(actor, thread.id, question.text)
        for _ in coach.tail(actor, turn.id):
            pass
        answer = coach.messages(actor, thread.id)[-1]
        cited = coach.citations(actor, [answer.id]).get(answer.id, [])
        row |= {"answer": answer.text, "status": answer.status, "cited": len(cited)}
        row["cited_right"] = any(question.hit(c.text) for c in cited)
        coach.delete_threads(actor, [thread.id])
        _say(f"asked {number} of {len(asked)}", end="\r")
    _say("")


def _report(
    coach: Coach,
    actor: Actor,
    rows: Sequence[dict[str, Any]],
    collections: Sequence[UUID],
    backend: str,
    details: bool,
) -> dict[str, Any]:
    here = [c for c in coach.collections(actor) if c.id in collections]
    result: dict[str, Any] = {
        "machine": machine(),
        "embedder": coach.knowledge.check().detail,
        "backend": backend,
        "documents": sum(c.documents for c in here),
        "passages": sum(c.chunks for c in here),
        "search_ms_median": round(sorted(r["ms"] for r in rows)[len(rows) // 2], 1),
        "all": _shares(rows),
        "languages": _by(rows, lambda q: q.language),
        "corpora": _by(rows, lambda q: q.corpus),
        "other_than_english": _shares([r for r in rows if r["question"].language != "en"]),
    }
    if details:
        result["questions"] = [_detail(r) for r in rows]
    return result


def _shares(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    with_answer = [r for r in rows if r["question"].answerable]
    without = [r for r in rows if not r["question"].answerable]
    out: dict[str, Any] = {"questions": len(rows), "answerable": len(with_answer)}
    for k in (1, 5, 20):
        out[f"hit@{k}"] = _share(r["rank"] is not None and r["rank"] <= k for r in with_answer)
    if rows and "answer" in rows[0]:
        out["cited_right"] = _share(r["cited_right"] for r in with_answer)
        out["refused"] = _share(not r["cited"] for r in with_answer)
        out["unanswerable_said"] = _share(not r["cited"] for r in without)
    return out


def _share(values: Iterable[bool]) -> float | None:
    listed = list(values)
    return round(sum(listed) / len(listed), 3) if listed else None


def _by(rows: Sequence[dict[str, Any]], key: Callable[[Question], str]) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[key(row["question"])].append(row)
    return {name: _shares(group) for name, group in sorted(groups.items())}


def _detail(row: dict[str, Any]) -> dict[str, Any]:
    question: Question = row["question"]
    first = row["found"][0] if row["found"] else None
    told = {k: row[k] for k in ("rank", "answer", "cited", "cited_right") if k in row}
    best = f"{first.title} > {first.section}" if first else None
    return {"id": question.id, "question": question.text, "language": question.language, "first": best, **told}


def _runs(flat: str) -> set[tuple[str, ...]]:
    words = flat.split()
    return {tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}


def _all_runs(quotes: Sequence[str]) -> set[tuple[str, ...]]:
    return set().union(*(_runs(quote) for quote in quotes))


def machine() -> str:
    """Processor and cores, as the tables name them."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    fast = [c for c in ("icelake", "alder", "sapphire", "turin") if numkong.get_capabilities().get(c)]
    return f"{name}, {os.cpu_count()} cores" + (f" ({', '.join(fast)} instructions)" if fast else "")


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    columns = ("answerable", "hit@1", "hit@5", "hit@20", "cited_right", "refused")
    head = ["", "answerable", "hit@1", "hit@5", "hit@20", "cites a right passage", "refuses"]
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    groups = {"all": result["all"], **result["languages"], "not English": result["other_than_english"]}
    groups |= {f"about {name}": value for name, value in result["corpora"].items() if name != "none"}
    for name, shares in groups.items():
        cells = ["" if shares.get(c) is None else f"{shares[c]:g}" for c in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    said = result["all"].get("unanswerable_said")
    facts = [
        f"Machine: {result['machine']}. {result['documents']} documents, {result['passages']} passages;",
        f"{result['embedder']}; backend {result['backend'] or 'none'};",
        f"a search takes {result['search_ms_median']} ms (median).",
    ]
    if said is not None:
        facts.append(f"Of the questions that the documents do not answer, {said:.0%} are told so.")
    return "\n".join([*lines, "", *facts])


def _say(text: str, end: str = "\n") -> None:
    print(text, file=sys.stderr, end=end, flush=True)
