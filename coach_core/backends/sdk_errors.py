"""Every error of the SDK and of httpx2 as a BackendError with a sentence that is safe to show.

Invariant: nothing but BackendError (and Cancelled) leaves `mapped`; a sentence names the endpoint's host,
may quote what the server said, and never holds the key, nor anything that looks like one.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from openai._exceptions import SubjectTokenProviderError

from coach_core.backends import Endpoint
from coach_core.errors import (
    AuthFailed,
    BackendError,
    BadRequest,
    ContextTooLong,
    HostedSearchFailed,
    MalformedStream,
    ModelNotFound,
    NotAnApi,
    Overloaded,
    RateLimited,
    Refused,
    ServerFailed,
    StateLost,
    StreamCut,
    TimedOut,
    Unreachable,
)

log = logging.getLogger(__name__)
_SECRET = re.compile(r"\b(?:sk|pk|key|hf|gsk|xai|Bearer)[-_ ][\w*.…-]{6,}|\b[A-Fa-f0-9]{32,}\b")
_TOO_LONG = re.compile(
    r"context.{0,20}(?:length|size|window)|maximum context|too many tokens|prompt is too long|exceeds? the "
    r"(?:available|maximum|model)",
    re.IGNORECASE,
)
_STATE = re.compile(
    r"previous[ _]response|no tool (?:output|call) found|no corresponding function_call|"
    r"invalid value for 'conversation'|"
    r"(?:conversation|thread|assistant|item|response '?resp_\w+)\b.{0,90}(?:not found|"
    r"does not exist|was deleted)|no (?:conversation|thread|assistant|run|item) found|without its required|"
    r"invalid.{0,30}encrypted[ _]content|encrypted content.{0,40}(?:invalid|could not be)",
    re.IGNORECASE,
)
_STORE = re.compile(r"vector[ _]store", re.IGNORECASE)
_AGAIN = re.compile(r"(?:try again|retry)(?: after| in) (?:(\d+)m)?(\d+(?:\.\d+)?) ?(ms|s)", re.IGNORECASE)
_CODES: dict[str, type[BackendError]] = {
    "context_length_exceeded": ContextTooLong,
    "exceed_context_size_error": ContextTooLong,
    "string_above_max_length": ContextTooLong,
    "invalid_api_key": AuthFailed,
    "authentication_error": AuthFailed,
    "model_not_found": ModelNotFound,
    "deploymentnotfound": ModelNotFound,
    "previous_response_not_found": StateLost,
    "conversation_not_found": StateLost,
    "conversation_locked": StateLost,
    "invalid_encrypted_content": StateLost,
    "rate_limit_exceeded": RateLimited,
    "too_many_requests": RateLimited,
    "insufficient_quota": RateLimited,
    "content_filter": Refused,
    "content_policy_violation": Refused,
    "invalid_prompt": Refused,
    "cyber_policy_violation": Refused,
    "server_error": ServerFailed,
    "server_is_overloaded": Overloaded,
    "overloaded_error": Overloaded,
    "slow_down": Overloaded,
    "vector_store_timeout": HostedSearchFailed,
}
_STATUS: dict[int, type[BackendError]] = {
    400: BadRequest,
    401: AuthFailed,
    403: AuthFailed,
    404: NotAnApi,
    405: NotAnApi,
    408: TimedOut,
    409: Overloaded,
    413: ContextTooLong,
    422: BadRequest,
    429: RateLimited,
    503: Overloaded,
    529: Overloaded,
}


@contextmanager
def mapped(endpoint: Endpoint) -> Iterator[None]:
    """Inside, errors of the SDK, of httpx2 and of broken bodies become BackendErrors."""
    try:
        yield
    except BackendError:
        raise
    except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        raise map_error(error, endpoint) from error
    except (httpx2.CookieConflict, ssl.SSLError, ValueError) as error:
        raise map_error(error, endpoint) from error
    except (TypeError, AttributeError, LookupError) as error:  # a chunk that is not shaped as promised
        log.warning("%s sent something unexpected", host_of(endpoint), exc_info=True)
        raise map_error(error, endpoint) from error


def host_of(endpoint: Endpoint) -> str:
    """What a person calls the server: host and port, or the vendor's own."""
    try:
        address = urlsplit(endpoint.base_url or "https://api.openai.com")
        name, port = address.hostname, address.port
    except ValueError:
        name, port = None, None
    return f"{name}:{port}" if name and port else name or "The model's server"


def not_an_api(endpoint: Endpoint) -> NotAnApi:
    host = host_of(endpoint)
    return NotAnApi(f"{host} answers, but not as a model API. Check the base URL; it often ends in /v1.")


def stay_with(endpoint: Endpoint) -> Callable[[httpx2.Response], None]:
    """Refuses a redirect that would hand the question, or a key in a header of its own, to another server."""

    def look(response: httpx2.Response) -> None:
        if not response.has_redirect_location:
            return
        here = response.request.url
        to = here.join(response.headers["location"])
        same = to.host == here.host and (to.scheme == "https" or (to.scheme, to.port) == (here.scheme, here.port))
        if not same:
            where = f"{to.scheme}://{to.netloc.decode()}"
            raise NotAnApi(f"{host_of(endpoint)} points to {where}. If that is to be trusted, give it as the base URL.")

    return look


def map_error(error: BaseException, endpoint: Endpoint) -> BackendError:
    """The BackendError that `error` is, its sentence in terms of `endpoint`."""
    host = host_of(endpoint)
    match error:
        case openai.APIStatusError():
            return _status(error, endpoint)
        case openai.APITimeoutError() | httpx2.TimeoutException():
            if isinstance(error.__cause__ or error, httpx2.ConnectTimeout):
                return _unreachable(host)
            return TimedOut(f"{host} took too long. What had arrived is kept; try again.")
        case openai.APIResponseValidationError():
            return not_an_api(endpoint)
        case openai.APIConnectionError():
            return _network(error.__cause__ or error, host) or not_an_api(endpoint)
        case openai.APIError():
            return said(f"{error.code} {error.type}", error.message, endpoint)
        case openai.LengthFinishReasonError():
            return ContextTooLong()
        case openai.ContentFilterFinishReasonError():
            return Refused()
        case SubjectTokenProviderError():
            return AuthFailed(f"{host} could not check who asks. {_mend_key(endpoint)}")
        case openai.WebSocketConnectionClosedError() | openai.WebSocketQueueFullError():
            return StreamCut()
        case openai.OpenAIError():
            opening = f"{host} was not asked: the request is not complete."
            return BadRequest(quoting(opening, str(error), endpoint))
        case httpx2.HTTPStatusError():
            kind = _of_status(error.response.status_code)
            return kind(_sentence(kind, "", "", endpoint))
        case httpx2.RequestError() | ssl.SSLError():
            return _network(error, host) or not_an_api(endpoint)
        case httpx2.InvalidURL():
            return Unreachable("The base URL is not an address. It should look like https://host/v1.")
        case json.JSONDecodeError() | UnicodeDecodeError():
            return MalformedStream(f"{host} sent something damaged. What had arrived is kept; press Continue.")
        case httpx2.StreamError():
            return StreamCut()
        case _:
            return MalformedStream(f"{host} sent something unexpected. What had arrived is kept; press Continue.")


def said(
    codes: str | None,
    message: str | None,
    endpoint: Endpoint,
    status: int = 0,
    headers: Mapping[str, str] | None = None,
) -> BackendError:
    """An error that the server spelt out: by its codes (joined by blanks), its words, its HTTP status and headers."""
    told = (codes or "").lower().split()
    kind = next((_CODES[c] for c in told if c in _CODES), None)
    text = message or ""
    status = status or next((int(c) for c in told if c.isdigit() and len(c) == 3), 0)
    if kind in {None, ServerFailed} and status in {0, 400, 404, 413, 422, 500}:  # some servers call all of it theirs
        if _TOO_LONG.search(text):
            kind = ContextTooLong
        elif _STORE.search(text):
            kind = HostedSearchFailed
        elif _STATE.search(text):
            kind = StateLost
        elif status == 404 and "model" in text.lower():
            kind = ModelNotFound
    if kind is ServerFailed and issubclass(_of_status(status), ServerFailed):  # 503 says more than "server_error"
        kind = _of_status(status)
    kind = kind or (_of_status(status) if status else ServerFailed)
    fault = kind(_sentence(kind, codes or "", text, endpoint))
    if kind is RateLimited and used_up(f"{codes} {text}"):
        fault.retryable = False
        return fault
    return _asking_to_wait(fault, _told_to_wait(headers or {}, text), host_of(endpoint))


def _status(error: openai.APIStatusError, endpoint: Endpoint) -> BackendError:
    status = error.status_code
    kind = str(error.response.headers.get("content-type", ""))
    if "html" in kind or (isinstance(error.body, str) and error.body.lstrip()[:1] == "<"):
        if status in {404, 405} or status < 400:
            return not_an_api(endpoint)
        message = ""
    else:
        message = message_of(error)
    return said(f"{error.code} {error.type}", message, endpoint, status, error.response.headers)


def _asking_to_wait(fault: BackendError, wait: float, host: str) -> BackendError:
    if not wait or not isinstance(fault, RateLimited | Overloaded):
        return fault
    if wait >= 1:
        limited = isinstance(fault, RateLimited)
        why = f"asks to wait {_length(wait)}: too many requests" if limited else f"is overloaded for {_length(wait)}"
        fault = type(fault)(f"{host} {why}. Try again after that.")
    fault.retry_after = wait
    return fault


def _length(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} minutes"


def _told_to_wait(headers: Mapping[str, str], message: str) -> float:
    """Seconds the server asks to wait: `retry-after-ms`, `retry-after` (RFC 9110: seconds or a date), or in words."""
    told = headers.get("retry-after", "")
    for value, unit in ((headers.get("retry-after-ms", ""), 1000), (told, 1)):
        try:
            if value:
                return max(0.0, float(value) / unit)
        except ValueError:
            continue
    if told:
        try:
            return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            pass
    if found := _AGAIN.search(message):
        minutes, seconds, unit = found.groups()
        return int(minutes or 0) * 60 + float(seconds) / (1000 if unit.lower() == "ms" else 1)
    return 0.0


def message_of(error: openai.APIStatusError) -> str:
    """What the server says of its refusal, wherever it stands in the body."""
    body = error.body
    if isinstance(body, Mapping):
        inner: Any = body.get("message") or body.get("detail") or body.get("error") or ""
        return inner if isinstance(inner, str) else json.dumps(inner)[:300]
    return body if isinstance(body, str) else ""


def used_up(words: str) -> bool:
    """Whether what was reached is the plan's limit, which no waiting lifts, and not that of a minute."""
    return "insufficient_quota" in words or ("quota" in words and not _AGAIN.search(words))


def _of_status(status: int) -> type[BackendError]:
    return _STATUS.get(status) or (ServerFailed if status >= 500 else BadRequest)


def _sentence(kind: type[BackendError], code: str, message: str, endpoint: Endpoint) -> str:
    host = host_of(endpoint)
    if kind is RateLimited and used_up(f"{code} {message}"):
        return f"{host} says that the quota is used up. Check the plan and billing of the key."
    openings: dict[type[BackendError], str] = {
        AuthFailed: f"{host} refused the key. {_mend_key(endpoint)}"
        if endpoint.key_variable
        else f"{host} wants a key. Put it into .env and name its variable in the settings.",
        RateLimited: f"{host} asks to wait: too many requests. Try again later.",
        ModelNotFound: f"{host} does not know the model {endpoint.model!r}. Check its name in the settings.",
        NotAnApi: f"{host} has no model API at this address. Check the base URL; it often ends in /v1.",
        BadRequest: f"{host} did not accept the request. Check the model's name and its parameters.",
        ServerFailed: f"{host} had an error of its own. What was said is kept; try again.",
        Overloaded: f"{host} is overloaded. Try again in a moment.",
        Refused: f"{host} declined to answer this. Ask it in another way.",
    }
    opening = openings.get(kind) or kind().sentence
    return quoting(opening, message, endpoint) if kind in {BadRequest, ServerFailed, HostedSearchFailed} else opening


def _mend_key(endpoint: Endpoint) -> str:
    """What to look at. The settings' own key is read at the start, any other whenever it is needed."""
    name = endpoint.key_variable or "the key"
    return f"Check {name} in .env" + (", then start again." if name == Endpoint("").key_variable else ".")


def _network(error: BaseException, host: str) -> BackendError | None:
    """What went wrong on the line; None when the server answers, but no HTTP that makes sense."""
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.TooManyRedirects | httpx2.DecodingError):
        return None
    if "CERTIFICATE" in str(error):
        return Unreachable(f"{host} shows a certificate that cannot be trusted. Check the base URL and the network.")
    if isinstance(error, httpx2.RemoteProtocolError) and "status line" in str(error):
        return None
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError | httpx2.WriteError | httpx2.CloseError):
        return StreamCut(f"The line to {host} was cut. What had arrived is kept; press Continue.")
    return _unreachable(host)


def _unreachable(host: str) -> Unreachable:
    return Unreachable(f"{host} cannot be reached. Check the network and the base URL, then try again.")


def quoting(opening: str, message: str, endpoint: Endpoint) -> str:
    """`opening`, then what the server says, without anything that looks like a key."""
    text = " ".join(_clean(message, endpoint).split())
    return f"{opening} It says: {text[:240]}" if text else opening


def _clean(text: str, endpoint: Endpoint) -> str:
    if len(endpoint.key) >= 4:
        text = text.replace(endpoint.key, "…")
    return _SECRET.sub("…", text)
