"""What goes with a question: gathering and the history's budget."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from coach_core.context import fit_history, gather, newer_half, render_passages, search_text, unsearched
from coach_core.errors import InputError
from coach_core.types import Message, Part, Passage, Speaker, new_id, now

THREAD = new_id()


def message(speaker: Speaker, text: str, *parts: Part) -> Message:
    return Message(new_id(), THREAD, None, speaker, parts or (Part("text", text),), text, "complete", now())


def test_sources_run_side_by_side() -> None:
    meet = threading.Barrier(3, timeout=5)
    found = gather(dict.fromkeys("abc", meet.wait), deadline=5)
    assert set(found.values) == set("abc") and not found.notices


def test_the_deadline_holds_for_all_together() -> None:
    gate = threading.Event()
    began = time.monotonic()
    found = gather({"a": gate.wait, "b": gate.wait, "c": lambda: 3}, deadline=0.1)
    gate.set()
    assert found.values == {"c": 3} and [n for n, _ in found.notices] == ["a", "b"]
    assert time.monotonic() - began < 1


exchange = st.builds(
    lambda q, a: [message("user", q), *([message("assistant", a)] if a else [])],
    st.text("ab ", min_size=1, max_size=40),
    st.text("ab ", max_size=40),
)


@given(st.lists(exchange, max_size=10), st.integers(0, 12), st.integers(0, 120))
def test_history_is_a_suffix_of_whole_exchanges(exchanges: list[list[Message]], most: int, budget: int) -> None:
    messages = [m for e in exchanges for m in e]
    kept, left = fit_history(messages, most_messages=most, most_tokens=budget, count=len)
    assert len(kept) + left == len(messages) and list(kept) == messages[left:]
    assert not kept or kept[0].speaker == "user"
    if exchanges:
        assert kept[-len(exchanges[-1]) :] == tuple(exchanges[-1]), "the last exchange is always kept"
        if len(kept) > len(exchanges[-1]):
            assert len(kept) <= most and sum(len(m.text) for m in kept) <= budget


def test_a_tool_call_is_never_parted_from_its_result() -> None:
    call = message("assistant", "", Part("tool_call", call_id="1", name="t", arguments={}))
    result = message("tool", "r", Part("tool_result", "r" * 50, call_id="1", name="t"))
    messages = [message("user", "a"), call, result, message("assistant", "b"), message("user", "c")]
    for budget in range(0, 120, 5):
        kept, _ = fit_history(messages, most_messages=20, most_tokens=budget, count=len)
        assert (call in kept) == (result in kept)


def shaped(kinds: Sequence[tuple[str, int]]) -> list[Message]:
    """Messages of any order: what is said, calls and results with few ids, beside each other or in one message."""
    made: dict[str, Callable[[int], Message]] = {
        "asks": lambda n: message("user", "q" * n),
        "says": lambda n: message("assistant", "a" * n),
        "calls": lambda n: message("assistant", "", Part("tool_call", call_id=str(n), name="t", arguments={})),
        "results": lambda n: message("tool", "", Part("tool_result", "r" * 9, call_id=str(n), name="t")),
        "both": lambda n: message(
            "assistant",
            "b",
            Part("tool_call", call_id=str(n), name="t", arguments={"x": "y" * n}),
            Part("tool_result", "r" * n, call_id=str(n), name="t"),
            Part("text", "b"),
        ),
    }
    return [made[kind](n) for kind, n in kinds]


def pairs(messages: Sequence[Message]) -> list[tuple[UUID, UUID]]:
    """Each result's message with that of the nearest call before it that has none yet."""
    calls: dict[str, list[UUID]] = {}
    found: list[tuple[UUID, UUID]] = []
    for m in messages:
        for part in m.parts:
            if part.kind == "tool_call":
                calls.setdefault(part.call_id, []).append(m.id)
            elif part.kind == "tool_result" and calls.get(part.call_id):
                found.append((calls[part.call_id].pop(), m.id))
    return found


@given(
    st.lists(st.tuples(st.sampled_from(["asks", "says", "calls", "results", "both"]), st.integers(0, 6)), max_size=24),
    st.integers(0, 12),
    st.integers(0, 80),
    st.randoms(use_true_random=False),
)
def test_no_budget_order_or_branch_parts_a_call_from_its_result(
    kinds: list[tuple[str, int]], most: int, budget: int, chance: random.Random
) -> None:
    drawn = shaped(kinds)
    parents = {m.id: drawn[chance.randrange(i)].id if i else None for i, m in enumerate(drawn)}
    by_id = {m.id: m for m in drawn}
    orders = [drawn, chance.sample(drawn, len(drawn))]
    for leaf in drawn:  # every branch of a tree over them
        branch, at = list[Message](), leaf.id
        while at is not None:
            branch.insert(0, by_id[at])
            at = parents[at]
        orders.append(branch)
    for messages in orders:
        kept, left = fit_history(messages, most_messages=most, most_tokens=budget, count=len)
        ids = {m.id for m in kept}
        assert list(kept) == messages[left:]
        assert all((call in ids) == (result in ids) for call, result in pairs(messages))
        asked = [i for i, m in enumerate(messages) if m.speaker == "user"]
        assert {m.id for m in messages[asked[-1] if asked else 0 :]} <= ids, "the last exchange is always kept"
        halved = {m.id for m in newer_half(kept)}
        assert all((call in halved) == (result in halved) for call, result in pairs(messages))


def test_marks_of_old_answers_are_taken_out() -> None:
    kept, _ = fit_history(
        [message("user", "see [1]"), message("assistant", "Yes [1]. A [link](x) [2][3].")],
        most_messages=9,
        most_tokens=99,
    )
    assert kept[0].text == "see [1]" and kept[1].text == kept[1].parts[0].text == "Yes. A [link](x)."


def test_passages_are_numbered_with_their_place() -> None:
    found = [Passage(new_id(), new_id(), new_id(), "h", "Book", " one ", section="A > B", page=3)]
    assert render_passages(found).endswith("[1] Book - A > B, p. 3\none")
    assert render_passages([]) == ""


def test_a_short_question_is_searched_with_the_one_before_it() -> None:
    history = [message("user", "How do I sleep better?"), message("assistant", "Early.")]
    assert search_text("Why?", history) == "How do I sleep better?\nWhy?"
    assert search_text("And at the weekend?", history).startswith("How do I sleep")
    assert search_text("What should I eat before an exam?", history) == "What should I eat before an exam?"
    assert search_text("Why?", []) == "Why?"


def test_a_notice_of_documents_left_out_is_known_again() -> None:
    def refused() -> None:
        raise InputError("No.")

    def broken() -> None:
        raise OSError("the disk")

    gate = threading.Event()
    for fetch in (gate.wait, refused, broken):
        found = gather({"knowledge": fetch, "memory": fetch}, deadline=0.02)
        assert [unsearched(text) for _, text in found.notices] == [True, False]
    gate.set()
    assert not unsearched("Reading 2 passages from 1 document")
