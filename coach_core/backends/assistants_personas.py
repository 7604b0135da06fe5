"""A persona as an assistant at the server: made from its settings, or given by its id.

Invariant: an assistant is found again by a hash of all that it was made from, so another version of a
persona is another assistant. One that was given is never made nor changed: what a persona adds to it goes
into each run. What a server is found not to take is left out from then on.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import openai

from coach_core.backends import Endpoint, Remotes, Request
from coach_core.backends.items import Call, Result, Told, items_of
from coach_core.backends.line import TICK, Watch
from coach_core.backends.sdk import ToolsRefused, Wire, parameters, refuses_tools
from coach_core.backends.sdk_errors import not_an_api
from coach_core.types import Part

Raw = Mapping[str, Any]
What = Literal["assistant", "thread", "either"]

MADE_BY = {"made_by": "coach"}
SEARCH = {"type": "file_search"}
_FEWEST = 256  # tokens; the API takes no smaller limit
_FRESH = 300.0  # seconds that a given assistant is taken to be as it was
_NAMES = {"temperature": "temperature", "top_p": "top_p", "reasoning_effort": "reasoning_effort"}
_CALLED = "These tools have been called for the last question already, with these results:"
_WROTE = "Your answer so far, before these results; do not repeat it:"


class Lost(Exception):
    """An assistant or a thread is not there (any more). Internal: it never leaves the wire."""

    def __init__(self, what: What, error: Exception) -> None:
        super().__init__(what)
        self.what, self.error = what, error


@dataclass(frozen=True, slots=True)
class Assistant:
    """Who runs. One that was `given` has tools and instructions of its own, known when they are needed."""

    id: str
    key: str = ""
    given: bool = False
    tools: tuple[Raw, ...] = ()
    instructions: str = ""


class Personas(Wire):
    """The wire as far as assistants go."""

    def __init__(self, endpoint: Endpoint, remotes: Remotes | None = None) -> None:
        super().__init__(endpoint, remotes)
        headers = {"OpenAI-Beta": "assistants=v2", **self.profile.headers}
        self.profile = replace(self.profile, headers=headers)
        self._making = threading.Lock()
        self._given: dict[str, tuple[float, Assistant]] = {}

    def assistant(self, request: Request, watch: Watch, *, own: bool = False) -> Assistant:
        """The assistant that was given, or (`own`) the one made from the persona's settings."""
        given = str(request.parameters.get("assistant_id") or "")
        if given and not own:
            return self._look_up(given, request, watch)
        body = self._settings(request)
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]
        while not self._making.acquire(timeout=TICK):
            watch.look()
        try:
            if found := self.remotes.find("assistant", key):
                return Assistant(found.external_id, key)
            made = self._make({**body, "name": f"coach: {key[:12]}", "metadata": MADE_BY}, watch)
            self.remotes.keep("assistant", key, made, {"model": body["model"]})
            return Assistant(made, key)
        finally:
            self._making.release()

    def forget(self, assistant: Assistant | None) -> None:
        if assistant is None:
            return
        self._given.pop(assistant.id, None)
        if assistant.key:
            self.remotes.forget("assistant", assistant.key)

    def _look_up(self, given: str, request: Request, watch: Watch) -> Assistant:
        """A given assistant; what is its own is asked for only when the run must add to it."""
        if not (request.tools or request.stores or papers(request) or not self.profile.additional_instructions):
            return Assistant(given, given=True)
        at, known = self._given.get(given, (0.0, None))
        if known is None or time.monotonic() - at > _FRESH:
            try:
                raw = self.call("get", f"/assistants/{given}", watch)
            except openai.NotFoundError as error:
                raise Lost("assistant", error) from error
            tools = tuple(raw.get("tools") or ())
            known = Assistant(given, given=True, tools=tools, instructions=raw.get("instructions") or "")
            self._given[given] = (time.monotonic(), known)
        return known

    def _settings(self, request: Request) -> dict[str, Any]:
        model = self.model_of(request)
        body: dict[str, Any] = {"model": model, **parameters(request, model, _NAMES)}
        if instructions := self.instructions(request):
            body["instructions"] = instructions
        if tools := self._tools(request):
            body["tools"] = tools
        if request.stores:
            body["tool_resources"] = {"file_search": {"vector_store_ids": list(request.stores[:1])}}
        if form := self._form(request):
            body["response_format"] = form
        return body

    def _tools(self, request: Request) -> list[dict[str, Any]]:
        tools: list[dict[str, Any]] = [SEARCH] if request.stores or (papers(request) and self.profile.files) else []
        for t in request.tools if self.takes_tools(request) else ():
            function = {"name": t.name, "description": t.description, "parameters": dict(t.parameters)}
            tools.append({"type": "function", "function": function})
        return tools

    def _form(self, request: Request) -> dict[str, Any] | None:
        if request.schema is None or not self.profile.schema:
            return None
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(request.schema)}}

    def _make(self, body: dict[str, Any], watch: Watch) -> str:
        """Make an assistant, without what this server is found not to take."""
        model = str(body["model"])
        while True:
            sent = {**self._without(body, model), **self.profile.body}
            try:
                return self.id_of(self.call("post", "/assistants", watch, sent))
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if "tools" in sent and refuses_tools(error.message):
                    raise ToolsRefused from error
                if not isinstance(error, openai.BadRequestError) or not self._learn(error, sent, model):
                    raise

    def id_of(self, made: Raw) -> str:
        """The id of what was made there."""
        if not made.get("id"):
            raise not_an_api(self.endpoint)
        return str(made["id"])

    def _learn(self, error: openai.BadRequestError, sent: Mapping[str, Any], model: str) -> bool:
        if not super()._learn(error, sent, model):
            return False
        for key, instead in list(self._learnt.items()):
            if instead:  # runs have no other name for it
                self._learnt[key] = ""
        return True

    def run_body(self, request: Request, assistant: Assistant) -> dict[str, Any]:
        body: dict[str, Any] = {"assistant_id": assistant.id}
        persona = self.instructions(request)
        told = "\n\n".join(t for t in (request.context, _exchanged(request)) if t)
        if not self.profile.additional_instructions:
            whole = [assistant.instructions, persona, told]
            body["instructions"] = "\n\n".join(t for t in whole if t)
        elif assistant.given and persona:
            body["additional_instructions"] = f"{persona}\n\n{told}".strip()
        elif told:
            body["additional_instructions"] = told
        if longest := request.parameters.get("max_output_tokens"):
            body["max_completion_tokens"] = max(int(longest), _FEWEST)
        if assistant.given:
            body |= parameters(request, "", _NAMES)
            if form := self._form(request):
                body["response_format"] = form
            if tools := self._tools(request):
                names = [_name(t) for t in tools]
                body["tools"] = [*(t for t in assistant.tools if _name(t) not in names), *tools]
        return body


def _exchanged(request: Request) -> str:
    """What this turn's tools have said already, for a model that has not heard it."""
    items = items_of(replace(request, context="", history=(), resume_from=""))[1:]
    calls = {i.call_id: i for i in items if isinstance(i, Call)}
    results = [i for i in items if isinstance(i, Result)]
    if not results:
        return ""
    wrote = "\n\n".join(i.text for i in items if isinstance(i, Told) and i.text.strip())
    lines = [f"- {r.name}({calls[r.call_id].arguments}): {r.text}" for r in results]
    said = f"{_WROTE}\n{wrote}\n\n" if wrote else ""
    return f"{said}{_CALLED}\n" + "\n".join(lines)


def _name(tool: Raw) -> str:
    return str((tool.get("function") or {}).get("name") or tool.get("type"))


def papers(request: Request) -> bool:
    return any(is_paper(p) for m in (*request.history, request.question) for p in m.parts)


def is_paper(part: Part) -> bool:
    return part.kind == "file" and part.media_type == "application/pdf" and not part.text
