"""Rows of the fault table: what becomes of a stream that has begun."""

from __future__ import annotations

from collections.abc import Sequence

from coach_core.backends.frames import MOST
from tests.backends.conftest import KEY
from tests.backends.fake_api import Reply
from tests.backends.fault import (
    APIS,
    BUSY,
    GO_ON,
    HASTE,
    OWN,
    PAGE,
    TRY,
    TWICE,
    USED_UP,
    Fault,
    Outcome,
    all_of,
    always,
    amid,
    before_each,
    body,
    ends,
    fails,
    half,
    heard,
    padded,
    plays,
    slowly,
    without,
)
from tests.backends.voices import BEGUN, write

CUT = "The line to {host} was cut."
ENDED = "The answer was cut off on its way."
NO_BEGIN = "{host} did not begin to answer within 0.5 s. Try again."
STOPPED = f"{{host}} stopped in the middle of the answer for 0.3 s. {GO_ON}"
SILENT = {"first_token_timeout": 0.5, "total_timeout": 0.6}
LATE = {"local": fails("timed_out", f"The answer took longer than it may and was stopped. {TRY}")}
#: Where the server keeps the run, its answer is asked for when the line is cut.
ASKED_FOR = {"openai_assistants": ends()}


def cut(sentence: str = CUT, *, kept: str = BEGUN, requests: int = 1) -> Outcome:
    return fails("stream_cut", f"{sentence} {GO_ON if kept else TRY}", requests, kept)


def damaged(what: str, *, kept: str = BEGUN) -> Outcome:
    return fails("malformed_stream", f"{{host}} sent {what}. {GO_ON if kept else TRY}", kept=kept)


SLOW: Sequence[Fault] = (
    Fault(
        "slow",
        "no first word, and no headers",
        always(Reply([], wait_first=True)),
        fails("first_token_timeout", NO_BEGIN),
        LATE,
        times=SILENT,
    ),
    Fault(
        "slow_begun",
        "word that it has begun, and nothing more",
        plays(lambda v: [*v.lines(v.begin[:2]), "hang"]),
        fails("first_token_timeout", NO_BEGIN),
        LATE,
        times=SILENT,
    ),
    Fault(
        "pings",
        "pings, and nothing else",
        plays(lambda v: [*[b": ping\n\n", "pause"] * 3, "hang"]),
        fails("first_token_timeout", NO_BEGIN),
        LATE,
        times=SILENT,
    ),
    Fault(
        "stall",
        "a stall in the middle",
        plays(lambda v: heard(v, "hang")),
        fails("token_timeout", STOPPED, kept=BEGUN),
        times=HASTE,
    ),
    Fault(
        "stall_pings",
        "a stall in the middle, with pings",
        plays(lambda v: heard(v, *[b": ping\n\n", "pause"] * 2, "hang")),
        fails("token_timeout", STOPPED, kept=BEGUN),
        times=HASTE,
    ),
    Fault(
        "whole",
        "an answer that takes longer than all of it may",
        plays(lambda v: heard(v, "hang")),
        fails("timed_out", f"The answer took longer than it may and was stopped. {GO_ON}", kept=BEGUN),
        times={"total_timeout": 0.4},
    ),
    Fault("steady", "a slow answer without a stall", slowly(lambda v: v.frames), ends(), times=HASTE),
    Fault(
        "steady_call",
        "a tool call in slow fragments",
        slowly(lambda v: [*v.begin, *v.call]),
        ends(kept="", finish="tool_calls", called=True),
        times=HASTE,
        tools=True,
        keeps="call",
    ),
)

BROKEN: Sequence[Fault] = (
    Fault("cut", "the line is cut after some words", plays(lambda v: heard(v, "cut")), cut(), ASKED_FOR),
    Fault(
        "cut_in_event", "the line is cut within an event", plays(lambda v: heard(v, half(v), "cut")), cut(), ASKED_FOR
    ),
    Fault("half_closed", "the server half-closes the line", plays(lambda v: heard(v, "shut")), cut(), ASKED_FOR),
    Fault("ends", "the stream ends without its end", plays(heard), cut(ENDED), ASKED_FOR),
    Fault("ends_unframed", "the same, without a length or chunks", plays(heard, framed=False), cut(ENDED), ASKED_FOR),
    Fault("ends_in_event", "the stream ends within an event", plays(lambda v: heard(v, half(v))), cut(), ASKED_FOR),
    Fault(
        "cut_first",
        "the line is cut before the first word",
        plays(lambda v: [*v.lines(v.begin), "cut"]),
        cut(kept="", requests=3),
        ASKED_FOR,
    ),
    Fault(
        "cut_first_passes",
        "the same once, then the answer",
        lambda v: [Reply([*v.lines(v.begin), "cut"]), Reply(all_of(v))],
        ends(2),
        ASKED_FOR,
    ),
    Fault("cut_headers", "the line is cut after the headers", always(Reply(["cut"])), cut(kept="", requests=3)),
    Fault(
        "cut_call",
        "the line is cut within a tool call: nothing is run",
        plays(lambda v: [*v.lines([*v.begin, *v.call[:-2]]), "cut"]),
        cut(kept="", requests=3),
        {"openai_assistants": ends(kept="", finish="tool_calls", called=True)},
        tools=True,
        keeps="call",
    ),
    Fault("empty", "an empty stream", always(Reply([])), cut(ENDED, kept="", requests=3)),
    Fault(
        "only_done", "a stream of [DONE] alone", always(Reply([b"data: [DONE]\n\n"])), cut(ENDED, kept="", requests=3)
    ),
    Fault(
        "only_pings", "a stream of pings that ends", always(Reply([b": ping\n\n"] * 3)), cut(ENDED, kept="", requests=3)
    ),
)

DAMAGED: Sequence[Fault] = (
    Fault("corrupt", "a corrupt event after some words", amid(b"data: {nope\n\n"), damaged("something damaged")),
    Fault(
        "corrupt_first",
        "a corrupt event at the beginning",
        plays(lambda v: [b"data: {nope\n\n", *all_of(v)]),
        damaged("something damaged", kept=""),
    ),
    Fault("no_object", "an event that is a list", amid(b"data: [1, 2]\n\n"), damaged("something that is no event")),
    Fault(
        "misshaped",
        "an event of another shape",
        plays(lambda v: heard(v, *v.lines([v.misshaped]))),
        damaged("something unexpected"),
    ),
    Fault("page_inside", "a web page in the middle", amid(PAGE), damaged("a web page in the middle of the answer")),
    Fault(
        "oversized",
        f"an event of more than {MOST >> 20} MB",
        amid(b'data: {"x": "', *[b"x" * (1 << 20)] * (MOST >> 20)),
        damaged("an event that is too large"),
    ),
    Fault(
        "oversized_json",
        f"an answer in one piece of more than {MOST >> 20} MB",
        always(Reply([b'{"x": "', *[b"x" * (1 << 20)] * (MOST >> 20)], 200, "application/json")),
        damaged("an answer that is too large", kept=""),
    ),
)

TOLD: Sequence[Fault] = (
    Fault(
        "error_event",
        "an error after some words",
        plays(lambda v: heard(v, *v.lines([v.error("server_error", f"boom {KEY}")]))),
        fails("server_failed", f"{OWN} {GO_ON} It says: boom …", kept=BEGUN),
    ),
    Fault(
        "limited_event",
        "a rate limit after some words",
        plays(lambda v: heard(v, *v.lines([v.error("rate_limit_exceeded", "Please try again in 20s.")]))),
        fails(
            "rate_limited",
            f"{{host}} asks to wait 20 s: too many requests. Try again after that. {GO_ON}",
            kept=BEGUN,
            wait=20.0,
        ),
    ),
    Fault(
        "error_first",
        "overloaded, before the first word",
        plays(lambda v: v.lines([*v.begin, v.error("server_is_overloaded", "busy")])),
        fails("overloaded", BUSY, requests=3),
    ),
    Fault(
        "error_first_passes",
        "overloaded once before the first word, then the answer",
        lambda v: [Reply(v.lines([*v.begin, v.error("server_is_overloaded", "busy")])), Reply(all_of(v))],
        ends(2),
    ),
    Fault(
        "quota_first",
        "the quota is used up, before the first word",
        plays(lambda v: v.lines([*v.begin, v.error("insufficient_quota", "pay")])),
        fails("rate_limited", USED_UP),
        wires=APIS,
    ),
)

ODD: Sequence[Fault] = (
    Fault(
        "twice",
        "every event twice",
        plays(lambda v: [p for p in v.lines(v.frames) for _ in range(2)] + v.lines([], over=True)),
        ends(),
        {w: ends(kept=TWICE) for w in ("openai_chat", "openai_assistants", "local")},
    ),
    Fault(
        "twice_padded",
        "every event twice, padded at random as its vendor does",
        plays(lambda v: [*padded(v), *v.lines([], over=True)]),
        ends(),
        wires=("openai_responses", "openai_chat", "local"),
    ),
    Fault(
        "no_indexes",
        "no index, number or place in any event",
        plays(lambda v: v.lines([(n, without(x, v.indexes)) for n, x in v.frames], over=True)),
        ends(),
    ),
    Fault(
        "lost",
        "the last words are lost on the way",
        plays(lambda v: v.lines([*v.heard, *v.end], over=True)),
        ends(),
        {w: ends(kept=BEGUN) for w in ("openai_chat", "local")},
    ),
    Fault(
        "unknown",
        "events that nobody knows, between all others",
        before_each(write(("thread.surprise", {"type": "surprise", "object": "surprise", "text": "x"}))),
        ends(),
    ),
    Fault(
        "comments",
        "comments, ids, retry times and pings between all events",
        before_each(b": ping\n\nid: 7\nretry: 100\n"),
        ends(),
    ),
    Fault("crlf", "lines that end in CR LF", plays(lambda v: [body(v).replace(b"\n", b"\r\n")]), ends()),
    Fault(
        "split",
        "chunks of one byte, within characters and line ends too",
        plays(lambda v: [b"%c" % byte for byte in body(v).replace(b"\n", b"\r\n")]),
        ends(),
    ),
    Fault("one_chunk", "all of it in one chunk", plays(lambda v: [body(v)]), ends()),
    Fault("mark", "a byte order mark at the beginning", plays(lambda v: [b"\xef\xbb\xbf" + body(v)]), ends()),
    Fault(
        "apart",
        "the event's name in an event of its own",
        plays(lambda v: [p.replace(b"\ndata", b"\n\ndata") for p in all_of(v) if isinstance(p, bytes)]),
        ends(),
    ),
    Fault("no_space", "no blank after `data:`", plays(lambda v: [body(v).replace(b"data: ", b"data:")]), ends()),
    Fault("no_last_line", "no blank line at the end", plays(lambda v: [body(v).rstrip(b"\n")]), ends()),
    Fault("other_type", "a stream that says it is plain text", plays(all_of, content_type="text/plain"), ends()),
)

ITS_OWN: Sequence[Fault] = (
    Fault(
        "length",
        "the longest answer is reached",
        plays(lambda v: v.lines([*v.heard, *v.stopped["length"]], over=True)),
        ends(kept=BEGUN, finish="length"),
    ),
    Fault(
        "filtered",
        "a filter stops the answer after some words",
        plays(lambda v: v.lines([*v.heard, *v.stopped["content_filter"]], over=True)),
        ends(kept=BEGUN, finish="content_filter"),
    ),
    Fault(
        "filtered_first",
        "a filter stops the answer before the first word",
        plays(lambda v: v.lines([*v.begin, *v.stopped["content_filter"]], over=True)),
        fails("refused", "The model's server declined to answer this. Ask it in another way."),
        keeps="nothing",
    ),
    Fault(
        "refusal",
        "the model refuses in words",
        plays(lambda v: v.lines([*v.begin, *v.refusal], over=True)),
        ends(finish="refusal"),
    ),
)
