"""Cut the schemas of the request bodies that our adapters send out of the API's whole description (3.4 MB).

    python -m tests.replay.extract ../shared/data/spec/openapi.json

Invariant: the result says of a body what the description says: only words (descriptions, examples) are
left out, what OpenAPI spells its own way (`nullable`, `$recursiveRef`) is put as JSON Schema 2020-12, and
`oneOf` is read as `anyOf`: the description's alternatives overlap, so that its own examples match two.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "data" / "spec" / "requests.json"
_PATHS = (
    "/chat/completions",
    "/responses",
    "/conversations",
    "/conversations/{conversation_id}/items",
    "/assistants",
    "/assistants/{assistant_id}",
    "/threads",
    "/threads/runs",
    "/threads/{thread_id}",
    "/threads/{thread_id}/messages",
    "/threads/{thread_id}/runs",
    "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
    "/vector_stores",
    "/vector_stores/{vector_store_id}/files",
    "/vector_stores/{vector_store_id}/file_batches",
)
_WORDS = frozenset({"description", "example", "examples", "title", "externalDocs", "deprecated", "default"})
_OPENAPI = frozenset({"nullable", "discriminator", "$recursiveAnchor"})
_OF_NAMES = frozenset({"properties", "patternProperties", "$defs"})


def extract(spec: dict[str, Any]) -> dict[str, Any]:
    all_of_them = spec["components"]["schemas"]
    paths = {path: _plain(_body_of(spec, path)) for path in _PATHS}
    schemas: dict[str, Any] = {}
    todo = [name for schema in paths.values() for name in _referred(schema)]
    while todo:
        name = todo.pop()
        if name not in schemas:
            schemas[name] = _plain(all_of_them[name], name)
            todo += _referred(schemas[name])
    info = spec["info"]
    return {
        "from": f"{info['title']} {info['version']}, OpenAPI {spec['openapi']}",
        "licence": info["license"]["name"],
        "paths": paths,
        "schemas": dict(sorted(schemas.items())),
    }


def _body_of(spec: dict[str, Any], path: str) -> Any:
    return spec["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]


def _referred(schema: Any) -> Iterator[str]:
    match schema:
        case {"$ref": str(ref)}:
            yield ref.rsplit("/", 1)[-1]
        case dict():
            for value in schema.values():
                yield from _referred(value)
        case list():
            for value in schema:
                yield from _referred(value)
        case _:
            pass


def _plain(schema: Any, of: str = "", *, names: bool = False) -> Any:
    """`schema` without words, in JSON Schema's own spelling. `names`: its keys are properties' names."""
    if isinstance(schema, list):
        return [_plain(s, of) for s in schema]
    if not isinstance(schema, dict):
        return schema
    if names:
        return {k: _plain(v, of) for k, v in schema.items()}
    out = {_any(k): _plain(v, of, names=k in _OF_NAMES) for k, v in schema.items() if _kept(k)}
    if "$recursiveRef" in out:
        return {"$ref": f"#/schemas/{of}"}
    if "$ref" in out:
        out["$ref"] = "#/schemas/" + out["$ref"].rsplit("/", 1)[-1]
    if schema.get("nullable") is True:
        return {"anyOf": [out, {"type": "null"}]}
    return out


def _any(key: str) -> str:
    return "anyOf" if key == "oneOf" else key


def _kept(key: str) -> bool:
    return (
        key not in _WORDS and not key.startswith("x-") and key not in ("nullable", "discriminator", "$recursiveAnchor")
    )


if __name__ == "__main__":
    taken = extract(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    TARGET.write_text(json.dumps(taken, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes, {len(taken['schemas'])} schemas")
