"""Citations: numbered by first mention, whether the model or its API names the source."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.backends import Request
from coach_core.turn import Choice, Citer
from coach_core.types import Citation, Event, Passage
from tests.turn.conftest import Calls, done, passage, play, question, scripted, text_of


def test_passages_are_cited_by_first_mention_and_before_the_text() -> None:
    found = [passage(1), passage(2), passage(3)]
    events = play(
        scripted("Third [3", "] and first [1] and third [3]. Not [7] nor x[2](y)."),
        sources={"knowledge": lambda: found},
    )
    assert text_of(events) == "Third [1] and first [2] and third [1]. Not [7] nor x[2](y)."
    cited = [e.citation for e in events if e.citation]
    assert [(c.number, c.title, c.page) for c in cited] == [(1, "Title 3", 3), (2, "Title 1", 1)]
    for citation in cited:
        at = next(i for i, e in enumerate(events) if e.citation == citation)
        assert f"[{citation.number}]" not in text_of(events[:at])


def test_a_mark_in_code_is_left_alone() -> None:
    events = play(scripted("```\na[1]\n```\nSo [2]."), sources={"knowledge": lambda: [passage(1), passage(2)]})
    assert text_of(events) == "```\na[1]\n```\nSo [1]."


@given(st.lists(st.integers(1, 9), max_size=12), st.randoms(use_true_random=False))
def test_citations_do_not_depend_on_how_the_text_is_cut(numbers: list[int], random: Any) -> None:
    text = "".join(f"word{n} [{n}] [{n}, 1] " for n in numbers)
    found = [passage(n) for n in range(1, 6)]
    whole = _cite(found, [text])
    cuts = sorted(random.randrange(len(text) + 1) for _ in range(5))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert _cite(found, pieces) == whole


def _cite(found: Sequence[Passage], pieces: Sequence[str]) -> tuple[str, list[tuple[int, str]]]:
    citer = Citer(found)
    events = [e for p in pieces for e in citer.feed(p)] + list(citer.flush())
    return text_of(events), [(e.citation.number, e.citation.title) for e in events if e.citation]


def test_a_resumed_answer_keeps_its_numbers() -> None:
    found = [passage(1), passage(2)]
    cited = [Citation(1, "Title 2", "t", chunk_id=found[1].chunk_id)]
    backend = scripted(" more [2] and [1].")
    request = Request(question=question(), resume_from="Old [1]")
    events = play(backend, request=request, cited=cited, sources={"knowledge": lambda: found})
    assert text_of(events) == " more [1] and [2]."
    assert [e.citation.number for e in events if e.citation] == [2]
    assert backend.requests[0].resume_from == "Old [2]"  # type: ignore[attr-defined]


# -- named by the API itself ----------------------------------------------------------------------------


def cite(url: str = "", **more: Any) -> Event:
    return Event("citation", citation=Citation(0, url=url, **more))


A, B = cite("https://a.example/x", title="A"), cite("https://b.example/", title="B")


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (["Sleep helps", A, "."], "Sleep helps [1]."),
        (["Sleep helps.", A, " So does light.", B], "Sleep helps. [1] So does light. [2]"),
        (["Sleep helps.", A, B, " More.", A], "Sleep helps. [1][2] More. [1]"),
        (["Sleep helps.", A, A, " More."], "Sleep helps. [1] More."),
        (["Sleep helps ", A, "much."], "Sleep helps [1] much."),
        (["Sleep helps", A, "(says she)"], "Sleep helps [1] (says she)"),
        (["Sleep helps.\n\n", A, "Next."], "Sleep helps. [1]\n\nNext."),
        (["Sleep helps.\n", A, "\n- one"], "Sleep helps. [1]\n\n- one"),
        ([A, "First."], "[1] First."),
        (["```\na = 1\n", A, "b = 2\n``", "`\nSo."], "```\na = 1\nb = 2\n```\nSo. [1]"),
        (["```\na\n", A, "```"], "```\na\n```\n\n[1]"),
        (["See [", A, "here]"], "See [[1] here]"),
    ],
)
def test_a_mark_stands_where_the_api_cites(steps: list[Any], text: str) -> None:
    events = play(Calls([*steps, done()]))
    assert text_of(events) == text
    cited = [e.citation for e in events if e.citation]
    assert [c.number for c in cited] == list(range(1, len(cited) + 1))
    assert len({c.url for c in cited}) == len(cited), "one source has one number"


def test_numbers_of_passages_and_of_the_api_never_collide() -> None:
    found = [passage(1), passage(2)]
    steps = ["One [2].", A, " Two [1].", B, " Again [2].", done()]
    events = play(Calls(steps), sources={"knowledge": lambda: found})
    assert text_of(events) == "One [1]. [2] Two [3]. [4] Again [1]."
    titles = {e.citation.number: e.citation.title for e in events if e.citation}
    assert titles == {1: "Title 2", 2: "A", 3: "Title 1", 4: "B"}


def test_a_hosted_file_is_cited_as_the_document_it_is_a_copy_of() -> None:
    known = passage(1)

    def resolve(citation: Citation) -> Citation:
        if citation.external_id != "file-1":
            return citation
        return Citation(0, known.title, known.text, document_id=known.document_id, chunk_id=known.chunk_id)

    steps = ["We know [1].", cite(external_id="file-1", text="quoted"), " And", cite(external_id="file-2"), done()]
    events = play(Choice(Calls(steps), resolve=resolve), sources={"knowledge": lambda: [known]})
    assert text_of(events) == "We know [1]. [1] And [2]", "the same passage keeps its number"
    first, second = [e.citation for e in events if e.citation]
    assert first.chunk_id == known.chunk_id and second.external_id == "file-2"


def test_a_citation_that_cannot_be_looked_up_stays() -> None:
    def broken(_: Citation) -> Citation:
        raise ValueError("secret")

    events = play(Choice(Calls(["Yes.", cite(external_id="f"), done()]), resolve=broken))
    assert text_of(events) == "Yes. [1]" and events[-1].status == "completed"


def test_gone_on_with_the_model_reads_no_number_of_a_source_it_was_not_given() -> None:
    cited = [Citation(1, "Web", url="https://a.example/x")]
    backend = Calls([" More.", A, done()])
    request = Request(question=question(), resume_from="Old [1], and")
    events = play(backend, request=request, cited=cited, sources={"knowledge": lambda: [passage(1)]})
    assert backend.requests[0].resume_from == "Old, and"
    assert text_of(events) == " More. [1]" and not [e for e in events if e.citation]


def test_an_answer_that_is_data_is_not_touched() -> None:
    text = '{"rows": [1], "note": "see [2]"}'
    backend = Calls([text[:9], A, text[9:], done()])
    request = Request(question=question(), schema={"type": "object"})
    events = play(backend, request=request, sources={"knowledge": lambda: [passage(1), passage(2)]})
    assert text_of(events) == text
    assert [e.citation.url for e in events if e.citation] == ["https://a.example/x"]


@given(st.lists(st.sampled_from(["word", " ", ".", "\n\n", "[1]", "[", "`", A, B]), max_size=20))
def test_marks_of_the_api_are_all_that_is_added(steps: list[Any]) -> None:
    citer = Citer([passage(1)])
    events = [e for s in steps for e in (citer.feed(s) if isinstance(s, str) else citer.cite(s.citation))]
    events += citer.flush()
    numbers = {e.citation.number: e.citation for e in events if e.citation}
    assert set(numbers) == set(range(1, len(numbers) + 1))
    seen = {c.url for c in numbers.values() if c.url}
    assert seen == {s.citation.url for s in steps if not isinstance(s, str)}
    plain = "".join(s for s in steps if isinstance(s, str))
    shown = text_of(events)
    for mark in (f"[{n}]" for n in numbers):
        shown = shown.replace(mark, "")
    assert "".join(shown.split()) == "".join(plain.replace("[1]", "").split())
