"""Citation markers: cut out of the text wherever the pieces end, the citation in their place."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from coach_core.backends.assistants_marks import LONGEST, Cut, Sources
from coach_core.types import Event
from tests.backends.fake_assistants import cites, found, shown

Piece = str | tuple[str, list[dict[str, Any]]]


def cut(*pieces: Piece, whole: tuple[str, list[dict[str, Any]]] | None = None, sources: Sources | None = None) -> str:
    text = Cut(sources or Sources())
    events: list[Event] = []
    for piece in pieces:
        events += text.feed(*piece) if isinstance(piece, tuple) else text.feed(piece)
    events += text.complete(*whole) if whole else text.flush()
    return shown(events)


MARK = "【4:0†source】"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([("It is cake" + MARK, [cites(MARK)]), "."], "It is cake<file-1>."),
        (["cake ", "【4:", "0†so", ("urce】", [cites(MARK)]), " so"], "cake<file-1> so"),
        (["cake【4:0†source】", ("", [cites(MARK)]), "."], "cake<file-1>."),  # the note is one piece late
        (["cake", MARK, "."], "cake."),  # a marker that nothing explains
        (["cake 【4:0】 x"], "cake x"),
        (["标题【重要】说明", "【", "注意】"], "标题【重要】说明【注意】"),  # the same brackets, for people
        (["left 【4:0†never closed"], "left 【4:0†never closed"),
        (["【" + "x" * (LONGEST + 5) + "】 y"], "【" + "x" * (LONGEST + 5) + "】 y"),
        ([("a" + MARK + "b" + MARK, [cites(MARK)])], "a<file-1>b<file-1>"),
        (["a [1] and [link](http://x.example/y) stay"], "a [1] and [link](http://x.example/y) stay"),
    ],
)
def test_markers_are_cut(pieces: list[Piece], expected: str) -> None:
    assert cut(*pieces) == expected


def test_places_alone_will_do() -> None:
    note = cites("", start_index=2, end_index=3)
    assert cut(("abc def", [note])) == "abc<file-1> def"
    assert cut(("ab", [cites("", end_index=5)]), "cdefg") == "abcde<file-1>fg"
    assert cut(("abcdef", [cites("", end_index=90)])) == "abcdef<file-1>"
    whole = "so" + MARK + "."
    assert cut((whole, [cites("", start_index=2, end_index=2 + len(MARK))])) == "so<file-1>."
    assert cut(("so" + MARK + ".", [cites("")])) == "so<file-1>."  # not even places: the next marker


def test_what_comes_late_is_not_lost() -> None:
    assert cut("cake", MARK, " yes.", whole=("cake" + MARK + " yes.", [cites(MARK)])) == "cake yes.<file-1>"
    assert cut("ca", whole=("cake" + MARK, [cites(MARK)])) == "cake<file-1>"
    assert cut("other", whole=("cake", [])) == "other"  # what was said cannot be taken back


def test_a_note_told_twice_is_one_citation() -> None:
    note = cites(MARK, start_index=4, end_index=16)
    whole = ("cake" + MARK + ".", [note])
    assert cut(("cake" + MARK, [note]), ".", whole=whole) == "cake<file-1>."


def test_files_that_were_made() -> None:
    path = "sandbox:/mnt/data/plan.csv"
    note = {"type": "file_path", "text": path, "file_path": {"file_id": "file-9"}}
    pieces: list[Piece] = ["Take [the ", "plan](sand", "box:/mnt/data/plan", ".csv", (") now", [note])]
    assert cut(*pieces) == "Take the plan<file-9> now"
    assert cut("It is in sand", "box:/mnt/data/plan", ".csv. Good") == "It is in plan.csv. Good"
    events = list(Cut(Sources()).feed(f"See {path} .", [note]))
    assert [e.citation.title for e in events if e.citation] == ["plan.csv"]


def test_the_words_that_were_found_go_with_the_citation() -> None:
    sources = Sources()
    sources.add(
        [found("file-2", "b.md", "Other."), found("file-1", "a.md", "First."), found("file-1", "a.md", "Next.")]
    )
    text = Cut(sources)
    marks = ["【4:2†source】", "【9:9†source】", "【4:0†c.pdf】"]
    notes = [cites(marks[0]), cites(marks[1]), cites(marks[2], "file-3")]
    events = [*text.feed("x" + "".join(marks), notes), *text.flush()]
    told = [(e.citation.title, e.citation.text, e.citation.number) for e in events if e.citation]
    assert told == [("a.md", "Next.", 0), ("a.md", "First.", 0), ("c.pdf", "", 0)]


def test_wherever_the_pieces_end_the_same_comes_out() -> None:
    path = "sandbox:/mnt/data/x.csv"
    whole = f"A [link](http://x) and【2:0†source】s sandb [long [x]] 【0:1†q.pdf】 [file]({path}), 【注】 the end s"
    notes = [
        cites("【2:0†source】"),
        cites("【0:1†q.pdf】", "file-2"),
        {"type": "file_path", "text": path, "file_path": {"file_id": "file-3"}},
    ]
    expected = "A [link](http://x) and<file-1>s sandb [long [x]]<file-2> file<file-3>, 【注】 the end s"
    chance = random.Random(7)
    for _ in range(300):
        places = sorted(chance.sample(range(1, len(whole)), chance.randint(0, 12)))
        pieces = [whole[a:b] for a, b in itertools.pairwise([0, *places, len(whole)])]
        assert cut((pieces[0], notes), *pieces[1:]) == expected
