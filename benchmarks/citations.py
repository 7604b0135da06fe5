"""How well the check of citations tells: `python -m benchmarks citations [--write docs/citations.md] [--details]`.

Over benchmarks/data/citations.jsonl: sentences with the passage they cite, of which some hold (quotes, paraphrases,
translations) and some do not (another passage on the same matter, changed numbers, swapped names, denials, more than
is said). Counted are those marked: of the sentences that hold it should be none, of the others all. `words` is the
check without a model. Time is that of a whole answer of six sentences over passages that were never seen before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.cached import CACHE, Remembering
from coach_core.search import meaning, support
from coach_core.search.meaning import Embedder
from coach_core.search.support import Score
from coach_core.turn.hold import check
from coach_core.types import Citation

DATA = Path(__file__).parent / "data" / "citations.jsonl"
KINDS = {
    "quote": "a quote, letter by letter",
    "paraphrase": "said in other words",
    "translated": "said in another language",
    "number": "a number changed",
    "negation": "denied, or turned round",
    "name": "a name that is not there",
    "more": "more than the passage says",
    "other passage": "another passage on the same matter",
}
_ANSWER = 6  # sentences of the answer whose check is timed
_MARKS = ("<!-- citations -->", "<!-- /citations -->")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks citations", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--details", action="store_true", help="each sentence that was told wrongly")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    chosen = parser.parse_args(arguments)
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as home:
        models = CACHE / "models"
        embedder = meaning.open_embedder(models.parent if models.exists() else Path(home), "")
        result = measure(rows, embedder, details=chosen.details)
    if chosen.write:
        _put_table(chosen.write, result)
    print(json.dumps(result, indent=2, ensure_ascii=False))


def measure(rows: Sequence[Any], embedder: Embedder, *, details: bool = False) -> dict[str, Any]:
    score = scorer(Remembering(embedder))
    told = {"meaning": [_marked(row, score) for row in rows], "words": [_marked(row, None) for row in rows]}
    out: dict[str, Any] = {"sentences": len(rows), "embedder": embedder.name}
    for name, marked in told.items():
        out[name] = {kind: _share(rows, marked, lambda r, k=kind: r["kind"] == k) for kind in KINDS}
        out[name]["false alarms"] = _share(rows, marked, lambda r: r["holds"])
        out[name]["caught"] = _share(rows, marked, lambda r: not r["holds"])
        right = sum(bool(m) for r, m in zip(rows, marked, strict=True) if not r["holds"])
        out[name]["precision"] = round(right / max(1, sum(map(bool, marked))), 3)
    out["milliseconds"] = _times(rows, embedder)
    if details:
        out["wrong"] = [
            {k: row[k] for k in ("id", "kind", "lang", "sentence")}
            for row, marked in zip(rows, told["meaning"], strict=True)
            if bool(marked) == row["holds"]
        ]
    return out


def scorer(embedder: Any) -> Score:
    @lru_cache(maxsize=4096)
    def asked(text: str) -> Any:
        return embedder.query(text)

    return lambda sentence, texts: [float(c) for c in embedder.passages(list(texts)) @ asked(sentence)]


def _marked(row: Any, score: Score | None) -> bool | None:
    """Whether the sentence is marked; None where it was not checked."""
    found = support.weigh(row["sentence"], row["passage"], score, about=f"{row['title']} {row['section']}")
    return None if found is None else not found.holds


def _share(rows: Sequence[Any], marked: Sequence[bool | None], which: Callable[[Any], bool]) -> dict[str, Any]:
    chosen = [m for r, m in zip(rows, marked, strict=True) if which(r)]
    return {"of": len(chosen), "marked": round(sum(bool(m) for m in chosen) / max(1, len(chosen)), 3)}


def _times(rows: Sequence[Any], embedder: Embedder) -> dict[str, float]:
    """Milliseconds of one answer's check, on the clock (longer on a busy machine) and of the processor.

    Each is over passages that were not embedded before, as in a fresh turn.
    """
    holding = [r for r in rows if r["kind"] in {"quote", "paraphrase"}]
    known: dict[str, Any] = {}

    def passages(texts: Sequence[str]) -> Any:
        import numpy as np

        new = [t for t in texts if t not in known]
        known.update(zip(new, embedder.passages(new), strict=True) if new else ())
        return np.stack([known[t] for t in texts])

    score: Score = lambda sentence, texts: [float(c) for c in passages(texts) @ embedder.query(sentence)]  # noqa: E731
    support.nearness("One sentence.", ("Another one.",), score)  # what is embedded once a process
    spent: list[float] = []
    worked: list[float] = []
    for at in range(0, len(holding) - _ANSWER, _ANSWER):
        few = holding[at : at + _ANSWER]
        cited = [Citation(n, r["title"], r["passage"]) for n, r in enumerate(few, 1)]
        answer = " ".join(f"{r['sentence'].rstrip('.')} [{n}]." for n, r in enumerate(few, 1))
        began, busy = time.perf_counter(), time.process_time()
        check(answer, cited, score)
        spent.append((time.perf_counter() - began) * 1000)
        worked.append((time.process_time() - busy) * 1000)
    cuts = statistics.quantiles(spent, n=20)
    median = statistics.median
    return {"p50": round(median(spent), 1), "p95": round(cuts[-1], 1), "processor_p50": round(median(worked), 1)}


def _put_table(file: Path, result: Any) -> None:
    names = {"meaning": "with the model", "words": "by words alone"}
    lines = [
        "| sentence | how many | " + " | ".join(f"marked, {n}" for n in names.values()) + " |",
        "|:--|--:|--:|--:|",
    ]
    lines += [
        f"| {said} | {result['meaning'][kind]['of']} | "
        + " | ".join(f"{result[name][kind]['marked']:.0%}" for name in names)
        + " |"
        for kind, said in {**KINDS, "false alarms": "**all that hold**", "caught": "**all that do not**"}.items()
    ]
    spent = result["milliseconds"]
    lines += [
        "",
        f"To check an answer of {_ANSWER} sentences with a source each takes {spent['processor_p50']:.0f} ms of the "
        "processor in the median.",
    ]
    text = file.read_text(encoding="utf-8")
    head, _, rest = text.partition(_MARKS[0])
    tail = rest.partition(_MARKS[1])[2]
    file.write_text(f"{head}{_MARKS[0]}\n" + "\n".join(lines) + f"\n{_MARKS[1]}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
