"""What `ask` tells of an answer beside its words: whether it is the data asked for, and how to get it again.

Invariant: nothing here is asked of a model; it is read off the turn's own events and its record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coach_core.cli import shell
from coach_core.errors import InputError

if TYPE_CHECKING:
    from coach_core.types import Event, TurnRecord

Schema = Mapping[str, Any]


def read_schema(path: Path | None) -> Schema | None:
    """The JSON Schema in a file. Raises InputError unless it is one."""
    if path is None:
        return None
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    try:
        schema = json.loads(shell.read_file(path).decode("utf-8"))
        if not isinstance(schema, dict):
            raise InputError(f"{path} holds no JSON Schema: it must be an object in braces.")
        if elsewhere := next((r for r in _references(schema) if not r.startswith("#")), ""):
            raise InputError(f"{path} refers to {elsewhere[:80]!r}; a schema may refer to its own parts only.")
        validator_for(schema).check_schema(schema)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text. Save it as UTF-8.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON: {error.msg} in line {error.lineno}.") from None
    except SchemaError as error:
        raise InputError(f"{path} is not a JSON Schema: {_one_line(error.message)}.") from None
    return schema


def departs(text: str, schema: Schema) -> str:
    """Why the answer `text` is not what `schema` asks for, in a sentence; "" when it is."""
    from jsonschema.validators import validator_for

    try:
        value = json.loads(text)
    except ValueError:
        return "The answer is not JSON. Ask again, or choose a backend whose model keeps to a schema."
    checker: Any = validator_for(schema)(schema)
    try:
        fault = next(iter(sorted(checker.iter_errors(value), key=lambda e: list(map(str, e.absolute_path)))), None)
    except Exception as error:  # a reference that leads nowhere is found only when it is followed
        return f"The answer could not be held against the schema: {_one_line(str(error))}."
    if fault is None:
        return ""
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in fault.absolute_path).lstrip(".")
    return f"The answer does not follow the schema{f' at {place}' if place else ''}: {_one_line(fault.message)}."


def record_of(record: TurnRecord, events: Sequence[Event]) -> dict[str, Any]:
    """Enough to ask the same again and to find the answer at the API: who answered, with what, how it went."""
    start = next((e for e in reversed(events) if e.kind == "start"), None)
    end = events[-1]
    asked = dict((start.arguments if start else None) or {})
    return {
        "thread": str(record.thread_id),
        "question": str(record.question_id),
        "answer": str(record.answer_id),
        "backend": record.backend,
        "endpoint": record.endpoint,
        "wire": asked.pop("wire", ""),
        "model": record.model,
        "parameters": asked.pop("parameters", {}),
        "timeouts": asked.pop("timeouts", {}),
        "history": asked.pop("history", 0),
        "persona": {"slug": asked.pop("persona", ""), "version": asked.pop("version", 0)},
        **{name: value for name, value in asked.items() if name not in {"endpoint"}},
        "usage": {name: getattr(record.usage, name) for name in record.usage.__dataclass_fields__},
        "cost_micro_dollars": record.cost,
        "finish_reason": record.finish_reason,
        "ids": dict(end.ids or {}),
        "attempts": record.attempts,
        "retries": end.retries,
        "notices": list(record.notices),
        "timing_ms": dict(record.timing),
    }


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (v for k, v in value.items() if k in {"$ref", "$dynamicRef"} and isinstance(v, str))
    if isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _references(inner)


def _one_line(text: str, most: int = 200) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= most else f"{line[: most - 1]}…"
