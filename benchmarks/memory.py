"""Whether old talks come to mind again: `python -m benchmarks memory FILE...`.

FILE holds conversations in LoCoMo's shape, a list of samples (or one, or {"samples": [...]}): `conversation` with
session_1, session_2 ... (lists of {speaker, dia_id, text}) and session_1_date_time ..., and `qa` with question, answer,
evidence (ids of turns) and category. Each conversation becomes the threads of a client in an empty home, a session a
thread; its first speaker is the person, the other answers. Facts are read by the app's own rules, approved, embedded
by the app's own job and recalled by the app's own recall, with no more tokens than a tenth of the whole history. A
memory counts as the turns it is linked to, old turns as those that are told.

Printed are the mean share of a question's evidence among the first 5, 10 and 20 that are recalled, the tokens told
against those of the whole history, and the times; beside it plain BM25 over turns (k1 1.2, b 0.75, the app's own
tokens) and the bundled model alone. Questions without evidence are left out, as are those of category 5, whose answer
is not there.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from sqlalchemy import Connection

from benchmarks import tables
from benchmarks.answers import machine
from benchmarks.cached import CACHE, Remembering
from coach_core import tokens
from coach_core.coach.remembering import Remembering as Remembers
from coach_core.coach.remembering import Ways
from coach_core.memory import rendering
from coach_core.memory.recalling import Recaller
from coach_core.search import english, finder, meaning, words
from coach_core.store import Database, clients, personas, threads, users
from coach_core.store import text as fulltext
from coach_core.store.messages import MESSAGES, storable
from coach_core.store.threads import THREADS
from coach_core.types import Actor, ClientDraft, Message, Part, PersonaDraft, Whose, new_id

TOPS = (5, 10, 20)
SHARE = 0.1
_UNANSWERABLE = 5
_DATES = (
    "%I:%M %p on %d %B, %Y",
    "%I:%M %p on %d %B %Y",
    "%d %B, %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d",
    "%Y/%m/%d (%a) %H:%M",
    "%Y/%m/%d",
)


@dataclass(frozen=True)
class Said:
    session: int
    at: datetime
    speaker: str
    id: str
    text: str

    @property
    def whole(self) -> str:
        return f"{self.speaker}: {self.text}"


@dataclass(frozen=True)
class Question:
    text: str
    evidence: tuple[str, ...]
    category: str


@dataclass(frozen=True)
class Sample:
    name: str
    turns: tuple[Said, ...]
    questions: tuple[Question, ...]


@dataclass
class Found:
    """Shares of evidence by number of items, and tokens told against the history's."""

    shares: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    told: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, k: int, evidence: Sequence[str], got: set[str], told: float) -> None:
        self.shares[k].append(sum(e in got for e in evidence) / len(evidence))
        self.told[k].append(told)

    def summary(self) -> dict[str, Any]:
        return {
            f"@{k}": {"recall": round(fmean(self.shares[k]), 4), "tokens": round(fmean(self.told[k]), 4)} for k in TOPS
        }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--one-model", action="store_true", help="without the English model beside the bundled one")
    parser.add_argument("--no-facts", action="store_true", help="old turns alone, without facts read from them")
    parser.add_argument("--most", type=int, default=0, help="at most so many samples of each file")
    parser.add_argument("--misses", action="store_true", help="also the questions whose evidence is not among ten")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    chosen = parser.parse_args(arguments)
    models = [Remembering(meaning.open_embedder(CACHE, ""))]
    if not chosen.one_model and english.there():
        models.append(Remembering(english.open_english()))
    result: dict[str, Any] = {"machine": machine(), "models": [m.name for m in models], "files": {}}
    for file in chosen.files:
        samples = read(file)[: chosen.most or None]
        result["files"][file.stem] = measure(samples, models, facts=not chosen.no_facts, misses=chosen.misses)
    if chosen.write:
        tables.put(chosen.write, "memory", table(result))
    print(json.dumps(result, indent=2, ensure_ascii=False))


# -- reading ----------------------------------------------------------------------------------------------


def read(file: Path) -> list[Sample]:
    """The samples of a file, whatever variant of the shape it has."""
    text = file.read_text("utf-8")
    try:
        data: Any = json.loads(text)
    except ValueError:
        data = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(data, dict):
        data = data.get("samples") or data.get("data") or ([data] if "conversation" in data else list(data.values()))
    samples = [_sample(s, n) for n, s in enumerate(data, 1) if isinstance(s, dict)]
    if not samples:
        sys.exit(f"{file.name} holds no conversation in LoCoMo's shape.")
    return samples


def _sample(data: Mapping[str, Any], number: int) -> Sample:
    conversation = data.get("conversation") or data
    keys = {int(m[1]): k for k in conversation if (m := re.fullmatch(r"session_(\d+)", k))}
    told: list[Said] = []
    last = datetime(2023, 1, 1, tzinfo=UTC)
    for session in sorted(keys):
        given = conversation.get(f"session_{session}_date_time") or conversation.get(f"session_{session}_date")
        at = last = when(given) or last + timedelta(days=1)
        for place, turn in enumerate(conversation[keys[session]] or (), 1):
            text = str(turn.get("text") or turn.get("clean_text") or turn.get("compressed_text") or "")
            caption = turn.get("blip_caption")
            text += f" [shares {caption}]" if caption else ""
            name = str(turn.get("dia_id") or f"D{session}:{place}")
            told.append(Said(session, at, str(turn.get("speaker", "")), ids(name)[0] if ids(name) else name, text))
    known = {t.id for t in told}
    questions: list[Question] = []
    for asked in data.get("qa") or data.get("questions") or ():
        given = asked.get("evidence") or ()
        found = [i for e in ([given] if isinstance(given, str) else given) for i in ids(str(e)) if i in known]
        category = str(asked.get("category", ""))
        if found and asked.get("question") and category != str(_UNANSWERABLE):
            questions.append(Question(str(asked["question"]), tuple(dict.fromkeys(found)), category))
    return Sample(str(data.get("sample_id") or number), tuple(told), tuple(questions))


def ids(text: str) -> list[str]:
    """The turns that a piece of evidence names: "D8:6; D9:17" are two, "D:11:26" and "D30:05" are slips."""
    return [f"D{int(a)}:{int(b)}" for a, b in re.findall(r"D:?(\d+):(\d+)", text)] or ([text] if text else [])


def when(text: Any) -> datetime | None:
    for form in _DATES:
        try:
            return datetime.strptime(" ".join(str(text).split()), form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


# -- measuring --------------------------------------------------------------------------------------------


def measure(samples: Sequence[Sample], models: Sequence[Any], *, facts: bool, misses: bool) -> dict[str, Any]:
    ours, bm25, dense = Found(), Found(), Found()
    by_category: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    took: list[float] = []
    right: list[float] = []
    helped: list[float] = []
    missed: list[dict[str, Any]] = []
    kept = 0
    for sample in samples:
        costs = {t.id: tokens.count(t.whole) + 1 for t in sample.turns}
        whole = sum(costs.values())
        rankers = {"bm25": (bm25, _bm25(sample)), "meaning": (dense, _meaning(sample, models[0]))}
        with tempfile.TemporaryDirectory() as home:
            talk = Talks(Path(home), sample, models, facts=facts)
            kept += talk.kept
            for question in sample.questions:
                for k in TOPS:
                    started = time.perf_counter()
                    got, told = talk.recall(question.text, k, int(SHARE * whole))
                    took += [(time.perf_counter() - started) * 1000] if k == 10 else []
                    ours.add(k, question.evidence, got, told / whole)
                    for found, rank in rankers.values():
                        first = rank(question.text)[:k]
                        found.add(k, question.evidence, set(first), sum(costs[i] for i in first) / whole)
                told = talk.told(question.text)
                holds = [bool(set(question.evidence) & ids) for ids in told]
                right += holds
                helped.append(any(holds))
                at = by_category[question.category or "?"]
                at["ours"].append(ours.shares[10][-1])
                at["bm25"].append(bm25.shares[10][-1])
                if misses and ours.shares[10][-1] < 1:
                    missed.append({"sample": sample.name, "question": question.text, "evidence": question.evidence})
            talk.close()
        _say(f"{sample.name}: recall@10 {fmean(ours.shares[10]):.3f}, BM25 {fmean(bm25.shares[10]):.3f} so far")
    took.sort()
    best, plain = fmean(ours.shares[10]), fmean(bm25.shares[10])
    out: dict[str, Any] = {
        "samples": len(samples),
        "turns": sum(len(s.turns) for s in samples),
        "questions": sum(len(s.questions) for s in samples),
        "facts": kept,
        "recalled": ours.summary(),
        "bm25": bm25.summary(),
        "meaning": dense.summary(),
        "above_bm25@10": round(best / plain - 1, 4) if plain else None,
        "judged_right": round(fmean(right), 4) if right else None,
        "questions_helped": round(fmean(helped), 4),
        "told_a_question": round(len(right) / len(helped), 2),
        "p50_ms": round(took[len(took) // 2], 1),
        "p95_ms": round(took[min(len(took) - 1, int(0.95 * len(took)))], 1),
        "by_category@10": {
            c: {"questions": len(v["ours"]), "recalled": round(fmean(v["ours"]), 4), "bm25": round(fmean(v["bm25"]), 4)}
            for c, v in sorted(by_category.items())
        },
    }
    return out | ({"missed": missed} if misses else {})


class Talks:
    """A sample as the threads of a client, with what the app makes of them."""

    def __init__(self, home: Path, sample: Sample, models: Sequence[Any], *, facts: bool) -> None:
        self._db = Database.open(f"sqlite:///{home}/coach.db", home)
        owner = users.ensure_owner(self._db)
        self._me = Actor(owner.id, owner.role, owner.name)
        persona = personas.save(self._db, "benchmark", PersonaDraft("Coach"))
        client = clients.save(self._db, self._me, ClientDraft(sample.turns[0].speaker, memory_mode="automatic"))
        self._whose = Whose(owner.id, client.id)
        self._last = max(t.at for t in sample.turns)
        self._ids: dict[UUID, str] = {}
        sides = [finder.Side(m, english.LANGUAGES if n else ()) for n, m in enumerate(models)]
        self._recaller = Recaller(self._db, lambda text, _: _asked(sides, text))
        remembers = Remembers(self._db, self._recaller, Ways, None, lambda: ())  # type: ignore[arg-type]
        self.kept = 0
        for session in sorted({t.session for t in sample.turns}):
            thread = threads.create(self._db, self._me, persona.id, client_id=client.id)
            told = [t for t in sample.turns if t.session == session]
            stored = _store(self._db, thread.id, told, sample.turns[0].speaker)
            self._ids |= {m.id: t.id for m, t in zip(stored, told, strict=True)}
            for message, turn in zip(stored, told, strict=True) if facts else ():
                if message.speaker == "user":
                    self.kept += len(remembers.propose(self._me, thread, replace(message, text=turn.text)))
        embed = Remembers(self._db, self._recaller, Ways, None, lambda: models)  # type: ignore[arg-type]
        embed.embed(lambda _: False)

    def recall(self, question: str, k: int, budget: int) -> tuple[set[str], int]:
        found = self._recaller.recall(
            self._me,
            self._whose,
            question,
            k=k,
            budget=max(budget, rendering.cost_of_head() + 20),
            moment=self._last,
            everything=True,
        )
        return {self._ids[i] for item in found.items for i in item.message_ids}, found.tokens

    def told(self, question: str) -> list[set[str]]:
        """The turns behind each thing told at the app's own settings."""
        found = self._recaller.recall(self._me, self._whose, question, moment=self._last)
        return [{self._ids[i] for i in item.message_ids} for item in found.items]

    def close(self) -> None:
        self._db.close()


def _store(db: Database, thread_id: UUID, told: Sequence[Said], person: str) -> list[Message]:
    """A session as the messages of a thread, at the time it took place."""
    out: list[Message] = []
    for place, said in enumerate(told):
        speaker = "user" if said.speaker == person else "assistant"
        at = said.at + timedelta(seconds=place)
        parts, parent = (Part("text", said.whole),), out[-1].id if out else None
        out.append(Message(new_id(), thread_id, parent, speaker, parts, said.whole, "complete", at))

    def work(connection: Connection) -> None:
        for m in out:
            values = {"id": m.id, "thread_id": thread_id, "parent_id": m.parent_id, "speaker": m.speaker}
            values |= {"text": m.text, "parts": storable(m.parts), "status": m.status, "created_at": m.created_at}
            connection.execute(sa.insert(MESSAGES).values(**values))
            fulltext.index(connection, thread_id, m.id, m.text)
        end = {"head_id": out[-1].id, "updated_at": out[-1].created_at} if out else {}
        if end:
            connection.execute(sa.update(THREADS).where(THREADS.c.id == thread_id).values(**end))

    db.write(work).result()
    return out


def _asked(sides: Sequence[finder.Side], text: str) -> list[finder.Asked]:
    language = words.language_of(text)
    return [finder.Asked(side, side.embedder.query(text)) for side in sides if side.speaks(language)]


# -- beside -----------------------------------------------------------------------------------------------


def _bm25(sample: Sample) -> Callable[[str], list[str]]:
    """Plain BM25 over turns."""
    counts = [Counter(words.tokenise(t.whole).split()) for t in sample.turns]
    lengths = [sum(c.values()) for c in counts]
    mean, total = fmean(lengths), len(counts)
    holding = Counter(token for c in counts for token in c)

    def rank(question: str) -> list[str]:
        asked = words.query_words(question)
        scores = [0.0] * total
        for at, count in enumerate(counts):
            norm = 1.2 * (1 - 0.75 + 0.75 * lengths[at] / mean)
            for token in asked:
                if n := count.get(token, 0):
                    idf = math.log(1 + (total - holding[token] + 0.5) / (holding[token] + 0.5))
                    scores[at] += idf * n * 2.2 / (n + norm)
        order = sorted(range(total), key=lambda i: (-scores[i], i))
        return [sample.turns[i].id for i in order]

    return rank


def _meaning(sample: Sample, model: Any) -> Callable[[str], list[str]]:
    """The bundled model alone."""
    rows = model.passages([t.whole for t in sample.turns])

    def rank(question: str) -> list[str]:
        order = np.argsort(-(rows @ model.query(question)), kind="stable")
        return [sample.turns[int(i)].id for i in order]

    return rank


# -- telling ----------------------------------------------------------------------------------------------


def table(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    out = [
        "| | questions | evidence in 5 | in 10 | in 20 | tokens of 10 | p95 ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, found in result["files"].items():
        for way, label in (("recalled", "this app"), ("bm25", "BM25 over turns"), ("meaning", "the model alone")):
            cells = [f"{found[way][f'@{k}']['recall']:.3f}" for k in TOPS]
            cells.append(f"{found[way]['@10']['tokens']:.1%}")
            cells.append(f"{found['p95_ms']:g}" if way == "recalled" else "")
            out.append(f"| {name}, {label} | {found['questions']} | " + " | ".join(cells) + " |")
    judged = "; ".join(
        f"{name} {f['judged_right']:.0%} of {f['told_a_question']:g} a question, in {f['questions_helped']:.0%} of them"
        for name, f in result["files"].items()
    )
    facts = f"Machine: {result['machine']}. Models: {', '.join(result['models'])}."
    return "\n".join([*out, "", f"Judged right at the app's own settings: {judged}.", "", facts])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
