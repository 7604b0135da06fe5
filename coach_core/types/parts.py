"""What the replaceable parts say of themselves: tools, backends, checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as told to a model: JSON Schema (draft 2020-12) of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A backend as a person picks it. `ready` says whether it could answer now; if not, `why`.

    `wire` is the protocol it speaks and `endpoint` where; `tools` is False when its server takes none.
    """

    name: str
    label: str
    model: str
    ready: bool
    why: str = ""
    needs_key: bool = False
    wire: str = ""
    endpoint: str = "default"
    tools: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `doctor`: `state` is ok, warn or fail; `mend` says what to do."""

    name: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    mend: str = ""
    milliseconds: float | None = None
