"""With what a backend is asked: the settings, over them what its endpoint says, over that the persona.

Invariant: merged for each backend by itself, so that a backup is asked with its own endpoint's values. What
names something at one server (a model, an assistant) goes to the persona's own backend only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coach_core import personas
from coach_core.errors import BadSetting, InputError
from coach_core.turn import Times
from coach_core.types import PersonaDraft


@dataclass(frozen=True, slots=True)
class Limits:
    """Plain values from the settings; seconds where they are times."""

    default_backend: str
    fallback: str = ""
    history_messages: int = 20
    history_tokens: int = 6000
    passages: int = 8
    answer_tokens: int = 2000
    temperature: float = 0.7
    first_token: float = 25.0
    between_tokens: float = 30.0
    turn: float = 180.0
    tool_rounds: int = 8
    context_deadline: float = 0.4
    conversation_state: str = "previous_response"


@dataclass(frozen=True, slots=True)
class Options:
    """`parameters` are for the backend; `times` and `hosted` (search at the API) are heeded here."""

    parameters: Mapping[str, Any]
    times: Times
    hosted: bool = False


def options(limits: Limits, endpoint: Mapping[str, Any], persona: PersonaDraft, *, own: bool) -> Options:
    """What holds for one backend. `endpoint` are its own parameters; `own`: it is the persona's choice."""
    try:
        personas.check_parameters(endpoint)
    except InputError as error:
        raise BadSetting(f"A parameter of this endpoint cannot be used. {error.sentence}") from None
    values: dict[str, Any] = {
        "temperature": limits.temperature,
        "max_output_tokens": limits.answer_tokens,
        "state": limits.conversation_state,
        "first_token_timeout": limits.first_token,
        "token_timeout": limits.between_tokens,
        "turn_timeout": limits.turn,
        **endpoint,
        **{name: value for name, value in persona.parameters.items() if own or name not in personas.AT_ONE_SERVER},
    }
    times = Times(values.pop("first_token_timeout"), values.pop("token_timeout"), values.pop("turn_timeout"))
    hosted = values.pop("search", "local") == "hosted"
    return Options(values, times, hosted)
