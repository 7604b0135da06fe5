"""Embeddings from an endpoint: whatever its order, form, limits and failures."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coach_core.errors import BadSetting
from coach_core.search import prompts
from coach_core.search.breaker import Breaker
from coach_core.search.meaning import OnnxEmbedder, open_embedder
from coach_core.search.remote import RemoteEmbedder, Server, Spec
from tests.search.model_server import ModelServer, serving

KEY = "sk-very-secret-key-0123456789"
TEXTS = [f"passage {n} about sleep" for n in range(30)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    monkeypatch.setattr(RemoteEmbedder, "_WAIT", (0.001, 0.01))
    with serving() as made:
        yield made


def opened(server: ModelServer, spec: str = "#m", key: str = "") -> RemoteEmbedder:
    made = open_embedder(Path("/nowhere"), f"{server.url}/v1{spec}", key=key)
    assert isinstance(made, RemoteEmbedder)
    return made


def test_order_and_base64_make_no_difference(server: ModelServer) -> None:
    plain = opened(server).passages(TEXTS)
    assert np.allclose(np.linalg.norm(plain, axis=1), 1, atol=1e-5)
    server.shuffled = server.in_base64 = True
    assert np.allclose(opened(server).passages(TEXTS), plain)


def test_dimensions_and_other_words_make_another_name(server: ModelServer) -> None:
    plain, short = opened(server), opened(server, "#m?dimensions=4")
    assert (short.dim, server.seen[-1].body["dimensions"]) == (4, 4)
    assert plain.name.endswith("/8") and short.name.endswith("/4")
    worded = opened(server, "#m?query=find:%20&passage=")
    assert worded.name not in (plain.name, short.name)
    worded.query("sleep")
    assert server.seen[-1].body["input"] == ["find: sleep"]


def test_a_smaller_batch_where_the_server_takes_no_more(server: ModelServer) -> None:
    embedder = opened(server)
    plain = embedder.passages(TEXTS)
    server.most = 8
    assert np.allclose(embedder.passages(TEXTS), plain)
    before = len(server.seen)
    embedder.passages(TEXTS)
    assert max(len(s.body["input"]) for s in server.seen[before:]) <= 8, "it is remembered"


def test_a_long_batch_is_cut_by_its_tokens(server: ModelServer) -> None:
    opened(server).passages(["word " * 2000] * 10)
    assert max(sum(map(len, s.body["input"])) for s in server.seen) <= 30_000


@pytest.mark.parametrize(
    "refusal",
    [
        (400, {}, {"error": "This model's maximum context length is 512 tokens."}),
        (413, {}, b""),
        # as llama.cpp says it
        (500, {}, {"error": {"code": 500, "message": "input (3001 tokens) is too large to process. increase the ..."}}),
    ],
)
def test_a_text_too_long_is_read_in_halves(server: ModelServer, refusal: Any) -> None:
    server.longest = 300
    server.refusal = refusal
    embedder = opened(server)
    vector = embedder.passages(["sleep " * 150 + "budget " * 100])[0]
    assert vector @ embedder.passages(["sleep"])[0] > 0.5
    assert vector @ embedder.passages(["budget"])[0] > 0.5


def test_a_slow_server_is_given_less_at_once(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = opened(server)
    monkeypatch.setattr(RemoteEmbedder, "_PASSAGES", 0.2)
    reply = server.reply

    def slow(path: str, body: Any) -> Any:
        if len(body["input"]) > 16:
            time.sleep(0.3)
        return reply(path, body)

    monkeypatch.setattr(server, "reply", slow)
    assert len(embedder.passages(TEXTS)) == len(TEXTS)
    assert [len(s.body["input"]) for s in server.seen] == [1, 30, 15, 15]


@pytest.mark.parametrize(
    "fault",
    [(429, {"Retry-After": "0"}, {}), (503, {}, {}), (500, {}, b"<html>"), "cut", (529, {"Retry-After": "x"}, {})],
)
def test_passages_are_asked_for_again(server: ModelServer, fault: Any) -> None:
    embedder = opened(server)
    server.faults = [fault, fault]
    assert len(embedder.passages(TEXTS[:3])) == 3
    assert len(server.seen) == 4


def test_it_waits_as_long_as_it_is_told(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteEmbedder, "_WAIT", (0.0, 60.0))
    embedder = opened(server)
    waits: list[float] = []
    monkeypatch.setattr(embedder._closed, "wait", lambda seconds: waits.append(seconds))
    server.faults = [(429, {"Retry-After": "7"}, {}), (429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, {})]
    embedder.passages(TEXTS[:1])
    assert waits == [7.0, 0.0]


def test_a_question_is_asked_once(server: ModelServer) -> None:
    embedder = opened(server)
    server.faults = [(500, {}, {})]
    with pytest.raises(BadSetting, match="had an error of its own"):
        embedder.query("sleep")
    assert len(server.seen) == 2
    embedder.query("sleep")
    embedder.query("sleep")
    assert len(server.seen) == 3, "the same question is known"


def test_a_server_that_is_down_is_left_alone(server: ModelServer) -> None:
    embedder = opened(server)
    server.faults = [(500, {}, {})] * 3
    for n in range(5):
        with pytest.raises(BadSetting):
            embedder.query(f"question {n}")
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ((401, {}, {"error": f"Incorrect API key provided: {KEY}"}), "refused the key"),
        ((404, {}, {}), "knows no such address or model"),
        ((400, {}, {"error": "model is unknown"}), "did not accept the request"),
        ((302, {"Location": "http://other.example"}, b""), "points to another address"),
        ((200, {}, b"<html>"), "does not answer like one"),
        ((200, {}, []), "does not answer like /v1/embeddings"),
        ((200, {}, {"data": [{"index": 5, "embedding": [1.0] * 8}]}), "wrong number of vectors"),
        ((200, {}, {"data": [{"index": 0, "embedding": [1.0] * 5}]}), "5 numbers a vector where 8 were expected"),
        ((200, {}, {"data": [{"index": 0, "embedding": [0.0] * 8}]}), "no numbers"),
        ((200, {}, b'{"data": [{"index": 0, "embedding": [1, 1, 1, 1, 1, 1, 1, NaN]}]}'), "no numbers"),
        ((200, {}, {"data": [{"index": 0, "embedding": "not base64!"}]}), "does not answer like /v1/embeddings"),
        ((200, {}, {"data": [{"index": 0, "embedding": [[1.0]]}]}), "does not answer like /v1/embeddings"),
    ],
)
def test_what_is_wrong_is_told_and_no_key_shown(
    server: ModelServer, caplog: pytest.LogCaptureFixture, fault: Any, sentence: str
) -> None:
    caplog.set_level(logging.DEBUG)
    embedder = opened(server, key=KEY)
    assert server.seen[0].headers["Authorization"] == f"Bearer {KEY}"
    server.faults = [fault]
    with pytest.raises(BadSetting, match=sentence) as told:
        embedder.passages(TEXTS[:1])
    everything = f"{told.value!r} {told.value.sentence} {caplog.text} {embedder!r} {embedder._line.server!r}"
    assert KEY not in everything
    assert len(server.seen) == 2, "asking again would not help"


def test_a_server_that_is_not_there(server: ModelServer) -> None:
    with pytest.raises(BadSetting, match="cannot be reached"):
        RemoteEmbedder(Server("http://127.0.0.1:9/v1/embeddings"), Spec("x", "m"))


def test_closing_ends_the_waiting(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteEmbedder, "_WAIT", (60.0, 60.0))
    embedder = opened(server)

    def close() -> tuple[int, dict[str, str], Any]:
        embedder._closed.set()
        return 503, {}, {}

    server.faults = [close]
    began = time.monotonic()
    with pytest.raises(BadSetting):
        embedder.passages(TEXTS[:1])
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "text", ["http://h/v1", "#m", "http://h/v1#m?dimensions=x", "http://h/v1#m?size=3", "http://h#"]
)
def test_what_is_no_spec(text: str) -> None:
    with pytest.raises(BadSetting):
        Spec.parse(text)


@pytest.mark.parametrize(
    ("name", "query", "passage"),
    [
        ("intfloat/multilingual-e5-small", "query: ", "passage: "),
        ("multilingual-e5-large-instruct", "Instruct: ", ""),
        ("BAAI/bge-small-en-v1.5", "Represent this", ""),
        ("bge-m3", "", ""),
        ("nomic-embed-text", "search_query: ", "search_document: "),
        ("Qwen3-Embedding-0.6B", "Instruct: ", ""),
        ("snowflake-arctic-embed2", "Represent this", ""),
        ("text-embedding-3-small", "", ""),
    ],
)
def test_words_before_a_text(name: str, query: str, passage: str) -> None:
    found = prompts.known(name)
    assert found[0].startswith(query) and bool(found[0]) == bool(query)
    assert found[1] == passage


def test_words_before_a_text_stand_in_the_folder(embedder: str, tmp_path: Path) -> None:
    """A sentence-transformers folder says them itself."""
    import shutil

    folder = tmp_path / "own-model"
    shutil.copytree(embedder, folder)
    (folder / "embedder.json").unlink()
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "q: ", "document": "d: "}}')
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')
    made = OnnxEmbedder(folder)
    assert made._before == {"query": "q: ", "passage": "d: "}
    assert made._pooling == "last"
    both = made.passages(["sleep well", "a much longer text about quite another thing"])
    assert np.allclose(both[0], made.passages(["sleep well"])[0], atol=0.05), "padding is not the last token"


def test_the_breaker_tries_again_after_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("coach_core.search.breaker.time.monotonic", lambda: now[0])
    breaker = Breaker(2, 30)
    for _ in range(2):
        assert breaker.allows()
        breaker.failed()
    assert breaker.open and not breaker.allows()
    now[0] = 31
    assert breaker.allows() and not breaker.allows(), "one at a time"
    breaker.worked()
    assert breaker.allows() and breaker.allows()
