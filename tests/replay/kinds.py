"""What an exchange is: which wire, which operation, and what stands before it in the path.

Invariant: told by the path where there is one, else by the body; every exchange gets a Kind, `wire` being
"" where no wire of this app does such a thing, and then `why` says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.replay.exchanges import Exchange

CHAT, RESPONSES, ASSISTANTS = "openai_chat", "openai_responses", "openai_assistants"
WIRES = (RESPONSES, CHAT, ASSISTANTS)
_RUN = r"/threads/(?P<thread>[^/]+)/runs/(?P<run>[^/]+)"
#: (wire, operation, method, end of the path)
_PATHS: tuple[tuple[str, str, str, str], ...] = (
    (CHAT, "create", "POST", r"/chat/completions"),
    (RESPONSES, "create", "POST", r"/responses"),
    (RESPONSES, "cancel", "POST", r"/responses/(?P<response>[^/]+)/cancel"),
    (RESPONSES, "retrieve", "GET", r"/responses/(?P<response>[^/]+)"),
    (RESPONSES, "delete", "DELETE", r"/responses/(?P<response>[^/]+)"),
    (RESPONSES, "conversation_create", "POST", r"/conversations"),
    (RESPONSES, "conversation_retrieve", "GET", r"/conversations/(?P<conversation>[^/]+)"),
    (RESPONSES, "conversation_delete", "DELETE", r"/conversations/(?P<conversation>[^/]+)"),
    (RESPONSES, "items_create", "POST", r"/conversations/(?P<conversation>[^/]+)/items"),
    (RESPONSES, "items_list", "GET", r"/conversations/(?P<conversation>[^/]+)/items"),
    (ASSISTANTS, "assistant_create", "POST", r"/assistants"),
    (ASSISTANTS, "assistant_retrieve", "GET", r"/assistants/(?P<assistant>[^/]+)"),
    (ASSISTANTS, "assistant_modify", "POST", r"/assistants/(?P<assistant>[^/]+)"),
    (ASSISTANTS, "assistant_delete", "DELETE", r"/assistants/(?P<assistant>[^/]+)"),
    (ASSISTANTS, "thread_run", "POST", r"/threads/runs"),
    (ASSISTANTS, "thread_create", "POST", r"/threads"),
    (ASSISTANTS, "thread_retrieve", "GET", r"/threads/(?P<thread>[^/]+)"),
    (ASSISTANTS, "thread_modify", "POST", r"/threads/(?P<thread>[^/]+)"),
    (ASSISTANTS, "thread_delete", "DELETE", r"/threads/(?P<thread>[^/]+)"),
    (ASSISTANTS, "message_create", "POST", r"/threads/(?P<thread>[^/]+)/messages"),
    (ASSISTANTS, "messages_list", "GET", r"/threads/(?P<thread>[^/]+)/messages"),
    (ASSISTANTS, "message_retrieve", "GET", r"/threads/(?P<thread>[^/]+)/messages/[^/]+"),
    (ASSISTANTS, "run_create", "POST", r"/threads/(?P<thread>[^/]+)/runs"),
    (ASSISTANTS, "runs_list", "GET", r"/threads/(?P<thread>[^/]+)/runs"),
    (ASSISTANTS, "submit", "POST", _RUN + r"/submit_tool_outputs"),
    (ASSISTANTS, "run_cancel", "POST", _RUN + r"/cancel"),
    (ASSISTANTS, "steps_list", "GET", _RUN + r"/steps"),
    (ASSISTANTS, "step_retrieve", "GET", _RUN + r"/steps/[^/]+"),
    (ASSISTANTS, "run_retrieve", "GET", _RUN),
)
_TABLE = [(w, o, m, re.compile(r"(?P<prefix>.*?)" + p + r"/?")) for w, o, m, p in _PATHS]
#: Known paths that are none of the above.
_OTHER = re.compile(
    r"/(?:responses/(?:compact|input_tokens)|embeddings|files|vector_stores|models|completions|moderations|images|audio"
    r"|batches|fine_tuning|uploads|containers|realtime|messages|skills|api/chat|api/generate)\b"
)


@dataclass(frozen=True)
class Kind:
    """`prefix` is what stands in the path before the operation, `ids` what it names."""

    wire: str
    operation: str
    prefix: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    why: str = ""


def kind_of(exchange: Exchange) -> Kind:
    if not exchange.path:
        return _by_body(exchange)
    return kind_of_path(exchange.method, exchange.path) or _by_body(exchange)


def kind_of_path(method: str, path: str) -> Kind | None:
    for wire, operation, verb, pattern in _TABLE:
        if verb == method and (match := pattern.fullmatch(path)):
            ids = match.groupdict()
            return Kind(wire, operation, ids.pop("prefix"), ids)
    if found := _OTHER.search(path):
        name = found[0].strip("/")
        return Kind("", name, why=f"{name}: no wire of this app asks this")
    return None


def _by_body(exchange: Exchange) -> Kind:
    """By what the bodies hold; a fixture's folder helps where that is only an error."""
    first: dict[str, Any] = {}
    for said in values_of(exchange):
        first = first or said
        if wire := _wire_of(said):
            thread = {"thread": str(said.get("thread_id") or "thread_recorded")} if wire == ASSISTANTS else {}
            return Kind(wire, "run_create" if wire == ASSISTANTS else "create", "/v1", thread)
    asked = exchange.request if isinstance(exchange.request, dict) else {}
    if "messages" in asked:
        return Kind(CHAT, "create", "/v1")
    if "input" in asked and exchange.api != "embeddings":
        return Kind(RESPONSES, "create", "/v1")
    if "error" in first or not first:
        for part in (exchange.api, *reversed(exchange.file.lower().split("/")[:-1])):
            if part in ("chat", "responses"):
                return Kind(CHAT if part == "chat" else RESPONSES, "create", "/v1")
    kind = str(first.get("object") or first.get("type") or "")
    name = exchange.path or exchange.api or kind or ("an error alone" if "error" in first else "no known shape")
    return Kind("", name, why=f"{name}: not a thing of the three wires")


def _wire_of(said: dict[str, Any]) -> str:
    """The wire that says such a thing, or ""."""
    kind = str(said.get("object") or said.get("type") or "")
    if kind.startswith("chat.completion"):
        return CHAT
    if kind == "response" or kind.startswith("response."):
        return RESPONSES
    if kind.startswith("thread.run"):
        return ASSISTANTS
    choices = said.get("choices")
    chat = isinstance(choices, list) and any(isinstance(c, dict) and {"delta", "message"} & set(c) for c in choices)
    return CHAT if chat else ""


def values_of(exchange: Exchange) -> Iterator[dict[str, Any]]:
    """The response's JSON, or the first events of its stream that are JSON."""
    texts = [exchange.body]
    if exchange.sse:
        texts = [line[5:] for line in exchange.body.splitlines() if line.startswith("data:")][:50]
    for text in texts:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value
