"""Tools that a person calls: `/search_documents sleep hygiene` at the head of a message.

Invariant: only the name of a tool that is offered makes a call; any other word behind a slash is plain text,
and so is `//name`. A call that is written wrongly is never sent: the error says how to write it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coach_core.errors import InputError
from coach_core.types import ToolSpec

_CALL = re.compile(r"\s*(//?)([A-Za-z][\w-]*)(?:[ \t]+([^\n]*))?(?:\n(.*))?$", re.S)
_PAIR = re.compile(r"""\s*(?:([A-Za-z_]\w*)\s*=\s*)?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'][^\s]*)""")


@dataclass(frozen=True, slots=True)
class Slash:
    """A tool called by hand. `asked` is the message as a question: what to look for, or the lines below."""

    name: str
    arguments: Mapping[str, Any]
    asked: str


@dataclass(frozen=True, slots=True)
class Command:
    """A tool as a person may call it: how to write it, and what it does."""

    name: str
    usage: str
    does: str


def commands(specs: Sequence[ToolSpec]) -> list[Command]:
    return [Command(f"/{s.name}", usage(s), s.description) for s in specs]


def usage(spec: ToolSpec) -> str:
    """How a call is written: `/search_documents QUERY`, `/book day=... [note=...]`."""
    if name := _only_text(spec):
        return f"/{spec.name} {name.upper()}"
    must = set(spec.parameters.get("required", ()))
    fields = (f"{n}=..." if n in must else f"[{n}=...]" for n in _properties(spec))
    return " ".join([f"/{spec.name}", *fields])


def parse(text: str, specs: Sequence[ToolSpec]) -> Slash | None:
    """The call that `text` begins with, if any. Raises InputError with how to write it."""
    match, spec = _named(text, specs)
    if match is None or spec is None or match[1] != "/":
        return None
    rest, below = (match[3] or "").strip(), (match[4] or "").strip()
    only = _only_text(spec)
    if only and not re.match(rf"{only}\s*=", rest):
        if not rest:
            raise InputError(f"Say what for: write {usage(spec)}.")
        return Slash(spec.name, {only: rest}, below or rest)
    arguments = _pairs(rest, spec)
    return Slash(spec.name, arguments, below or (arguments[only] if only else text.strip()))


def plain(text: str, specs: Sequence[ToolSpec]) -> str:
    """`text` without the slash that keeps `//name` from being a call."""
    match, spec = _named(text, specs)
    return text.replace("//", "/", 1) if match is not None and spec is not None and match[1] == "//" else text


def _named(text: str, specs: Sequence[ToolSpec]) -> tuple[re.Match[str] | None, ToolSpec | None]:
    match = _CALL.match(text)
    name = match[2].replace("-", "_").casefold() if match else ""
    return match, next((s for s in specs if s.name.casefold() == name), None)


def _properties(spec: ToolSpec) -> Mapping[str, Mapping[str, Any]]:
    return spec.parameters.get("properties", {})


def _only_text(spec: ToolSpec) -> str:
    """The tool's one parameter, when it has no other and that is a text."""
    fields = _properties(spec)
    return next((n for n, field in fields.items() if len(fields) == 1 and field.get("type") == "string"), "")


def _pairs(rest: str, spec: ToolSpec) -> dict[str, Any]:
    fields, found, at = _properties(spec), dict[str, Any](), 0
    how = f"Write {usage(spec)}."
    while at < len(rest):
        match = _PAIR.match(rest, at)
        if match is None:
            raise InputError(f"A quotation mark is not closed in {rest[at : at + 40].strip()!r}. {how}")
        name, value, at = match[1], match[2], match.end()
        if name is None:
            some = " Values of several words stand in quotation marks." if found else ""
            raise InputError(f"{value[:40]!r} has no name before it. {how}{some}")
        if name not in fields:
            raise InputError(f"/{spec.name} has no {name[:40]!r}. {how}")
        found[name] = _value(value, fields[name])
    if missing := [n for n in spec.parameters.get("required", ()) if n not in found]:
        raise InputError(f"/{spec.name} needs {missing[0]}. {how}")
    return found


def _value(text: str, field: Mapping[str, Any]) -> Any:
    if text[0] in "\"'":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if field.get("type") != "string":
        try:
            return json.loads(text)
        except ValueError:
            return text  # the tool's own check says what does not fit
    return text
