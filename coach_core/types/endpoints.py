"""Where models are served, as admins write it down, and what a live test call found out.

Invariant: a key is named by its variable here, never held.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from coach_core.types.conversation import Usage
from coach_core.types.parts import Check

FactKind = Literal["flag", "choice", "text", "number", "texts", "values"]
KeyState = Literal["none", "set", "missing", "refused"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is true of a server, and how a person is asked for it.

    flag: bool; choice: one of `choices`; text; number: a whole one; texts: name -> text; values: name -> JSON.
    `wires` names the wires that heed it; empty: all.
    """

    name: str
    kind: FactKind
    label: str
    help: str
    default: Any
    choices: tuple[str, ...] = ()
    wires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vendor:
    """A known vendor or server: what the form for a new endpoint begins with. Capitals in `base_url` are to be
    replaced. The value of `key_variable` is sent to `hosts` alone (".example.com": any host below it)."""

    name: str
    label: str
    base_url: str
    wires: tuple[str, ...]
    key_variable: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class EndpointDraft:
    """An endpoint as it is typed in: `wire` speaks its protocol, `profile` holds facts and parameters."""

    name: str
    base_url: str
    wire: str
    key_variable: str = ""
    model: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """A saved endpoint with the state of its key; `why` says what keeps it from answering."""

    id: UUID
    draft: EndpointDraft
    key: KeyState
    why: str = ""
    host: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Trial(Check):
    """What one small live request came to. `first_token` is in ms; `error` is the error's kind."""

    first_token: float | None = None
    model: str = ""
    usage: Usage | None = None
    text: str = ""
    error: str = ""
