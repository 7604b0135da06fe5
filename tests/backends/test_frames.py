"""Whatever objects a server sends, however it writes them and the network cuts them, they come back in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.backends.frames import Frames
from coach_core.errors import MalformedStream, NotAnApi, StreamCut

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=8), VALUES, max_size=4)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
#: What may stand between and within events without being one.
NOISE = st.lists(
    st.sampled_from([": ping", ":", ": OPENROUTER PROCESSING", "id: 7", "id", "retry: 3000", "unknown: x", "data"]),
    max_size=3,
)


def read(body: bytes | list[bytes], most: int = 1 << 20) -> list[dict[str, Any]]:
    return list(Frames([body] if isinstance(body, bytes) else body, "api.example", most))


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """`body` in chunks; a place beyond its end cuts nothing."""
    at = sorted({p % (len(body) + 1) for p in places} | {0, len(body)})
    return [body[a:b] for a, b in pairwise(at)]


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[dict[str, Any]], bytes]:
    """Objects, and one way a server may write them."""
    objects = draw(st.lists(OBJECTS, max_size=6))
    end = draw(ENDS)
    lines: list[str] = []
    for value in objects:
        lines += draw(NOISE)
        text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
        space = draw(st.sampled_from(["", " "]))
        lines += [f"data:{space}{part}" for part in text.split("\n")]
        lines += [*draw(NOISE), ""]
    if draw(st.booleans()):
        lines += ["data: [DONE]", "", 'data: {"after": "the end"}', ""]
    bom = "\ufeff" if draw(st.booleans()) else ""
    return objects, (bom + "".join(line + end for line in lines)).encode()


@given(streams(), st.lists(st.integers(0, 4000), max_size=12))
def test_what_is_sent_comes_back(stream: tuple[list[dict[str, Any]], bytes], places: list[int]) -> None:
    objects, body = stream
    assert read(cut(body, places)) == objects


@given(streams())
def test_byte_by_byte(stream: tuple[list[dict[str, Any]], bytes]) -> None:
    objects, body = stream
    assert read([body[n : n + 1] for n in range(len(body))]) == objects


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_anything_else_is_an_error_of_its_own(body: bytes, places: list[int]) -> None:
    try:
        assert all(isinstance(frame, dict) for frame in read(cut(body, places)))
    except (MalformedStream, StreamCut) as error:
        assert "api.example" in error.sentence


@given(st.lists(OBJECTS, min_size=1, max_size=5), st.integers(1, 300))
def test_a_stream_that_ends_within_an_event_was_cut(objects: list[dict[str, Any]], off: int) -> None:
    body = b"".join(b"data: %s\n\n" % json.dumps(o).encode() for o in objects)
    seen: list[dict[str, Any]] = []
    try:
        for frame in Frames([body[:-off]], "api.example"):
            seen.append(frame)
    except StreamCut as error:
        assert not isinstance(error, MalformedStream) and "was cut" in error.sentence
    assert seen == objects[: len(seen)]


class TestNames:
    @pytest.mark.parametrize(
        "body",
        [
            b'event: thread.run.created\ndata: {"id": "run_1"}\n\n',
            b'event: thread.run.created\n\ndata: {"id": "run_1"}\n\n',
            b'data: {"id": "run_1"}\nevent: thread.run.created\n\n',
            b'event:thread.run.created\r\n: ping\r\n\r\ndata:{"id": "run_1"}\r\n\r\n',
        ],
        ids=["before", "detached", "after", "a comment between"],
    )
    def test_the_name_is_the_type(self, body: bytes) -> None:
        assert read(body) == [{"id": "run_1", "type": "thread.run.created"}]

    def test_a_type_of_its_own_stays_and_a_name_is_used_once(self) -> None:
        body = b'event: a\ndata: {"type": "b"}\n\ndata: {"x": 1}\n\n'
        assert read(body) == [{"type": "b"}, {"x": 1}]


class TestBare:
    """JSON without `data:`, as some gateways write it, an error in the middle of a stream above all."""

    def test_lines_come_as_they_come(self) -> None:
        def chunks() -> Iterator[bytes]:
            yield b'{"n": 1}\n'
            yield b'{"n": 2}\n'
            raise AssertionError("the second was to be given out before")

        frames = iter(Frames(chunks(), "api.example"))
        assert [next(frames), next(frames)] == [{"n": 1}, {"n": 2}]

    @pytest.mark.parametrize("end", [b"\n", b"\r\n"])
    def test_printed_over_several_lines(self, end: bytes) -> None:
        error = {"error": {"code": 503, "message": "overloaded", "details": [{"x": {}}]}}
        body = b'data: {"n": 1}\n\n' + json.dumps(error, indent=2).encode().replace(b"\n", end) + end
        assert read(body) == [{"n": 1}, error]

    def test_cut_in_the_middle(self) -> None:
        with pytest.raises(StreamCut):
            read(b'{\n  "error": {\n')


class TestDone:
    def test_nothing_is_read_after_it(self) -> None:
        for body in (b"data: [DONE]\n\nnonsense\n\n", b"data: [DONE]", b'data: {"n": 1}\ndata: [DONE]\n\n'):
            frames = Frames([body], "api.example")
            assert list(frames) in ([], [{"n": 1}]) and frames.finished

    def test_without_it_the_stream_has_not_said_its_end(self) -> None:
        frames = Frames([b'data: {"n": 1}\n\n'], "api.example")
        assert list(frames) == [{"n": 1}] and not frames.finished


class TestSize:
    MOST = 1000

    @pytest.mark.parametrize(
        "chunk",
        [
            b"x" * 100,
            b"data: " + b"x" * 94,
            b"data: xxx\n" * 10,
            b"data:\n" * 10,
            b"{\n" * 50,
            b"data: 1\n: a comment\n",
        ],
        ids=["no line ends", "one line", "many lines of data", "empty lines of data", "bare JSON", "comments between"],
    )
    def test_no_more_is_taken_than_an_event_may_have(self, chunk: bytes) -> None:
        taken = 0

        def endless() -> Iterator[bytes]:
            nonlocal taken
            yield b'data: {"n": 1}\n\n'
            while True:
                taken += len(chunk)
                yield chunk

        frames = iter(Frames(endless(), "api.example", self.MOST))
        assert next(frames) == {"n": 1}
        with pytest.raises(MalformedStream, match="too large"):
            next(frames)
        assert taken <= 3 * self.MOST, "what is not kept counts here too"

    def test_what_is_just_small_enough_is_whole(self) -> None:
        value = {"text": "x" * (self.MOST - 30)}
        body = b"data: %s\n\n" % json.dumps(value).encode()
        assert read([body[n : n + 7] for n in range(0, len(body), 7)] * 3, self.MOST) == [value] * 3


def test_a_web_page_is_told_apart() -> None:
    page = b"<!DOCTYPE html>\n<p>data: none</p>\n\n"
    with pytest.raises(NotAnApi, match="web page"):
        read(b"\r\n" + page)
    with pytest.raises(MalformedStream, match="web page in the middle"):
        read(b'data: {"n": 1}\n\n' + page)


@pytest.mark.parametrize(
    "data",
    [b"[1, 2]", b"null", b"7", b'"text"', b"{broken", b"\xff\xfe{}", b'{"a":' * 9999, b"<html>"],
    ids=["list", "null", "number", "text", "broken", "not UTF-8", "nested too deep", "HTML"],
)
def test_what_is_no_event_ends_it(data: bytes) -> None:
    frames = iter(Frames([b'data: {"n": 1}\n\ndata: ' + data + b"\n\n"], "api.example"))
    assert next(frames) == {"n": 1}
    with pytest.raises(MalformedStream, match=r"api\.example"):
        next(frames)
