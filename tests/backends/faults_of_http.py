"""Rows of the fault table: what a server answers instead of a stream, and where there is no server."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.backends.conftest import KEY
from tests.backends.fake_api import Reply, json_reply
from tests.backends.fault import APIS, BUSY, OWN, PAGE, TRY, USED_UP, Fault, always, ends, fails, passes
from tests.backends.voices import error_reply

BASE_URL = "Check the base URL; it often ends in /v1."
LIMITED = "{host} asks to wait: too many requests. Try again later."
NO_API = f"{{host}} answers, but not as a model API. {BASE_URL}"
NO_MODEL = "{host} does not know the model 'm1'. Check its name in the settings."
NOBODY = "{host} cannot be reached. Check the network and the base URL, then try again."
NO_TRUST = "{host} shows a certificate that cannot be trusted. Check the base URL and the network."
NOT_TAKEN = "{host} did not accept the request. Check the model's name and its parameters."
TOO_LONG = "This conversation is too long for the model. Start a new thread, or choose a larger model."
DECLINED = "{host} declined to answer this. Ask it in another way."
#: There it may be the assistant that is not found: it is made anew once.
ONCE_MORE = {"openai_assistants": fails("model_not_found", NO_MODEL, requests=2)}

REFUSED: Sequence[Fault] = (
    Fault(
        "limited",
        "429 with `retry-after-ms`",
        always(error_reply(429, f"Slow down, {KEY}", retry_after_ms="1")),
        fails("rate_limited", LIMITED, requests=3, wait=0.001),
        wires=APIS,
    ),
    Fault(
        "limited_no_word",
        "429 without a word on when",
        always(error_reply(429, "Slow down")),
        fails("rate_limited", LIMITED, requests=3),
        wires=APIS,
    ),
    Fault(
        "limited_long",
        "429 with a `retry-after` longer than the first word may take",
        always(error_reply(429, "Slow down", retry_after="60")),
        fails(
            "rate_limited", "{host} asks to wait 60 s: too many requests. Try again after that.", requests=1, wait=60.0
        ),
        wires=APIS,
    ),
    Fault(
        "limited_passes",
        "429 twice, then the answer",
        passes(*[error_reply(429, "Slow down", retry_after_ms="1")] * 2),
        ends(requests=3),
        wires=APIS,
    ),
    Fault(
        "quota",
        "429: the quota is used up",
        always(error_reply(429, "You exceeded your current quota", "insufficient_quota")),
        fails("rate_limited", USED_UP),
        wires=APIS,
    ),
    Fault(
        "error_500",
        "500",
        always(error_reply(500, f"boom {KEY}", retry_after_ms="1")),
        fails("server_failed", f"{OWN} {TRY} It says: boom …", requests=3),
    ),
    Fault("error_500_passes", "500, then the answer", passes(error_reply(500, "boom", retry_after_ms="1")), ends(2)),
    Fault(
        "overloaded_503",
        "503",
        always(error_reply(503, "busy", "server_error", retry_after_ms="1")),
        fails("overloaded", BUSY, requests=3, wait=0.001),
    ),
    Fault(
        "overloaded_529",
        "529, as some vendors say overloaded",
        always(error_reply(529, "busy", "overloaded_error", retry_after_ms="1")),
        fails("overloaded", BUSY, requests=3, wait=0.001),
        wires=APIS,
    ),
    Fault(
        "page_502",
        "502 with a web page",
        always(Reply([PAGE], 502, "text/html", {"retry-after-ms": "1"})),
        fails("server_failed", f"{OWN} {TRY}", requests=3),
        wires=APIS,
    ),
    Fault(
        "key",
        "401",
        always(error_reply(401, f"Incorrect API key provided: {KEY}", "invalid_api_key")),
        fails("auth_failed", "{host} refused the key. Check OPENAI_API_KEY in .env, then start again."),
        wires=APIS,
    ),
    Fault(
        "bad_request",
        "400: a bad request",
        always(error_reply(400, f"no such colour: {KEY}")),
        fails("bad_request", f"{NOT_TAKEN} It says: no such colour: …"),
    ),
    Fault(
        "too_long",
        "400: the context is too long (a turn leaves out the older half of the history first and asks once more)",
        always(error_reply(400, "The maximum context length is 8192 tokens", "context_length_exceeded")),
        fails("context_too_long", TOO_LONG),
    ),
    Fault(
        "declined",
        "400: the question is declined by a filter",
        always(error_reply(400, "filtered", "content_filter")),
        fails("refused", DECLINED),
        wires=APIS,
    ),
    Fault(
        "no_model",
        "404: no such model",
        always(error_reply(404, "The model m1 does not exist", "model_not_found")),
        fails("model_not_found", NO_MODEL),
        ONCE_MORE,
        wires=APIS,
    ),
    Fault(
        "page_404",
        "404 with a web page",
        always(Reply([PAGE], 404, "text/html")),
        fails("not_an_api", NO_API),
        {"openai_assistants": fails("not_an_api", NO_API, requests=2)},
        wires=APIS,
    ),
    Fault(
        "moved",
        "308 to another server",
        always(Reply([], 308, "text/plain", {"location": "http://models.invalid/v1/chat/completions"})),
        fails(
            "not_an_api",
            "{host} points to http://models.invalid. If that is to be trusted, give it as the base URL.",
        ),
        wires=APIS,
    ),
)

NO_STREAM: Sequence[Fault] = (
    Fault("json", "JSON where a stream was asked for", lambda v: [json_reply(200, json.dumps(v.document))], ends()),
    Fault(
        "page",
        "a web page instead of a stream",
        always(Reply([PAGE], 200, "text/html")),
        fails("not_an_api", NO_API),
        wires=APIS,
    ),
    Fault(
        "page_as_stream",
        "a web page that says it is a stream",
        always(Reply([PAGE])),
        fails("not_an_api", f"{{host}} answers, but with a web page. {BASE_URL}"),
        wires=APIS,
    ),
    Fault(
        "other_json",
        "JSON that is no answer",
        always(json_reply(200, '{"hello": "world"}')),
        fails("not_an_api", NO_API),
        wires=APIS,
    ),
    Fault(
        "error_200",
        "an error with status 200",
        always(json_reply(200, '{"error": {"code": "server_error", "message": "boom"}}')),
        fails("server_failed", f"{OWN} {TRY} It says: boom", requests=3),
        wires=APIS,
    ),
)

NOWHERE: Sequence[Fault] = (
    Fault("nobody", "nobody listens", "a closed port", fails("unreachable", NOBODY, requests=3)),
    Fault(
        "no_name", "no such name, or no network", "no such name", fails("unreachable", NOBODY, requests=3), wires=APIS
    ),
    Fault(
        "no_trust",
        "a certificate that cannot be trusted",
        "an untrusted certificate",
        fails("unreachable", NO_TRUST),
        wires=APIS,
    ),
    Fault("no_http", "something that speaks no HTTP", "no HTTP", fails("not_an_api", NO_API, requests=3), wires=APIS),
)
