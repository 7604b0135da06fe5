"""What an adapter sent, held against the API's own description and against what the recording said.

Invariant: a body is right when it follows the schema of its path, has no key that the schema does not
name, and says all that the recorded one said, in its order, with the same tools and the same form.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from tests.replay.recorded import json_object
from tests.replay.spoken import Media, Saying, form, sayings, tools

_SPEC = Path(__file__).parents[1] / "data" / "spec" / "requests.json"
_LONGEST = 300


def faults_of(path: str, body: Any, like: Any = None) -> list[str]:
    """Why `body` is no request for `path` (as the description spells it); empty when it is one.

    What the recorded body `like` says in the same words is no fault of ours: servers take more than is described.
    """
    described = _described()
    if path not in described["paths"]:
        return [f"the description has no body for {path}"]
    errors = [e for e in _validator(path).iter_errors(body) if not _said_alike(e, like)]
    wrong = best_match(errors)
    faults = [_told(wrong)] if wrong else []
    unknown = sorted(set(body) - _names(described["paths"][path])) if isinstance(body, dict) else []
    return faults + [f"{name}: no such key" for name in unknown]


def _said_alike(wrong: ValidationError, like: Any) -> bool:
    deepest = best_match([wrong])
    if like is None or deepest is None or not deepest.absolute_path:
        return False
    return _holds(like, deepest.absolute_path[-1], deepest.instance)


def _holds(value: Any, key: Any, wanted: Any) -> bool:
    """Whether `wanted` stands under `key` anywhere in `value`."""
    if isinstance(value, dict):
        return (key in value and value[key] == wanted) or any(_holds(v, key, wanted) for v in value.values())
    return isinstance(value, list) and any(_holds(v, key, wanted) for v in value)


@cache
def _described() -> dict[str, Any]:
    return json.loads(_SPEC.read_text(encoding="utf-8"))


@cache
def _validator(path: str) -> Draft202012Validator:
    described = _described()
    return Draft202012Validator({"schemas": described["schemas"], "allOf": [described["paths"][path]]})


def _names(schema: dict[str, Any]) -> set[str]:
    """The keys that a schema names, over all it is made of."""
    if "$ref" in schema:
        return _names(_described()["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    out = set(schema.get("properties", ()))
    for key in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(key, ()):
            out |= _names(part)
    return out


def _told(wrong: ValidationError) -> str:
    where = ".".join(str(p) for p in wrong.absolute_path) or "the body"
    return f"{where}: {wrong.message}"[:_LONGEST]


def left_out(recorded: Sequence[Saying], sent: Iterable[Any]) -> Iterator[str]:
    """What the recording said and the bodies sent, one after the other, do not say at its place."""
    told = [saying for body in sent for saying in sayings(body)]
    system = "\n".join(s.text for s in told if s.role == "system")
    spoken = [s for s in told if s.role != "system"]
    at, offset = 0, 0
    for saying in recorded:
        if saying.role == "system":
            yield from (f"instructions: {p[:80]!r}" for p in saying.pieces if isinstance(p, str) and p not in system)
            continue
        for piece in saying.pieces:
            found = _find(saying, piece, spoken, at, offset)
            if found is None:
                yield f"{saying.role}: {piece[:80] if isinstance(piece, str) else piece.kind!r}"
            else:
                at, offset = found


def _find(saying: Saying, piece: str | Media, spoken: list[Saying], at: int, offset: int) -> tuple[int, int] | None:
    for place in range(at, len(spoken)):
        other = spoken[place]
        if other.role != saying.role:
            continue
        start = offset if place == at else 0
        if isinstance(piece, Media):
            if _shown(piece, other):
                return place, start
        elif saying.role == "call":
            if other.name == saying.name and _same(piece, other.text) and (place, start) != (at, 1):
                return place, 1
        elif (found := other.text.find(piece, start)) >= 0:
            return place, found + len(piece)
    return None


def _same(one: str, other: str) -> bool:
    left, right = json_object(one or "{}"), json_object(other)
    return left == right if left is not None else right is not None and one in right.values()


def _shown(media: Media, other: Saying) -> bool:
    """Whether the image or file is there; what the app cannot send is at least spoken of."""
    if not media.url or media.kind == "audio":
        return True
    kind = media.url[5:].split(";")[0].split(",")[0] if media.url.startswith("data:") else ""
    if kind in ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"):
        tail = media.url.rpartition(",")[2].rstrip("=")[:2000]
        return any(isinstance(p, Media) and p.url.rpartition(",")[2].startswith(tail) for p in other.pieces)
    return bool(kind) or media.url in other.text


def not_offered(recorded: Any, sent: Any) -> Iterator[str]:
    """The tools and the form of the recording that the body does not carry."""
    offered = {t.name: t for t in tools(sent)}
    for tool in tools(recorded):
        got = offered.get(tool.name)
        if got is None or got.parameters != tool.parameters or got.description != tool.description:
            yield f"tool {tool.name}"
    wanted = form(recorded)
    if wanted is not None and form(sent) != wanted:
        yield f"the form of the answer: {json.dumps(form(sent))[:120]}"
