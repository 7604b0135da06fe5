"""Whether signs of acute crisis in a message are seen, and only there: `python -m benchmarks care FILE...`.

Each FILE holds a JSON object a line: text, lang, label (crisis or none), kind, note. `shipped` are the package's
weights, fitted to our own sentences alone (benchmarks/data/care_train.jsonl); `cross_validated` are five, fitted to
these and to four fifths of the lines each, judging the other fifth (with --cross). `--train` fits the weights anew to
our own sentences; FILEs then give one number only, the limit, and it is said where a FILE is judged that gave it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cached import CACHE
from coach_core import care
from coach_core.coach.caring import Senses

OWN = Path(__file__).parent / "data" / "care_train.jsonl"
_FOLDS = 5
_FALSE_ALARMS = 0.105  # the share that the limit is set to
_LIMITS = ("limit", "doubt")
Item = dict[str, Any]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks care", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--train", action="store_true", help="fit the weights that the package carries, and write them")
    parser.add_argument("--cross", action="store_true", help="also cross-validate, which takes some minutes")
    parser.add_argument("--wrong", action="store_true", help="list the ids of what was judged wrongly")
    chosen = parser.parse_args(arguments)
    items = [i for file in chosen.files for i in read(file)]
    if chosen.train:
        train(items)
    if items:
        print(json.dumps(measure(items, cross=chosen.cross, wrong=chosen.wrong), indent=2, ensure_ascii=False))


def read(file: Path) -> list[Item]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def measure(items: Sequence[Item], *, cross: bool = False, wrong: bool = False) -> dict[str, Any]:
    made, weights = features(items), dict(np.load(care.WEIGHTS))
    gave = set(weights["limit_from"]) & {digest(i["text"]) for i in items}
    out: dict[str, Any] = {"items": len(items), "of_these_gave_the_limit": len(gave)}
    began = time.perf_counter()
    flagged = levels(weights, items, made)
    out["milliseconds_beyond_embedding"] = round((time.perf_counter() - began) * 1000 / max(1, len(items)), 2)
    out["shipped"] = report(items, flagged, wrong=wrong)
    if cross:
        own = read(OWN)
        out["cross_validated"] = report(items, crossed(items, made, own, features(own), weights))
    out["rules"] = report(items, [care.by_rules(i["text"]).level == "crisis" for i in items])
    return out


def report(items: Sequence[Item], flagged: Sequence[bool], *, wrong: bool = False) -> dict[str, Any]:
    def share(which: Sequence[bool]) -> float | None:
        hits = [f for f, w in zip(flagged, which, strict=True) if w]
        return round(sum(hits) / len(hits), 3) if hits else None

    crisis = [i["label"] == "crisis" for i in items]
    none = [not c for c in crisis]
    languages = sorted({i["lang"] for i in items})
    kinds = sorted({i["kind"] for i in items})
    out: dict[str, Any] = {
        "recall": share(crisis),
        "false_alarms": share(none),
        "by_language": {
            lang: {
                "recall": share([c and i["lang"] == lang for c, i in zip(crisis, items, strict=True)]),
                "false_alarms": share([n and i["lang"] == lang for n, i in zip(none, items, strict=True)]),
            }
            for lang in languages
        },
        "recall_indirect": share([c and "indirect" in i.get("note", "") for c, i in zip(crisis, items, strict=True)]),
        "by_kind": {k: share([i["kind"] == k for i in items]) for k in kinds},
    }
    if wrong:
        out["wrong"] = [i.get("id") for i, f, c in zip(items, flagged, crisis, strict=True) if f != c]
    return out


def levels(weights: Mapping[str, Any], items: Sequence[Item], made: Sequence[Mapping[str, Any]]) -> list[bool]:
    out: list[bool] = []
    for item, m in zip(items, made, strict=True):
        judge = care.Judge(lambda _p, _l, m=m: m, weights)
        out.append(judge.judge(item["text"], item["lang"]).level == "crisis")
    return out


def features(items: Sequence[Item]) -> list[dict[str, Any]]:
    """What the models of meaning make of each message's pieces, remembered in .cache."""
    file = CACHE / "care.npz"
    known: dict[str, Any] = dict(np.load(file)) if file.exists() else {}
    senses, out, fresh = None, [], False
    for number, item in enumerate(items):
        key = digest(f"{item['lang']}\0{item['text']}")
        if f"{key}.layers" not in known:
            senses = senses or Senses(CACHE, wait=600.0)
            fresh = True
            for name, rows in senses(care.pieces(item["text"]), item["lang"]).items():
                known[f"{key}.{name}"] = rows.astype(np.float16)
            if number % 100 == 99:
                print(f"{number + 1} of {len(items)}", file=sys.stderr)
        names = [n for n in ("layers", "english") if f"{key}.{n}" in known]
        out.append({n: known[f"{key}.{n}"].astype(np.float32) for n in names})
    if fresh:
        print(file=sys.stderr)
        np.savez(file, **known)
    return out


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# -- fitting --------------------------------------------------------------------------------------------


def fitted(items: Sequence[Item], made: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Weights: a logistic regression a model, on the piece of each message that shows most."""
    weights: dict[str, Any] = {}
    crisis = [i["label"] == "crisis" for i in items]
    parts = [care.signs(care.pieces(i["text"])) for i in items]
    for name, strength in (("layers", 0.03), ("english", 0.05)):
        bags = [(np.c_[m[name], s], c) for m, s, c in zip(made, parts, crisis, strict=True) if name in m]
        if len(bags) < 50:
            continue
        rows = np.concatenate([b for b, _ in bags])
        mean, dim = rows.mean(0), rows.shape[1] - parts[0].shape[1]
        scale = np.full(rows.shape[1], 0.15)
        blocks = dim // 384
        for block in range(blocks):
            span = slice(384 * block, 384 * (block + 1))
            scale[span] = 0.45 / np.sqrt(((rows[:, span] - mean[span]) ** 2).sum(1).mean())
        w = _regression([((b - mean) * scale, c) for b, c in bags], strength)
        scores = np.array([(((b - mean) * scale) @ w[:-1] + w[-1]).max() for b, _ in bags])
        one = {"mean": mean, "scale": scale, "w": w[:-1], "b": w[-1], "at": scores.mean(), "by": scores.std()}
        weights |= {f"{name}_{k}": np.asarray(v, np.float32) for k, v in one.items()}
    return weights


def _folds(items: Sequence[Item], seed: int = 0) -> Any:
    """The fold of each item: a fifth of each language's crisis and other items in each."""
    rng, fold = np.random.default_rng(seed), np.zeros(len(items), int)
    for group in sorted({(i["lang"], i["label"]) for i in items}):
        places = np.array([n for n, i in enumerate(items) if (i["lang"], i["label"]) == group])
        rng.shuffle(places)
        fold[places] = np.arange(len(places)) % _FOLDS
    return fold


def crossed(
    items: Sequence[Item], made: Any, own: Sequence[Item], made_own: Any, shipped: Mapping[str, Any]
) -> list[bool]:
    """Whether each item is flagged by weights that were fitted without its fold, at the limit that is shipped."""
    fold, flagged = _folds(items), [False] * len(items)
    for k in range(_FOLDS):
        rest = [i for i in range(len(items)) if fold[i] != k]
        weights = fitted([*own, *(items[i] for i in rest)], [*made_own, *(made[i] for i in rest)])
        weights |= {name: shipped[name] for name in _LIMITS}
        test = [int(i) for i in np.flatnonzero(fold == k)]
        for i, hit in zip(test, levels(weights, [items[i] for i in test], [made[i] for i in test]), strict=True):
            flagged[i] = hit
        print(f"fold {k + 1} of {_FOLDS}", file=sys.stderr)
    return flagged


def train(items: Sequence[Item]) -> None:
    own = read(OWN)
    weights = fitted(own, features(own))
    none = [i for i in items if i["label"] == "none"] or [i for i in own if i["label"] == "none"]
    parts = [care.pieces(i["text"]) for i in none]
    scores = [care.told(care.rated(weights, m, p)) for m, p in zip(features(none), parts, strict=True)]
    limit = float(np.quantile(scores, 1 - _FALSE_ALARMS, method="lower")) + 1e-4  # just above the last that is let go
    weights |= {"limit": np.float32(limit), "doubt": np.float32(limit - np.quantile(scores, 0.4))}
    weights["limit_from"] = np.array([digest(i["text"]) for i in items], dtype="U16")
    np.savez_compressed(care.WEIGHTS, **weights)
    print(f"written: {care.WEIGHTS.name}, {care.WEIGHTS.stat().st_size:,} bytes", file=sys.stderr)


def _regression(bags: Sequence[tuple[Any, bool]], strength: float) -> Any:
    picked = [[len(x) - 1] if c else list(range(len(x))) for x, c in bags]
    w = np.zeros(bags[0][0].shape[1] + 1)
    for _ in range(3):
        x = np.concatenate([b[p] for (b, _), p in zip(bags, picked, strict=True)])
        y = np.concatenate([[float(c)] * len(p) for (_, c), p in zip(bags, picked, strict=True)])
        share = np.concatenate([[len(p) ** -0.5] * len(p) for p in picked])
        w = _newton(np.c_[x, np.ones(len(x))], y, share, strength)
        picked = [[int(np.argmax(b @ w[:-1]))] if c else p for (b, c), p in zip(bags, picked, strict=True)]
    return w


def _newton(x: Any, y: Any, share: Any, strength: float) -> Any:
    w = np.zeros(x.shape[1])
    ridge = np.full(x.shape[1], strength)
    ridge[-1] = 1e-6
    for _ in range(12):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        slope = x.T @ (share * (p - y)) + ridge * w
        step = np.linalg.solve((x * (share * p * (1 - p))[:, None]).T @ x + np.diag(ridge), slope)
        w -= step
        if np.abs(step).max() < 1e-5:
            break
    return w
