"""Searches while documents are replaced: each sees the old one or the new one, whole."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from coach_core.errors import FileError
from coach_core.knowledge import Knowledge

PARTS = 6


def edition(number: int) -> bytes:
    """PARTS passages that all bear the edition's number."""
    out = ["# Lighthouse"]
    for part in range(PARTS):
        filler = " ".join(f"wave{part}x{n}" for n in range(40))  # passages that are alike are found once only
        out.append(f"## Part {part}\n\nThe lighthouse of edition {number} stands on rock {part}. {filler}")
    return "\n\n".join(out).encode()


def seen(knowledge: Knowledge, group: object) -> set[str]:
    found = knowledge.find("lighthouse edition rock", [group], k=50)  # type: ignore[list-item]
    assert len(found) == PARTS, f"{len(found)} of {PARTS} passages"
    return {p.text.split("edition ")[1].split(" ")[0] for p in found}


@pytest.mark.parametrize("embedded", [False, True])
def test_a_search_sees_one_edition_whole(knowledge: Knowledge, embedded: bool) -> None:
    group = knowledge.create_collection("Sea").id
    document = knowledge.add(group, "lighthouse.md", edition(0))
    ended = threading.Event()
    if embedded:
        knowledge.embed_pending(threading.Event())

    def look() -> list[set[str]]:
        out = [seen(knowledge, group)]
        while not ended.is_set():
            out.append(seen(knowledge, group))
        return out

    with ThreadPoolExecutor(3) as pool:
        looks = [pool.submit(look) for _ in range(3)]
        try:
            for number in range(1, 6):
                knowledge.replace(document.id, "lighthouse.md", edition(number))
                with pytest.raises(FileError):
                    knowledge.replace(document.id, "lighthouse.md", b"")
        finally:
            ended.set()
        every = [editions for look in looks for editions in look.result()]
    assert all(len(editions) == 1 for editions in every), "never two editions in one answer"
    assert len(every) > 5 and seen(knowledge, group) == {"5"}
    assert [d.id for d in knowledge.documents(group)] == [document.id]
