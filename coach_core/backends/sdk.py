"""What both wires of the SDK share: one client a backend, the profile of an endpoint, the watched stream.

Invariant: a request is sent through `Wire.open` and read through `Wire.read`, so that cancel, time-outs,
errors and learnt quirks are the same on every wire. The SDK retries before the first token only; waits
between retries obey the watch. Nothing here reads the environment on purpose.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields
from functools import cached_property
from threading import Event as Flag
from typing import Any

import openai
from openai import DefaultHttpx2Client

from coach_core import tokens
from coach_core.backends import Endpoint, Request, line
from coach_core.backends.line import Cancelled, Watch
from coach_core.backends.sdk_errors import host_of, mapped, not_an_api
from coach_core.errors import AuthFailed, BackendError, BadSetting, MissingKey
from coach_core.types import Check, Event, Usage

VENDOR = "https://api.openai.com/v1"
RETRIES = 2
_CONNECT = 5.0
_MEND = "Check the key, the base URL and the network."
_THINKS = re.compile(r"(?:o\d|gpt-5)(?!.*chat)")
#: What a server may refuse and a request can do without, or the field that takes its place.
_INSTEAD = {
    "temperature": "",
    "top_p": "",
    "stream_options": "",
    "reasoning": "",
    "reasoning_effort": "",
    "include": "",
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}


@dataclass(frozen=True, slots=True)
class Profile:
    """Facts about an endpoint: what its server takes. `body` goes into every request as it is."""

    role: str = "system"
    stream_options: bool = True
    tools: bool = True
    images: bool = True
    files: bool = False
    max_tokens: str = "max_tokens"
    prefill: bool = False
    state: bool = True
    models: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


def profile_of(endpoint: Endpoint) -> Profile:
    """The facts the endpoint states, over those of its vendor's own server or of any other."""
    own: dict[str, Any] = {}
    if host_of(endpoint) == "api.openai.com":
        own = {"role": "developer", "files": True, "max_tokens": "max_completion_tokens"}
    known = {f.name for f in fields(Profile)}
    if unknown := set(endpoint.profile) - known:
        raise BadSetting(f"The endpoint {endpoint.name!r} has unknown facts: {', '.join(sorted(unknown))}.")
    return Profile(**own | dict(endpoint.profile))


class Wire(ABC):
    """A backend that speaks HTTP through the SDK. Subclasses say what is sent and what comes back."""

    name: str

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.model = endpoint.model
        self.profile = profile_of(endpoint)
        self._learnt: dict[tuple[str, str], str] = {}

    @abstractmethod
    def _answer(self, request: Request, watch: Watch, said: list[str]) -> Iterator[Event]:
        """The events of one request; texts are added to `said` as they come."""

    def stream(self, request: Request, cancel: Flag) -> Iterator[Event]:
        watch = Watch(request, cancel, host_of(self.endpoint))
        said: list[str] = []
        try:
            with mapped(self.endpoint):
                yield from self._answer(request, watch, said)
        except Cancelled:
            yield Event("done", status="cancelled", usage=estimate(request, said), finish_reason="cancelled")

    def check(self) -> Check:
        began = time.perf_counter()
        try:
            with mapped(self.endpoint):
                listed = self._models()
        except (BackendError, MissingKey) as error:
            mend = "Put OPENAI_API_KEY=... into .env." if isinstance(error, MissingKey) else _MEND
            return Check(self.name, "fail", error.sentence, mend)
        took = (time.perf_counter() - began) * 1000
        host = host_of(self.endpoint)
        if listed and self.model and self.model not in listed:
            detail = f"{host} answers, but does not list the model {self.model}"
            return Check(self.name, "warn", detail, "Check the model's name.", took)
        return Check(self.name, "ok", f"{host} answers" + (f" as {self.model}" if self.model else ""), "", took)

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
        return _Client(
            api_key=key or "none",
            base_url=endpoint.base_url or VENDOR,
            max_retries=RETRIES,
            default_headers=self.profile.headers,
            default_query=self.profile.query,
            http_client=line.watched(DefaultHttpx2Client(timeout=openai.Timeout(60, connect=_CONNECT))),
        )

    def open(self, create: Callable[..., Any], body: dict[str, Any], watch: Watch) -> Any:
        """Send `body`; what this server is found not to take is left out now and from then on."""
        model = str(body.get("model", ""))
        while True:
            sent = self._without(body, model)
            timeout = openai.Timeout(watch.look() + 5, connect=_CONNECT)
            try:
                with watch.held():
                    stream = create(**sent, stream=True, timeout=timeout)
            except openai.BadRequestError as error:
                if not self._learn(error, sent, model):
                    raise
                continue
            self._must_stream(stream)
            return stream

    def read(self, stream: Any, watch: Watch) -> Generator[Any]:
        """The SDK's events, each wait for the next one watched. Close it: that closes the stream."""
        with closing(stream):
            events = iter(stream)
            while True:
                with watch.held():
                    try:
                        event = next(events)
                    except StopIteration:
                        return
                watch.look()
                yield event

    def _learn(self, error: openai.BadRequestError, sent: Mapping[str, Any], model: str) -> bool:
        """Whether the refusal is a quirk that the next request can heed."""
        refused = _refused(error, sent)
        if not refused or (model, refused) in self._learnt:
            return False
        self._learnt[model, refused] = _INSTEAD[refused]
        return True

    def _without(self, body: dict[str, Any], model: str) -> dict[str, Any]:
        sent = {**body}
        for (of, name), instead in list(self._learnt.items()):  # other threads learn too
            if of == model and name in sent:
                value = sent.pop(name)
                if instead:
                    sent[instead] = value
        return sent

    def _must_stream(self, stream: Any) -> None:
        kind = stream.response.headers.get("content-type", "text/event-stream")
        if "html" in kind or "json" in kind:
            with closing(stream.response) as response:
                body: Any = response.read() and response.json() if "json" in kind else None
            if isinstance(body, Mapping) and body.get("error"):
                raise openai.APIError("", stream.response.request, body=body["error"])
            raise not_an_api(self.endpoint)

    def _models(self) -> set[str]:
        if not self.profile.models:
            return set()
        client = self.client.with_options(max_retries=0, timeout=_CONNECT)
        response = client.models.with_raw_response.list().http_response
        if "json" not in response.headers.get("content-type", ""):
            raise not_an_api(self.endpoint)
        return {str(m["id"]) for m in response.json().get("data") or ()}


class _Client(openai.OpenAI):
    """The SDK's client, pausing before a retry in a way that can be interrupted."""

    def _sleep_for_retry(self, *, retries_taken: int, max_retries: int, options: Any, response: Any) -> None:
        headers = None if response is None else response.headers
        seconds = self._calculate_retry_timeout(max_retries - retries_taken, options, headers)
        watch = line.current()
        if watch and response is not None and seconds >= watch.look():
            raise self._make_status_error_from_response(response)  # no use in waiting: say why
        line.pause(seconds)


def parameters(request: Request, model: str, names: Mapping[str, str]) -> dict[str, Any]:
    """The request's parameters by the wire's own names; a model that thinks takes no temperature."""
    given = {k: v for k, v in request.parameters.items() if k in names and v not in (None, "")}
    if _THINKS.match(model) and given.get("reasoning_effort") != "none":
        given = {k: v for k, v in given.items() if k not in {"temperature", "top_p"}}
    return {names[k]: v for k, v in given.items()}


def estimate(request: Request, said: list[str]) -> Usage:
    """Tokens counted here, for a server that does not tell."""
    told = [request.instructions, request.context, request.question.text, request.resume_from]
    told += [m.text for m in (*request.history, *request.exchange)]
    sent = sum(tokens.count(t) for t in told)
    return Usage(input_tokens=sent, output_tokens=tokens.count("".join(said)), estimated=True)


def _refused(error: openai.BadRequestError, sent: Mapping[str, Any]) -> str:
    """The parameter that the server does not take at all, or ""."""
    message = error.message.lower()
    name = (error.param or "").split(".")[0].split("[")[0]
    if name not in _INSTEAD:
        name = next((n for n in _INSTEAD if f"'{n}'" in message or f'"{n}"' in message or f"`{n}`" in message), "")
    said_so = (error.code or "").startswith("unsupported") or any(
        word in message for word in ("unsupported", "not supported", "unknown", "unrecognized", "not permitted")
    )
    return name if name in sent and said_so else ""
