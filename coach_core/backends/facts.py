"""The facts an endpoint's row may state, what each may be, and what may never stand in one: a secret.

Invariant: the names are those of sdk.Profile; what `check` lets through, the wires can take.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from coach_core.errors import BadSetting
from coach_core.types import Fact

_RESPONSES, _CHAT, _ASSISTANTS = "openai_responses", "openai_chat", "openai_assistants"

FACTS: tuple[Fact, ...] = (
    Fact("stream", "flag", "Streams its answers", "Without it the answer comes whole, when it is finished.", True),
    Fact(
        "stream_options",
        "flag",
        "Tells tokens while streaming",
        "Takes the field stream_options.",
        True,
        wires=(_CHAT,),
    ),
    Fact("tools", "flag", "Takes tools", "Without it a persona's tools are not offered to the model.", True),
    Fact("images", "flag", "Takes images", "Without it an image goes along by its name only.", True),
    Fact("files", "flag", "Takes PDF files", "Without it the text that was read from a file is sent.", False),
    Fact(
        "schema",
        "flag",
        "Follows a JSON Schema",
        "Takes a schema for structured answers; else it is told in words.",
        True,
    ),
    Fact(
        "prefill",
        "flag",
        "Goes on with a begun answer",
        "Used by Continue; else the model is asked to go on.",
        False,
        wires=(_CHAT,),
    ),
    Fact("models", "flag", "Lists its models", "Answers GET /models with the names that can be asked for.", True),
    Fact(
        "state",
        "flag",
        "Keeps responses",
        "A new question refers to the response before it instead of telling all again.",
        True,
        wires=(_RESPONSES,),
    ),
    Fact("conversations", "flag", "Keeps conversations", "Has the Conversations API.", True, wires=(_RESPONSES,)),
    Fact(
        "stores",
        "flag",
        "Keeps vector stores",
        "Documents can be searched there instead of here.",
        False,
        wires=(_RESPONSES, _ASSISTANTS),
    ),
    Fact(
        "additional_instructions",
        "flag",
        "Heeds instructions of a run",
        "Without it memory and passages are sent together with the persona's instructions, for each run.",
        True,
        wires=(_ASSISTANTS,),
    ),
    Fact(
        "role",
        "choice",
        "Role of the instructions",
        "As what the persona's instructions are sent.",
        "system",
        ("system", "developer", "user"),
        (_CHAT,),
    ),
    Fact(
        "max_tokens",
        "choice",
        "Field of the longest answer",
        "How the server calls it.",
        "max_tokens",
        ("max_tokens", "max_completion_tokens"),
        (_CHAT,),
    ),
    Fact(
        "reasoning",
        "text",
        "Field of the model's thoughts",
        "They go back under it within a round of tools, where a server wants that: reasoning_content.",
        "",
        wires=(_CHAT,),
    ),
    Fact("key_header", "text", "Header with the key", "Empty: Authorization with Bearer, as most servers want it.", ""),
    Fact("call_id_length", "number", "Length of a tool call's id", "0: any length.", 0, wires=(_CHAT,)),
    Fact("headers", "texts", "More headers", "Sent with every request.", {}),
    Fact("query", "texts", "Query", "Added to every address, such as api-version.", {}),
    Fact("body", "values", "More fields", "Put into every request as they are.", {}),
    Fact(
        "parameters",
        "values",
        "Parameters",
        "This endpoint's own temperature, max_output_tokens, time-outs and so on.",
        {},
    ),
)
BY_NAME: Mapping[str, Fact] = {fact.name: fact for fact in FACTS}
LONGEST = 10_000  # characters of JSON

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OWN_HEADERS = frozenset({"host", "content-length", "content-type", "connection", "transfer-encoding", "accept"})
#: Fields that hold the question, who answers it and how the answer comes: what the wires send themselves.
OWN_FIELDS = frozenset(
    {
        *("model", "messages", "input", "instructions", "additional_instructions", "additional_messages"),
        *("tools", "functions", "tool_resources", "response_format", "include", "stream", "stream_options"),
        *("store", "background", "previous_response_id", "conversation", "assistant_id", "thread", "thread_id"),
    }
)
_SECRET_NAME = re.compile(
    r"auth|cookie|secret|passw|credential|signature|token|bearer|(?:^|[-_])(?:api)?[-_]?key\b|^(?:sig|code|pwd)$",
    re.IGNORECASE,
)
#: In a body "token" and "key" are everyday words (stop_token_ids, prompt_cache_key).
_SECRET_FIELD = re.compile(
    r"authori[sz]ation|cookie|secret|passw|credential|bearer|api[-_]?key|(?:access|auth|refresh|id)[-_]?token$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"\b(?:sk|pk|gsk|xai|hf|key|ghp|glpat|xox[bp])[-_][A-Za-z0-9_-]{12,}|\bBearer\s+\S{6,}|\bAIza[\w-]{20,}|"
    r"\beyJ[\w-]{12,}\.[\w-]+|\b(?=\w*\d)(?=\w*[A-Za-z])[A-Za-z0-9]{32,}\b|-----BEGIN"
)


def check(profile: Mapping[str, Any]) -> None:
    """Raise BadSetting with what to change, unless every fact is known, of its kind, and free of secrets."""
    for name, value in profile.items():
        fact = BY_NAME.get(name)
        if fact is None:
            called = "of that name" if secret_in(name) else f"called {name[:60]!r}"
            raise BadSetting(f"There is no fact {called}. There are: {', '.join(BY_NAME)}.")
        _of_its_kind(fact, value)
    _headers(profile.get("headers") or {})
    _body(profile.get("body") or {})
    for place, named in (("headers", _SECRET_NAME), ("query", _SECRET_NAME), ("body", _SECRET_FIELD)):
        _no_secrets(place, profile.get(place) or {}, named)
    header = profile.get("key_header")
    if header and (not _HEADER_NAME.fullmatch(header) or header.lower() in _OWN_HEADERS or secret_in(header)):
        raise BadSetting("The header with the key needs the header's name, not the key: mostly api-key or x-api-key.")
    try:
        length = len(json.dumps(dict(profile), allow_nan=False))
    except (TypeError, ValueError):
        raise BadSetting(
            "The facts hold something that JSON cannot say. Use texts, numbers, lists and tables."
        ) from None
    if length > LONGEST:
        raise BadSetting(f"The facts are too long: {length:,} characters, {LONGEST:,} are the most.")


def parse(text: str, fact: Fact) -> dict[str, Any]:
    """`text` as the table that `fact` holds; empty text is an empty table. BadSetting says where it is no JSON."""
    if not text.strip():
        return {}
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "it"
        raise BadSetting(f'{fact.label}: {where} is not JSON. Write it like {{"name": "value"}}.') from None
    _of_its_kind(fact, value)
    return value


def secret_in(text: str) -> bool:
    """Whether something in `text` looks like a key."""
    return _SECRET_VALUE.search(text) is not None


def _of_its_kind(fact: Fact, value: Any) -> None:
    match fact.kind:
        case "flag":
            fits, wanted = isinstance(value, bool), "true or false"
        case "choice":
            fits, wanted = value in fact.choices, f"one of {', '.join(fact.choices)}"
        case "text":
            fits, wanted = isinstance(value, str) and len(value) <= 100 and value.isprintable(), "a short text"
        case "number":
            fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 64
            wanted = "a whole number from 0 to 64"
        case "texts":
            fits, wanted = _table(value) and all(isinstance(v, str) for v in value.values()), "a table of texts"
        case "values":
            fits, wanted = _table(value), "a table"
    if not fits:
        raise BadSetting(f"The fact {fact.name} ({fact.label.lower()}) must be {wanted}.")


def _table(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) and name.strip() for name in value)


def _headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise BadSetting(f"The header {name[:60]!r} cannot be sent. Use plain letters, without line breaks.")
        if name.lower() in _OWN_HEADERS:
            raise BadSetting(f"The header {name} is set by the app itself. Leave it out.")


def _body(fields: Mapping[str, Any]) -> None:
    for name in fields:
        if name.strip() in OWN_FIELDS:
            raise BadSetting(
                f"The field {name.strip()} is set by the app itself. Leave it out of the fact body; the model, "
                "streaming and parameters have places of their own."
            )


def _no_secrets(place: str, values: Mapping[str, Any], named: re.Pattern[str]) -> None:
    for name, value in _leaves(values):
        if named.search(name) or secret_in(name) or secret_in(value):
            shown = "A name" if secret_in(name) else repr(name[:60])
            raise BadSetting(
                f"{shown} under {place} looks like a secret, and secrets are never kept in the database. Put the "
                "key into .env and name its variable; the fact key_header says in which header it is sent."
            )


def _leaves(value: Any, name: str = "") -> list[tuple[str, str]]:
    """(name, text) of everything in nested tables and lists."""
    if isinstance(value, Mapping):
        return [leaf for key, inner in value.items() for leaf in [(str(key), ""), *_leaves(inner, str(key))]]
    if isinstance(value, list | tuple):
        return [leaf for inner in value for leaf in _leaves(inner, name)]
    return [(name, str(value))]
