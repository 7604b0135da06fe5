"""Values and their JSON forms."""

import json

from hypothesis import given
from hypothesis import strategies as st

from coach_core.types import Citation, Event, Part, PersonaDraft, Usage, clean_text, new_id

words = st.text(max_size=30)
citations = st.builds(Citation, number=st.integers(1, 9), title=words, text=words, page=st.none() | st.integers(1, 99))
events = st.one_of(
    st.builds(Event, kind=st.just("text"), turn=st.builds(new_id), seq=st.integers(1, 99), text=words),
    st.builds(Event, kind=st.just("citation"), citation=citations),
    st.builds(Event, kind=st.just("tool_call"), call_id=words, arguments=st.dictionaries(words, words)),
    st.builds(
        Event,
        kind=st.just("done"),
        status=st.sampled_from(["completed", "incomplete", "cancelled"]),
        usage=st.builds(Usage, st.integers(0, 9), st.integers(0, 9)),
        ids=st.none() | st.dictionaries(words, words, min_size=1),
    ),
)


@given(events)
def test_an_event_survives_its_json(event: Event) -> None:
    line = event.to_json()
    assert "\n" not in line and Event.from_dict(json.loads(line)) == event


@given(st.text(st.characters(exclude_categories=[])))
def test_text_is_kept_but_for_what_cannot_be_stored(text: str) -> None:
    clean = clean_text(text)
    clean.encode()
    assert len(clean) == len(text) and "\x00" not in clean
    assert all(a == b or a == "\x00" or 0xD800 <= ord(a) <= 0xDFFF for a, b in zip(text, clean, strict=True))


def test_parts_and_drafts_survive_their_json() -> None:
    part = Part("file", file_id=new_id(), name="a.pdf", media_type="application/pdf")
    assert Part.from_dict(json.loads(json.dumps(part.to_dict()))) == part
    draft = PersonaDraft("A", starters=("x",), collections=(new_id(),), picture_id=new_id(), parameters={"top_p": 0.5})
    assert PersonaDraft.from_dict(json.loads(json.dumps(draft.to_dict()))) == draft


def test_ids_sort_by_time() -> None:
    ids = [new_id() for _ in range(100)]
    assert ids == sorted(ids) and len(set(ids)) == 100


def test_a_section_reads_beside_its_title() -> None:
    sections = {
        "Sleep": "",
        "Sleep > Tips": "Tips",
        "Rest > Tips": "Rest > Tips",
        "": "",
        "Sleeping > x": "Sleeping > x",
    }
    assert {s: Citation(1, "Sleep", section=s).within for s in sections} == sections
