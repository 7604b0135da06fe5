"""A reranker changes the order and nothing else, and costs no more than its deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from coach_core.errors import BadSetting
from coach_core.search.remote import Server, Spec
from coach_core.search.rerank import Reranker, Reranking, Rules
from coach_core.types import Passage, new_id
from tests.search.model_server import ModelServer, serving

COLLECTION, DOCUMENT = new_id(), new_id()
TEXTS = ["the river is cold", "rest well", "sleep is how you rest at night", "a budget", "sleep at night"]
PASSAGES = [Passage(new_id(), DOCUMENT, COLLECTION, "", "", t, score=1 - n / 10) for n, t in enumerate(TEXTS)]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving() as made:
        yield made


def reranking(server: ModelServer, deadline: float = 5.0, candidates: int = 30) -> Reranking:
    def open_(spec: str) -> Reranker:
        return Reranker(Server(f"{server.url}/v1/rerank", "reranker"), Spec.parse(spec))

    return Reranking(lambda: Rules("here#m", candidates, deadline), open_)


@pytest.mark.parametrize("tei", [False, True])
def test_the_best_come_first(server: ModelServer, tei: bool) -> None:
    server.tei = tei
    rerank = reranking(server)
    found = rerank("how do you sleep at night", PASSAGES)
    assert found[0].text == TEXTS[2]
    assert {p.text for p in found} == set(TEXTS)
    assert [p.rank_reranker for p in found] == [1, 2, 3, 4, 5]
    assert [p.score for p in found] == [p.score for p in PASSAGES], "scores fall as before"
    asked = len(server.seen)
    rerank("how do you sleep at night", PASSAGES)
    assert len(server.seen) == asked + 1, "the shape is known"


def test_only_the_best_are_read(server: ModelServer) -> None:
    found = reranking(server, candidates=3)("sleep at night", PASSAGES)
    assert len(server.seen[0].body["documents"]) == server.seen[0].body["top_n"] == 3
    assert [p.text for p in found[3:]] == TEXTS[3:]
    assert [p.rank_reranker for p in found[3:]] == [None, None]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"results": []},
        {"results": [{"index": 9, "relevance_score": 1}]},
        {"results": [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 2}]},
        {"results": [{"index": 0}]},
        {"results": "no"},
        [{"index": -1, "score": 1}],
        "text",
        None,
    ],
)
def test_a_wrong_shape_leaves_the_order(server: ModelServer, said: Any) -> None:
    server.answer = lambda body: said
    rerank = reranking(server)
    assert rerank("sleep", PASSAGES) == PASSAGES
    assert rerank.counts.failed == 1
    assert "does not answer like /v1/rerank" in rerank.note()
    assert rerank.note() == ""


def test_numbers_that_are_none_leave_the_order(server: ModelServer) -> None:
    server.faults = [(200, {}, b'{"results": [{"index": 0, "relevance_score": NaN}]}')]
    assert reranking(server)("sleep", PASSAGES) == PASSAGES


def test_a_part_of_the_results_is_enough(server: ModelServer) -> None:
    server.answer = lambda body: {"results": [{"index": 3, "relevance_score": 0.9}], "model": "x"}
    found = reranking(server)("budget", PASSAGES)
    assert [p.text for p in found] == [TEXTS[3], TEXTS[0], TEXTS[1], TEXTS[2], TEXTS[4]]
    assert [p.rank_reranker for p in found] == [1, None, None, None, None]


def test_a_late_one_costs_its_deadline_and_is_told_once(server: ModelServer) -> None:
    let_go = threading.Event()

    def slow() -> None:
        let_go.wait(10)

    server.faults = [slow] * 20
    rerank = reranking(server, deadline=0.03)
    began = time.monotonic()
    for _ in range(6):
        assert rerank("sleep", PASSAGES) == PASSAGES
    took = time.monotonic() - began
    let_go.set()
    assert took < 2
    assert (rerank.counts.late, rerank.counts.left_alone) == (3, 3), "a dead one does not cost every question"
    assert rerank.note() == "The reranker did not answer within 30 ms; the passages keep the order of the search."
    assert rerank.note() == ""


def test_it_is_told_again_after_it_had_worked(server: ModelServer) -> None:
    rerank = reranking(server)
    server.faults = [(500, {}, {})]
    rerank("sleep", PASSAGES)
    assert "error of its own (500)" in rerank.note()
    rerank("sleep", PASSAGES)
    server.faults = [(500, {}, {})]
    rerank("sleep", PASSAGES)
    assert rerank.note()


def test_without_one_nothing_is_asked(server: ModelServer) -> None:
    assert Reranking()("sleep", PASSAGES) == PASSAGES
    assert Reranking().check() is None
    assert not server.seen


def test_the_doctor_asks_it(server: ModelServer) -> None:
    rerank = reranking(server)
    assert (check := rerank.check()) is not None and check.state == "ok" and check.milliseconds is not None
    server.faults = [(401, {}, {})] * 2
    assert (check := rerank.check()) is not None and check.state == "warn" and "refused the key" in check.detail


def test_a_failure_is_a_sentence(server: ModelServer) -> None:
    server.faults = [(404, {}, {}), (404, {}, {})]
    with pytest.raises(BadSetting, match=r"The reranker at .* knows no such address or model"):
        Reranker(Server(f"{server.url}/v1/rerank", "reranker"), Spec("x", "m")).scores("a", ["b", "c"])
