"""The tools a persona may use, each made from a function's signature and docstring.

Invariant: arguments are validated before a function runs; what it raises or returns too much of is told
to the model as an error or cut, never thrown; a tool never learns who acts from a model.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from coach_core.errors import CoachError, InputError
from coach_core.types import ToolSpec

log = logging.getLogger(__name__)
MOST_CHARACTERS = 12_000
_NO_TOOL, _UNFIT = "There is no tool called", "These arguments do not fit"


@dataclass(frozen=True, slots=True)
class Tool:
    """A function as a tool. `spec` is what a model is told of it."""

    spec: ToolSpec
    model: type[BaseModel]
    run: Callable[..., Any]


def tool(function: Callable[..., Any], name: str = "") -> Tool:
    """`function` as a tool: its parameters by their annotations, its docstring as the description."""
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (parameter.annotation, default)
    model = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    schema = model.model_json_schema()
    schema.pop("title", None)
    for item in schema.get("properties", {}).values():
        item.pop("title", None)
    description = " ".join((inspect.getdoc(function) or "").split())
    return Tool(ToolSpec(name or function.__name__, description, schema), model, function)


class Bound:
    """The tools of one turn, bound to what coach.py handed them. `outcome(text, error)` shapes results."""

    def __init__(self, tools: Sequence[Tool], outcome: Callable[[str, str], Any]) -> None:
        self._tools = {t.spec.name: t for t in tools}
        self._outcome = outcome

    def specs(self) -> Sequence[ToolSpec]:
        return [t.spec for t in self._tools.values()]

    def check(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Raise InputError that names what does not fit, before anything is run."""
        try:
            self._tools[name].model.model_validate(dict(arguments))
        except ValidationError as error:
            raise InputError(f"/{name} cannot be run with this: {_wrong(error, name)}.") from None

    def call(self, name: str, arguments: Mapping[str, Any], key: str) -> Any:
        chosen = self._tools.get(name)
        if chosen is None:
            return self._outcome("", f"{_NO_TOOL} {name!r}. Use one of: {', '.join(self._tools)}.")
        try:
            values = chosen.model.model_validate(dict(arguments))
        except ValidationError as error:
            return self._outcome("", f"{_UNFIT}: {_wrong(error, name)}.")
        try:
            given = {field: getattr(values, field) for field in chosen.model.model_fields}
            result = chosen.run(**given)
        except CoachError as error:
            return self._outcome("", error.sentence)
        except Exception:
            log.exception("tool %s failed", name)
            return self._outcome("", f"The tool {name} failed.")
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)
        if len(text) > MOST_CHARACTERS:
            text = text[:MOST_CHARACTERS] + "\n(cut here: the result was longer)"
        return self._outcome(text, "")


def unfit(error: str) -> bool:
    """Whether a result's error says that the call itself was wrong: its arguments, or the tool's name."""
    return error.startswith((_NO_TOOL, _UNFIT))


def _wrong(error: ValidationError, name: str) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or name}: {e['msg']}" for e in error.errors())
