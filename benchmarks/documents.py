"""How much of a document's text is read, and in which order, beside what others hold to be its text.

Invariant: the truth is Docling's Markdown of the same file (files/docling_docs), read here for its words alone:
marks, links' targets and pictures are no text. `f1` is of words as often as they stand there; `order` is the
share of the words found that stand in the same order.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path
from statistics import mean

from coach_core.errors import FileError
from coach_core.knowledge.loaders import load
from coach_core.knowledge.loaders.markdown import load as load_markdown

DATA = Path(__file__).resolve().parents[2] / "shared/data/files/docling_docs/tests/data"
_WORD = re.compile(r"\w+")
_KINDS = ("docx", "html")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks documents", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DATA, help="with KIND/sources and KIND/groundtruth")
    parser.add_argument("--missing", action="store_true", help="also the words that are missing or too many")
    given = parser.parse_args(arguments)
    found: dict[str, dict[str, object]] = {}
    for kind in _KINDS:
        files = sorted((given.folder / kind / "sources").glob(f"*.{kind}"))
        scores = {f.name: s for f in files if (s := _score(f, given.missing)) is not None}
        if not scores:
            sys.exit(f"{given.folder / kind} holds no sources with a ground truth.")
        found[kind] = {
            "files": len(scores),
            "f1": round(mean(float(str(s["f1"])) for s in scores.values()), 4),
            "order": round(mean(float(str(s["order"])) for s in scores.values()), 4),
            "each": dict(sorted(scores.items(), key=lambda s: float(str(s[1]["f1"])))),
        }
    print(json.dumps(found, indent=2, ensure_ascii=False))


def _score(file: Path, missing: bool) -> dict[str, object] | None:
    truth = file.parents[1] / "groundtruth" / f"{file.name}.md"
    if not truth.exists():
        return None
    print(file.name, file=sys.stderr)
    wanted = _words("\n".join(b.text for b in load_markdown(truth.read_bytes(), truth.name).blocks))
    try:
        said = _words("\n".join(b.text for b in load(file.read_bytes(), file.name).blocks))
    except FileError as error:
        return {"f1": 0.0 if wanted else 1.0, "order": 0.0 if wanted else 1.0, "error": error.sentence}
    one, other = Counter(wanted), Counter(said)
    same = (one & other).total()
    f1 = 2 * same / max(len(wanted) + len(said), 1)
    blocks = SequenceMatcher(None, wanted, said, autojunk=False).get_matching_blocks()
    score: dict[str, object] = {"f1": round(f1, 4), "order": round(sum(b.size for b in blocks) / max(same, 1), 4)}
    if missing:
        score |= {"missing": dict((one - other).most_common(20)), "too many": dict((other - one).most_common(20))}
    return score


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("_", " "))
