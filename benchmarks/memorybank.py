"""MemoryBank's dialogues in LoCoMo's shape: `python -m benchmarks memorybank DIR OUT.json`.

DIR is a folder with memory_bank_en.json and probing_questions_en.jsonl. Each person is a sample, each day a
session, each question and each answer a turn of its own. MemoryBank names no evidence: data/memorybank_evidence.json
does, made by reading each person's days from end to end and writing down every turn that holds what the question
asks for. Questions that nothing there answers have no evidence and are left out of the measure.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

EVIDENCE = Path(__file__).parent / "data" / "memorybank_evidence.json"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks memorybank", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("out", type=Path, metavar="OUT.json")
    chosen = parser.parse_args(arguments)
    samples = converted(chosen.folder, json.loads(EVIDENCE.read_text("utf-8")))
    chosen.out.write_text(json.dumps(samples, ensure_ascii=False, indent=1), "utf-8")
    asked = sum(len(s["qa"]) for s in samples)
    print(json.dumps({"samples": len(samples), "questions": asked, "file": str(chosen.out)}))


def converted(folder: Path, evidence: dict[str, list[list[str]]]) -> list[dict[str, Any]]:
    people = json.loads((folder / "memory_bank_en.json").read_text("utf-8"))
    asked: dict[str, list[str]] = {}
    for line in (folder / "probing_questions_en.jsonl").read_text("utf-8").splitlines():
        asked |= {name.strip(): questions for name, questions in json.loads(line).items()}
    out: list[dict[str, Any]] = []
    for key, person in people.items():
        name = key.strip()
        conversation: dict[str, Any] = {"speaker_a": name, "speaker_b": "AI companion"}
        for number, (day, said) in enumerate(sorted(person["history"].items()), 1):
            when = date.fromisoformat(day)
            conversation[f"session_{number}_date_time"] = f"10:00 am on {when.day} {when:%B}, {when.year}"
            conversation[f"session_{number}"] = [
                {"speaker": speaker, "dia_id": f"D{number}:{2 * at + side}", "text": text}
                for at, exchange in enumerate(said)
                for side, speaker, text in ((1, name, exchange["query"]), (2, "AI companion", exchange["response"]))
            ]
        qa = [
            {"question": question.strip('"'), "answer": "", "evidence": found, "category": 4}
            for question, found in zip(asked[name], evidence[name], strict=True)
        ]
        out.append({"sample_id": name, "conversation": conversation, "qa": qa})
    return out


if __name__ == "__main__":
    main()
