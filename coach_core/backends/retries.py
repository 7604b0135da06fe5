"""When a request is sent again, and after how long: before the first token only, and never more than RETRIES times.

Invariant: no wait is shorter than the server asked for, none outlasts the watch, and no two are alike, so that
those who were refused together do not come back together. What no waiting mends is not tried again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from random import uniform
from typing import Any, TypeVar

import httpx2
import openai

from coach_core.backends import Request, line
from coach_core.backends.line import Watch
from coach_core.backends.sdk_errors import used_up
from coach_core.errors import BackendError, MalformedStream, RateLimited, ServerFailed, StreamCut
from coach_core.types import Event

_T = TypeVar("_T")
RETRIES = 2
LONG = 2.0  # seconds that nobody waits without a word
_BACKOFF = 0.5  # seconds before the first retry where the server does not say


class PutOff(Exception):
    """It is to be sent again, after so many seconds. Internal: it never leaves a backend."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Client(openai.OpenAI):
    """The SDK's client: it retries until the headers are there, and waits in a way that can be interrupted."""

    def alone(self, headers: Mapping[str, Any]) -> None:
        """Forget what the SDK took from the environment by itself (OPENAI_ORG_ID, OPENAI_CUSTOM_HEADERS ...): it is
        meant for the settings' own endpoint, and may name an organisation or hold a key."""
        self.organization = self.project = self.admin_api_key = None
        self._custom_headers = headers

    def _validate_headers(self, headers: Any, custom_headers: Any) -> None:
        """Whoever makes a client has seen to it that there is a key, in the header that the server wants."""

    def _should_retry(self, response: httpx2.Response) -> bool:
        if not super()._should_retry(response):
            return False
        return response.status_code != 429 or not used_up(response.read().decode("utf-8", "replace"))

    def _sleep_for_retry(self, *, retries_taken: int, max_retries: int, options: Any, response: Any) -> None:
        fault = sys.exception()
        if response is None and isinstance(fault, httpx2.TransportError) and "CERTIFICATE" in str(fault):
            raise openai.APIConnectionError(request=fault.request) from fault
        headers: Mapping[str, str] = {} if response is None else response.headers
        seconds = self._calculate_retry_timeout(max_retries - retries_taken, options, headers)  # type: ignore[arg-type]
        if self._parse_retry_after_header(headers) == seconds:  # type: ignore[arg-type]
            seconds = _jittered(seconds)
        watch = line.current()
        if watch and response is not None and seconds >= watch.look():
            raise self._make_status_error_from_response(response)  # no use in waiting: say why
        if watch and watch.aloud and response is not None and seconds > LONG:
            watch.put_off += 1 + retries_taken
            raise PutOff(seconds)
        line.pause(seconds)


def wait_before(fault: BackendError, watch: Watch) -> float | None:
    """Seconds until it is time to ask again; None where what went wrong does not pass, or there is no time."""
    if watch.sent > RETRIES or not _passes(fault):
        return None
    told = fault.retry_after
    seconds = _jittered(told) if told else _BACKOFF * 2 ** (watch.sent - 1) * uniform(0.75, 1)
    return None if seconds >= watch.look() else seconds


def pause(seconds: float, watch: Watch) -> Iterator[Event]:
    """Wait, and say so before where it takes long."""
    if seconds > LONG:
        yield Event("notice", source="wait", text=f"{watch.host} asks to wait {seconds:.0f} s; asking again then.")
    with watch.held():
        line.pause(seconds)


def aloud(watch: Watch, send: Callable[[], _T]) -> Generator[Event, None, _T]:
    """What `send` returns; before each long wait to send it again it is said that there is one."""
    while True:
        watch.aloud = True
        try:
            return send()
        except PutOff as put_off:
            seconds = put_off.seconds
        finally:
            watch.aloud = False
        yield from pause(seconds, watch)


def anew(request: Request) -> Request:
    """The request when nobody knows what the server has made of the first: its conversation is left alone."""
    kept = {k: v for k, v in (request.provider_state or {}).items() if k != "conversation_id"}
    return replace(request, provider_state=kept or None)


def _passes(fault: BackendError) -> bool:
    """Whether a stream broke off, or its server told of trouble that may have passed by the next time."""
    broke_off = isinstance(fault, StreamCut) and not isinstance(fault, MalformedStream)
    return fault.retryable and (broke_off or isinstance(fault, ServerFailed | RateLimited))


def _jittered(seconds: float) -> float:
    """No sooner than the server asks for, and not with all the others that it has asked."""
    return seconds + uniform(0, min(1.0, seconds / 4))
