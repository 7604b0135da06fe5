"""What the wires of the SDK share: one client a backend, the profile of an endpoint, the watched exchange.

Invariant: every request goes through `Wire.ask` or `Wire.call` and is read as plain dicts, so that cancel,
time-outs, errors and learnt quirks are the same on every wire. The SDK retries before the first token
only; waits between retries obey the watch. Nothing here reads the environment on purpose.
"""

from __future__ import annotations

import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from threading import Event as Flag
from typing import Any

import httpx2
import openai
from openai import DefaultHttpx2Client

from coach_core import tokens
from coach_core.backends import Endpoint, Remembered, Remotes, Request, line
from coach_core.backends.frames import MOST, Frames, read_at_most
from coach_core.backends.line import Cancelled, Watch
from coach_core.backends.retries import RETRIES, Client, anew, pause, wait_before
from coach_core.backends.sdk_errors import host_of, mapped, message_of, not_an_api, said, stay_with
from coach_core.errors import AuthFailed, BackendError, BadSetting, MissingKey, TimedOut, told_alone
from coach_core.types import Check, Event, Usage

VENDOR = "https://api.openai.com/v1"
_CONNECT = 5.0
#: Seconds that a line is kept for the next request; the default, 5, is shorter than any thought of a person.
_KEPT = 90.0
#: Seconds that the end of a stream is waited for after its last event, so that its line can be kept.
_LINGER = 0.05
_MEND = "Check the key, the base URL and the network."
_THINKS = re.compile(r"(?:o\d|gpt-5)(?!.*chat)")
_NO_TOOLS = re.compile(
    r"(?:not|n't) support (?:tool|function)|tools? (?:use|calling).{0,40}not supported|support tool use|"
    r"tool choice requires|(?:tools|functions)\W{1,3} (?:is|are) not (?:supported|allowed)",
    re.IGNORECASE,
)
#: What a server may refuse and a request can do without, or the field that takes its place.
_INSTEAD = {
    "temperature": "",
    "top_p": "",
    "stream_options": "",
    "reasoning": "",
    "reasoning_effort": "",
    "include": "",
    "parallel_tool_calls": "",
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}


@dataclass(frozen=True, slots=True)
class Profile:
    """Facts about an endpoint: what its server takes.

    `role` of the instructions; whether it streams, takes `stream_options`, tools, images, files (PDF) and
    a JSON Schema for the answer; the name of `max_tokens`; whether an answer can be begun for it
    (`prefill`); whether it keeps responses (`state`), conversations and vector stores; whether it lists
    its models; whether a run heeds instructions of its own beside the assistant's (`additional_instructions`).
    `reasoning` names the field in which its thoughts come and go back within a tool loop.
    `key_header` takes the key instead of `Authorization: Bearer`; `call_id_length` is the exact length of
    a tool call's id where a server insists. `body` goes into every request as it is; `parameters` are the
    endpoint's own defaults, below a persona's and over the settings'.
    """

    role: str = "system"
    stream: bool = True
    stream_options: bool = True
    tools: bool = True
    images: bool = True
    files: bool = False
    schema: bool = True
    max_tokens: str = "max_tokens"
    prefill: bool = False
    state: bool = True
    conversations: bool = True
    stores: bool = False
    models: bool = True
    additional_instructions: bool = True
    reasoning: str = ""
    key_header: str = ""
    call_id_length: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


def profile_of(endpoint: Endpoint) -> Profile:
    """The facts the endpoint states, over those of its vendor's own server or of any other."""
    own: dict[str, Any] = {}
    host = host_of(endpoint)
    if host == "api.openai.com":
        own = {"role": "developer", "files": True, "max_tokens": "max_completion_tokens", "stores": True}
    elif host.endswith(".openai.azure.com"):
        own = {"key_header": "api-key", "files": True, "stores": True}
    known = {f.name for f in fields(Profile)}
    if unknown := set(endpoint.profile) - known:
        raise BadSetting(f"The endpoint {endpoint.name!r} has unknown facts: {', '.join(sorted(unknown))}.")
    return Profile(**own | dict(endpoint.profile))


class ToolsRefused(Exception):
    """The server takes no tools with this model. Internal: it never leaves a backend."""


class Wire(ABC):
    """A backend that speaks HTTP through the SDK. Subclasses say what is sent and what comes back.

    `MARKS` are the fields of which a whole answer of this wire has at least one.
    """

    name: str
    MARKS: frozenset[str]

    def __init__(self, endpoint: Endpoint, remotes: Remotes | None = None) -> None:
        self.endpoint = endpoint
        self.model = endpoint.model
        self.profile = profile_of(endpoint)
        self.remotes = remotes or Remembered()
        self._learnt: dict[tuple[str, str], str] = {}
        self._toolless: set[str] = set()
        self._polled = False  # what runs on at the server is asked for, not streamed

    @abstractmethod
    def _answer(self, request: Request, watch: Watch, said: list[str]) -> Iterator[Event]:
        """The events of one request; texts are added to `said` as they come."""

    def stream(self, request: Request, cancel: Flag) -> Iterator[Event]:
        with suppress(Exception):  # told where it is needed
            _ = self.client  # made before the clock starts: it is not the server that takes this time
        watch = Watch(request, cancel, host_of(self.endpoint))
        said: list[str] = []
        try:
            with mapped(self.endpoint):
                try:
                    yield from self._tried(request, watch, said)
                except ToolsRefused:
                    self._toolless.add(self.model_of(request))
                    yield Event("notice", source="tools", text="This model takes no tools; it answers without them.")
                    yield from self._tried(request, watch, said)
        except Cancelled:
            yield Event("done", status="cancelled", usage=estimate(request, said), finish_reason="cancelled")

    def _tried(self, request: Request, watch: Watch, said: list[str]) -> Iterator[Event]:
        """`_answer`, asked again when its stream breaks off, or tells of trouble at the server, before
        anything of the answer: what the SDK does before the headers, within the same number of requests."""
        again = 0
        while True:
            begun, before = False, watch.sent
            try:
                answer: Any = self._answer(request, watch, said)
                with mapped(self.endpoint), closing(answer) as events:
                    for event in events:
                        begun = begun or event.kind != "notice"
                        yield _ended(event, again, watch) if event.terminal else event
                return
            except BackendError as fault:
                if begun or watch.sent == before or request.parameters.get("background"):
                    raise
                watch.begin()
                seconds = wait_before(fault, watch)
                if seconds is None:
                    raise
                yield from pause(seconds, watch)
                again += watch.sent - before
                request = anew(request)

    def model_of(self, request: Request) -> str:
        return request.model or self.model

    def instructions(self, request: Request) -> str:
        """The persona's instructions; with a schema that the server cannot be handed, in words."""
        if request.schema is None or self.profile.schema:
            return request.instructions
        wanted = f"Answer with JSON alone that follows this JSON Schema:\n{json.dumps(dict(request.schema))}"
        return f"{request.instructions}\n\n{wanted}".strip()

    def takes_tools(self, request: Request) -> bool:
        return self.profile.tools and self.model_of(request) not in self._toolless

    def check(self) -> Check:
        began = time.perf_counter()
        try:
            with mapped(self.endpoint):
                listed = self._models()
        except (BackendError, MissingKey) as error:
            mend = "Put OPENAI_API_KEY=... into .env." if isinstance(error, MissingKey) else _MEND
            return Check(self.name, "fail", told_alone(error), mend)
        took = (time.perf_counter() - began) * 1000
        host = host_of(self.endpoint)
        if listed and self.model and self.model not in listed:
            detail = f"{host} answers, but does not list the model {self.model}"
            return Check(self.name, "warn", detail, "Check the model's name.", took)
        return Check(self.name, "ok", f"{host} answers" + (f" as {self.model}" if self.model else ""), "", took)

    def models(self) -> list[str]:
        """The models that the server lists. Raises BackendError."""
        with mapped(self.endpoint):
            return sorted(self._models())

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()

    @cached_property
    def client(self) -> openai.OpenAI:
        endpoint = self.endpoint
        key = endpoint.key.strip()
        if not key and host_of(endpoint) == "api.openai.com":
            raise MissingKey
        if not key.isascii():
            raise AuthFailed("The key in .env holds characters that no key has. Copy it again.")
        headers: dict[str, Any] = dict(self.profile.headers)
        if self.profile.key_header and key:
            headers |= {self.profile.key_header: key, "Authorization": openai.Omit()}
        http = DefaultHttpx2Client(
            timeout=openai.Timeout(60, connect=_CONNECT),
            limits=httpx2.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=_KEPT),
            event_hooks={"response": [stay_with(endpoint)]},
        )
        client = Client(
            api_key=key or "none",
            base_url=endpoint.base_url or VENDOR,
            max_retries=RETRIES,
            default_headers=headers,
            default_query=self.profile.query,
            http_client=line.watched(http),
        )
        if endpoint.name != "default":
            client.alone(headers)
        return client

    def ask(self, path: str, body: Mapping[str, Any], watch: Watch, query: Mapping[str, Any] | None = None) -> Reply:
        """Send `body` and get its answer; what this server is found not to take is left out from then on."""
        model = str(body.get("model", ""))
        stream = self.profile.stream and not (self._polled and body.get("background"))
        learnt = 0
        while True:
            if not stream:
                watch.only_whole()
            sent = {**self._without(body, model), **self.profile.body}
            if stream:
                sent["stream"] = True
            else:
                sent.pop("stream_options", None)
            options: Any = {"timeout": openai.Timeout(watch.look() + 5, connect=_CONNECT), "params": dict(query or {})}
            options["max_retries"] = max(0, RETRIES - watch.sent - watch.put_off)
            try:
                with watch.held():
                    response = self._send(path, sent, options)
            except (openai.BadRequestError, openai.NotFoundError, openai.UnprocessableEntityError) as error:
                if sent.get("tools") and refuses_tools(error.message) and model not in self._toolless:
                    raise ToolsRefused from error
                if stream and sent.get("background") and "background" in message_of(error) and not self._polled:
                    self._polled, stream, learnt = True, False, learnt + 1
                    continue
                if not isinstance(error, openai.BadRequestError) or not self._learn(error, sent, model):
                    raise
                learnt += 1
                continue
            put_off, watch.put_off = watch.put_off, 0
            watch.sent += 1 + _retried(response) + put_off
            return Reply(response, watch, self.endpoint, self.MARKS, learnt + put_off)

    def follow(self, path: str, watch: Watch, query: Mapping[str, Any]) -> Reply:
        """Read on in a stream that the server keeps: a GET whose answer is one."""
        options: Any = {"timeout": openai.Timeout(watch.look() + 5, connect=_CONNECT), "params": dict(query)}
        with watch.held():
            stream = self.client.get(path, cast_to=object, options=options, stream=True, stream_cls=_Opened)
        return Reply(stream.response, watch, self.endpoint, self.MARKS, 0)

    def call(
        self,
        method: str,
        path: str,
        watch: Watch | None = None,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        timeout: float = 20.0,
        *,
        once: bool = False,
    ) -> dict[str, Any]:
        """One plain exchange of JSON, within the time that the watch leaves and at most `timeout` seconds.

        `once`: it is not tried again, since somebody waits for more than its answer.
        """
        left = min(timeout, watch.look()) if watch else timeout
        options: Any = {"timeout": openai.Timeout(left, connect=_CONNECT), "params": dict(query or {})}
        if once:
            options["max_retries"] = 0
        send: Any = getattr(self.client, method.lower())
        given = {} if body is None else {"body": dict(body)}
        if watch is None:
            response = send(path, cast_to=httpx2.Response, options=options, **given)
        else:
            with watch.held():
                response = send(path, cast_to=httpx2.Response, options=options, **given)
        if not response.content:
            return {}
        value: Any = response.json() if "json" in response.headers.get("content-type", "json") else None
        if not isinstance(value, dict):
            raise not_an_api(self.endpoint)
        return value

    def _send(self, path: str, sent: Mapping[str, Any], options: Any) -> httpx2.Response:
        """The response, unread: its length is looked at while it comes, be it a stream or not."""
        opened = self.client.post(path, cast_to=object, body=sent, options=options, stream=True, stream_cls=_Opened)
        return opened.response

    def _learn(self, error: openai.BadRequestError, sent: Mapping[str, Any], model: str) -> bool:
        """Whether the refusal is a quirk that the next request can heed."""
        refused = _refused(error, sent)
        if not refused or (model, refused) in self._learnt:
            return False
        self._learnt[model, refused] = _INSTEAD[refused]
        return True

    def _without(self, body: Mapping[str, Any], model: str) -> dict[str, Any]:
        sent = {**body}
        for (of, name), instead in list(self._learnt.items()):  # other threads learn too
            if of == model and name in sent:
                value = sent.pop(name)
                if instead:
                    sent[instead] = value
        return sent

    def _models(self) -> set[str]:
        if not self.profile.models:
            return set()
        client = self.client.with_options(max_retries=0, timeout=_CONNECT)
        response = client.models.with_raw_response.list().http_response
        if "json" not in response.headers.get("content-type", ""):
            raise not_an_api(self.endpoint)
        return {str(m["id"]) for m in response.json().get("data") or ()}


class Reply:
    """A server's answer: iterate for its events as dicts; one JSON document counts as one event. Close it."""

    def __init__(
        self, response: httpx2.Response, watch: Watch, endpoint: Endpoint, marks: frozenset[str], learnt: int
    ) -> None:
        self.retries = learnt + _retried(response)
        self.request_id = response.headers.get("x-request-id", "").replace(endpoint.key or "\0", "…")[:200]
        self._response = response
        self._watch = watch
        self._frames: Frames | None = None
        self._whole: dict[str, Any] | None = None
        self._chunks = response.iter_bytes()
        self._said_all = False
        kind = response.headers.get("content-type", "text/event-stream")
        if "html" in kind or "json" in kind:
            self._whole = self._document(endpoint, marks, html="html" in kind)
        else:
            self._frames = Frames(self._bytes(), host_of(endpoint))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self._whole is not None:
            self._watch.served = _served(self._whole) or self._watch.served
            yield self._whole
        elif self._frames is not None:
            for frame in self._frames:
                self._watch.look()
                self._watch.served = _served(frame) or self._watch.served
                yield frame

    @property
    def finished(self) -> bool:
        """Whether nothing can be missing: one document, or a stream that said so itself."""
        return self._frames is None or self._frames.finished

    def said_all(self) -> None:
        """The last event was heard, though the stream itself does not say so."""
        self._said_all = True

    def close(self) -> None:
        """Let go of the answer. A line on which nothing more is to come is used again; any other is closed."""
        if self._frames is not None and (self._said_all or self._frames.finished):
            brief = Watch(replace(self._watch.request, first_token_timeout=_LINGER), self._watch.cancel, "")
            with suppress(TimedOut, Cancelled, httpx2.HTTPError, httpx2.StreamError), brief.held():
                for _ in self._chunks:
                    """Only the end is missing."""
        self._response.close()

    def _bytes(self) -> Iterator[bytes]:
        while True:
            with self._watch.held():
                try:
                    chunk = next(self._chunks)
                except StopIteration:
                    return
            yield chunk

    def _document(self, endpoint: Endpoint, marks: frozenset[str], *, html: bool) -> dict[str, Any]:
        try:
            body = read_at_most(MOST, self._bytes(), host_of(endpoint))
        finally:
            self._response.close()
        value: Any = None if html else json.loads(body)
        if isinstance(value, dict):
            if fault := fault_in(value, endpoint):
                raise fault
            if marks & value.keys():
                return value
        raise not_an_api(endpoint)


def fault_in(frame: Mapping[str, Any], endpoint: Endpoint) -> BackendError | None:
    """The error that an event or a document spells out under `error`, if it is nothing else."""
    error = frame.get("error")
    if not error or frame.get("object") == "response" or "response" in frame:
        return None
    if not isinstance(error, Mapping):
        return said(None, str(error), endpoint)
    status = error.get("code") if isinstance(error.get("code"), int) else 0
    return said(f"{error.get('code')} {error.get('type')}", str(error.get("message") or ""), endpoint, status or 0)


class _Opened(openai.Stream[object]):
    """The SDK's stream, taken only for its open response: frames.py reads it."""


def _ended(done: Event, again: int, watch: Watch) -> Event:
    return replace(done, retries=done.retries + again, model=watch.served)


def _served(frame: Mapping[str, Any]) -> str:
    """The model that an event or a document names, whichever wire it is of."""
    inner = frame.get("response")
    name = (inner if isinstance(inner, Mapping) else frame).get("model")
    return name[:200] if isinstance(name, str) and name.isprintable() else ""


def refuses_tools(message: str) -> bool:
    """Whether a server's words say that the model takes no tools."""
    return bool(_NO_TOOLS.search(message))


def parameters(request: Request, model: str, names: Mapping[str, str]) -> dict[str, Any]:
    """The request's parameters by the wire's own names; a model that thinks takes no temperature."""
    given = {k: v for k, v in request.parameters.items() if k in names and v not in (None, "")}
    if _THINKS.match(model) and given.get("reasoning_effort") != "none":
        given = {k: v for k, v in given.items() if k not in {"temperature", "top_p"}}
    return {names[k]: v for k, v in given.items()}


def estimate(request: Request, said: list[str]) -> Usage:
    """Tokens counted here, for a server that does not tell."""
    told = [request.instructions, request.summary, request.context, request.question.text, request.resume_from]
    told += [m.text for m in (*request.history, *request.exchange)]
    sent = sum(tokens.count(t) for t in told)
    return Usage(input_tokens=sent, output_tokens=tokens.count("".join(said)), estimated=True)


def _retried(response: httpx2.Response) -> int:
    """How often the SDK asked again, by the header it counts in."""
    try:
        return int(response.request.headers.get("x-stainless-retry-count", "0"))
    except (ValueError, RuntimeError):
        return 0


def _refused(error: openai.BadRequestError, sent: Mapping[str, Any]) -> str:
    """The parameter that the server does not take at all, or ""."""
    message = f"{error.message} {message_of(error)}".lower()
    name = (error.param or "").split(".")[0].split("[")[0]
    if name not in _INSTEAD:
        named = (n for n in _INSTEAD if f"'{n}'" in message or f'"{n}"' in message or f"`{n}`" in message)
        name = next(named, "include" if any(str(v) in message for v in sent.get("include") or ()) else "")
    said_so = (error.code or "").startswith("unsupported") or any(
        word in message for word in ("unsupported", "not supported", "unknown", "unrecognized", "not permitted")
    )
    return name if name in sent and said_so else ""
