"""No error of the SDK or of httpx2 reaches a person as it is, and none lets the key out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx2
import openai
import pytest

from coach_core.backends import Endpoint
from coach_core.backends.sdk_errors import map_error, mapped, said
from coach_core.errors import (
    AuthFailed,
    BackendError,
    BadRequest,
    ContextTooLong,
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
from tests.backends.conftest import KEY

ENDPOINT = Endpoint("fake", "https://models.example:8443/v1", KEY, "m1")
_REQUEST = httpx2.Request("POST", "https://models.example:8443/v1/chat/completions")
SPEECH = f"Incorrect API key provided: {KEY}; Bearer {KEY}; sk-other-123456789; see docs."


def _classes() -> Iterator[type[Exception]]:
    for module in (openai, httpx2, openai._exceptions, httpx2._exceptions):
        assert isinstance(module, ModuleType)
        for name in [*vars(module), *getattr(module, "__all__", ())]:
            found = getattr(module, name)
            if isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, Warning):
                yield found


CLASSES = sorted(set(_classes()), key=lambda c: f"{c.__module__}.{c.__name__}")


def _made(kind: type[Exception], status: int = 418) -> Exception:
    """An instance with the planted key in each text it can hold."""
    status = getattr(kind, "status_code", None) or status
    response = httpx2.Response(status, request=_REQUEST, json={"error": {"message": SPEECH}})
    for arguments in (
        {"message": SPEECH, "response": response, "body": {"message": SPEECH}},
        {"message": SPEECH, "request": _REQUEST, "response": response},
        {"message": SPEECH, "request": _REQUEST, "body": {"message": SPEECH}},
        {"message": SPEECH, "request": _REQUEST},
        {"response": response, "body": {"message": SPEECH}},
        {"request": _REQUEST},
        {"completion": openai.types.chat.ChatCompletion.construct()},
        {"message": SPEECH, "unsent_messages": []},
        {"message": SPEECH},
        {},
    ):
        try:
            return kind(**arguments)
        except TypeError:
            continue
    return kind(SPEECH)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: f"{c.__module__.split('.')[0]}.{c.__name__}")
def test_every_error_is_mapped_and_keeps_the_key(kind: type[Exception]) -> None:
    error = _made(kind)
    with pytest.raises(BackendError) as caught, mapped(ENDPOINT):
        raise error
    assert type(caught.value) is not BackendError, "a kind of its own"
    assert caught.value.sentence and KEY not in caught.value.sentence and "sk-" not in caught.value.sentence
    assert len(caught.value.sentence) < 450


def test_the_walk_sees_the_errors_that_matter() -> None:
    assert {openai.RateLimitError, openai.OAuthError, httpx2.ReadTimeout, httpx2.StreamClosed} <= set(CLASSES)
    assert len(CLASSES) > 40


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (401, {"error": {"message": SPEECH, "code": "invalid_api_key"}}, AuthFailed, "8443 refused the key"),
        (403, {"error": {"message": "no"}}, AuthFailed, ".env"),
        (404, {"error": {"code": "model_not_found", "message": "x"}}, ModelNotFound, "'m1'"),
        (404, {"error": {"code": "DeploymentNotFound", "message": "x"}}, ModelNotFound, "'m1'"),
        (404, {"error": {"message": "The model m1 is not here"}}, ModelNotFound, "settings"),
        (404, {"detail": "Not Found"}, NotAnApi, "/v1"),
        (404, "<!doctype html><h1>Not found</h1>", NotAnApi, "/v1"),
        (400, {"error": {"code": "context_length_exceeded", "message": "x"}}, ContextTooLong, "new thread"),
        (400, {"error": {"code": 400, "type": "exceed_context_size_error"}}, ContextTooLong, "new thread"),
        (400, {"error": {"message": "the maximum context length is 8192"}}, ContextTooLong, "new thread"),
        (400, {"error": {"code": "previous_response_not_found", "message": "x"}}, StateLost, "no longer knows"),
        (400, {"error": {"message": "No tool output found for function call call_1."}}, StateLost, "no longer knows"),
        (400, {"error": {"code": "content_filter", "message": "x"}}, Refused, "another way"),
        (400, {"error": {"message": "Invalid 'temperature'"}}, BadRequest, "Invalid 'temperature'"),
        (422, {"detail": [{"msg": "field required"}]}, BadRequest, "field required"),
        (429, {"error": {"message": "slow down"}}, RateLimited, "asks to wait"),
        (429, {"error": {"code": "insufficient_quota", "message": "x"}}, RateLimited, "quota is used up"),
        (500, {"error": {"message": "boom"}}, ServerFailed, "boom"),
        (502, "<html>Bad gateway</html>", ServerFailed, "error of its own"),
        (503, {"error": {"code": "server_is_overloaded", "message": "x"}}, Overloaded, "overloaded"),
    ],
)  # fmt: skip
def test_what_a_status_means(status: int, body: Any, kind: type[BackendError], words: str) -> None:
    plain = isinstance(body, str)
    headers = {"content-type": "text/html" if plain else "application/json"}
    response = httpx2.Response(status, request=_REQUEST, headers=headers, content=body if plain else json.dumps(body))
    client = openai.OpenAI(api_key="k", base_url=ENDPOINT.base_url)
    fault = map_error(client._make_status_error_from_response(response), ENDPOINT)
    assert type(fault) is kind
    assert words in fault.sentence and KEY not in fault.sentence


def test_how_long_to_wait_is_told() -> None:
    response = httpx2.Response(429, request=_REQUEST, headers={"retry-after": "17"}, json={"error": {"message": "x"}})
    error = openai.RateLimitError("x", response=response, body={"message": "x"})
    assert "17 s" in map_error(error, ENDPOINT).sentence


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (httpx2.ConnectError("refused"), Unreachable),
        (httpx2.ReadError("reset"), StreamCut),
        (httpx2.RemoteProtocolError("peer closed"), StreamCut),
        (httpx2.UnsupportedProtocol("ftp"), NotAnApi),
        (httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), Unreachable),
    ],
)
def test_the_cause_of_a_connection_error_decides(cause: Exception, kind: type[BackendError]) -> None:
    error = openai.APIConnectionError(request=_REQUEST)
    error.__cause__ = cause
    assert type(map_error(error, ENDPOINT)) is kind


def test_timeouts_and_errors_told_in_the_stream() -> None:
    assert type(map_error(openai.APITimeoutError(_REQUEST), ENDPOINT)) is TimedOut
    assert type(said("rate_limit_exceeded", "x", ENDPOINT)) is RateLimited
    assert type(said("server_error", "x", ENDPOINT)) is ServerFailed
    assert type(said(None, None, ENDPOINT)) is ServerFailed
    body = {"code": "context_length_exceeded", "message": SPEECH}
    assert type(map_error(openai.APIError("x", _REQUEST, body=body), ENDPOINT)) is ContextTooLong
