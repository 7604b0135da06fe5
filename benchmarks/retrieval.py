"""How well search ranks, against others' judgements: `python -m benchmarks retrieval DIR...`.

DIR is a folder in the shape of BEIR: corpus.jsonl (_id, title, text), queries.jsonl (_id, text) and qrels.tsv
(query-id, corpus-id, score; also qrels/test.tsv). Each corpus is taken in by the app's own ingestion, as a table
with a row a document, and searched by its own search. A document ranks where its best passage does. What is
printed is nDCG@10 (linear gain) and recall@100 of words alone, meaning alone and both, over the queries that have
a relevant document in the corpus.

Passages are embedded once and remembered in .cache by the hash of model and text.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, get_args
from uuid import UUID

from benchmarks import tables
from benchmarks.answers import machine
from benchmarks.cached import CACHE, Remembering
from coach_core.knowledge import Knowledge
from coach_core.search import english, meaning
from coach_core.search.finder import By
from coach_core.store import Database

_TOP, _DEEP = 10, 100
_NAMES = {"both": "hybrid"}


@dataclass(frozen=True)
class Judged:
    """A corpus, its queries and which documents are relevant to each, with their grades."""

    name: str
    documents: list[tuple[str, str, str]]
    queries: dict[str, str]
    grades: dict[str, dict[str, int]]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks retrieval", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--embedder", default="", help="as COACH_EMBEDDER; the bundled ones unless told")
    parser.add_argument("--one-model", action="store_true", help="without the English model beside the bundled one")
    parser.add_argument("--most", type=int, default=0, help="at most so many queries of each, evenly chosen")
    parser.add_argument("--details", action="store_true", help="nDCG@10 of each query too")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    chosen = parser.parse_args(arguments)
    started = time.perf_counter()
    sets = {j.name: j for j in (read(folder, chosen.most) for folder in chosen.folders)}
    second = not chosen.embedder and not chosen.one_model and english.there()
    result: dict[str, Any] = {"machine": machine(), "embedders": [], "sets": {}}
    for name, judged in sets.items():
        with tempfile.TemporaryDirectory() as home:
            knowledge, names = _opened(Path(home), chosen.embedder, second)
            result["embedders"] = names
            try:
                result["sets"][name] = measure(knowledge, judged, details=chosen.details)
            finally:
                knowledge.close()
                knowledge._db.close()
    result["seconds"] = round(time.perf_counter() - started)
    if chosen.write:
        tables.put(chosen.write, "retrieval", table(result))
    print(json.dumps(result, indent=2, ensure_ascii=False))


def read(folder: Path, most: int = 0) -> Judged:
    """A folder in BEIR's shape."""
    qrels = next((p for p in (folder / "qrels.tsv", folder / "qrels" / "test.tsv") if p.exists()), None)
    if qrels is None or not (folder / "corpus.jsonl").exists() or not (folder / "queries.jsonl").exists():
        sys.exit(f"{folder} is not in BEIR's shape: corpus.jsonl, queries.jsonl and qrels.tsv are needed.")
    documents = [(str(d["_id"]), d.get("title") or "", d.get("text") or "") for d in _lines(folder / "corpus.jsonl")]
    queries = {str(q["_id"]): str(q["text"]) for q in _lines(folder / "queries.jsonl")}
    known = {number for number, _, _ in documents}
    grades: dict[str, dict[str, int]] = {}
    for line in qrels.read_text("utf-8").splitlines():
        cells = line.split("\t")
        if len(cells) >= 3 and cells[-1].strip().lstrip("-").isdigit() and int(cells[-1]) > 0:
            query, document = cells[0], cells[-2]
            if query in queries and document in known:
                grades.setdefault(query, {})[document] = int(cells[-1])
    chosen = [q for q in queries if q in grades]
    if most and len(chosen) > most:
        chosen = [chosen[at * len(chosen) // most] for at in range(most)]
    return Judged(folder.name, documents, {q: queries[q] for q in chosen}, grades)


def measure(knowledge: Knowledge, judged: Judged, *, details: bool = False) -> dict[str, Any]:
    """nDCG@10 and recall@100 by each means."""
    collection = _take_in(knowledge, judged)
    shares: dict[str, dict[str, tuple[float, float]]] = {}
    took: list[float] = []
    for by in get_args(By):
        rows: dict[str, tuple[float, float]] = {}
        for query, text in judged.queries.items():
            started = time.perf_counter()
            found = knowledge.ranked(text, [collection], by)
            took += [(time.perf_counter() - started) * 1000] if by == "both" else []
            order = list(dict.fromkeys(judged.documents[p.row - 2][0] for p in found if p.row))
            rows[query] = ndcg(order, judged.grades[query]), recall(order, judged.grades[query])
        shares[_NAMES.get(by, by)] = rows
        _say(f"{judged.name}: by {_NAMES.get(by, by)} {fmean(n for n, _ in rows.values()):.3f}")
    out: dict[str, Any] = {"documents": len(judged.documents), "queries": len(judged.queries)}
    for name in ("words", "meaning", "hybrid"):
        rows = shares[name]
        out[name] = {
            f"ndcg@{_TOP}": round(fmean(n for n, _ in rows.values()), 4),
            f"recall@{_DEEP}": round(fmean(r for _, r in rows.values()), 4),
        }
    out["search_ms_median"] = round(sorted(took)[len(took) // 2], 1)
    if details:
        out["by_query"] = {q: {name: round(rows[q][0], 3) for name, rows in shares.items()} for q in judged.queries}
    return out


def ndcg(order: Sequence[str], grades: Mapping[str, int], k: int = _TOP) -> float:
    """Normalised discounted cumulative gain of the first `k`, the gain being the grade."""
    gained = sum(grades.get(document, 0) / math.log2(rank + 1) for rank, document in enumerate(order[:k], 1))
    best = sorted(grades.values(), reverse=True)[:k]
    ideal = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(best, 1))
    return gained / ideal if ideal else 0.0


def recall(order: Sequence[str], grades: Mapping[str, int], k: int = _DEEP) -> float:
    return sum(document in grades for document in order[:k]) / len(grades)


def _opened(home: Path, spec: str, second: bool) -> tuple[Knowledge, list[str]]:
    first = Remembering(meaning.open_embedder(CACHE, spec))
    other = Remembering(english.open_english()) if second else None
    database = Database.open(f"sqlite:///{home}/coach.db", home)
    knowledge = Knowledge(
        database, embedder_factory=lambda: first, english_factory=(lambda: other) if other is not None else None
    )
    return knowledge, [e.name for e in (first, other) if e is not None]


def _take_in(knowledge: Knowledge, judged: Judged) -> UUID:
    collection = knowledge.create_collection(judged.name)
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["title", "text"])
    for _, title, text in judged.documents:
        writer.writerow([title, text if not title or not text.startswith(title) else text[len(title) :]])
    _say(f"{judged.name}: taking {len(judged.documents)} documents in")
    knowledge.add(collection.id, f"{judged.name}.csv", table.getvalue().encode())
    knowledge.embed_pending(
        threading.Event(), lambda done, total: _say(f"{judged.name}: embedded {done} of {total}", end="\r")
    )
    knowledge.warm(60.0)
    return collection.id


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def table(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    lines = [
        "| | documents | queries | words | meaning | hybrid | recall@100: words | meaning | hybrid |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, found in result["sets"].items():
        cells = [f"{found[by][f'ndcg@{_TOP}']:.3f}" for by in ("words", "meaning", "hybrid")]
        cells += [f"{found[by][f'recall@{_DEEP}']:.3f}" for by in ("words", "meaning", "hybrid")]
        lines.append(f"| {name} | {found['documents']} | {found['queries']} | " + " | ".join(cells) + " |")
    times = ", ".join(f"{found['search_ms_median']:g}" for found in result["sets"].values())
    facts = (
        f"Machine: {result['machine']}. Models: {', '.join(result['embedders'])}. A search takes {times} ms (median)."
    )
    return "\n".join([*lines, "", facts])


def _say(text: str, end: str = "\n") -> None:
    print(text, file=sys.stderr, end=end, flush=True)


if __name__ == "__main__":
    main()
