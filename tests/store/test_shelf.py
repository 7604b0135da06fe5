"""A collection leafed through: counted once a change, sorted and filtered by the database, no document lost between
two pages; many deleted and brought back at once."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from coach_core.errors import CollectionNotFound, DocumentNotFound
from coach_core.store import Database, collections, shelf, trash, uses
from coach_core.store.documents import DOCUMENTS
from coach_core.store.models.base import table_of
from coach_core.store.models.knowledge import VectorRow
from coach_core.types import Collection, DocumentSort, new_id, now

MODEL = "m"
TITLES = ("Über Schlaf", "Money", "zebra", "", "Ärger")


@pytest.fixture
def shelved(db: Database) -> tuple[Collection, list[UUID]]:
    """Five documents of two passages each, the first three read by the model; the last was used most."""
    group, other = collections.create(db, "Books"), collections.create(db, "Other")
    moment, made = now(), [new_id() for _ in TITLES]
    stray = new_id()

    def work(connection: sa.Connection) -> None:
        number = 0
        for at, document_id in enumerate([*made, stray]):
            version = new_id()
            row = {
                "id": document_id,
                "collection_id": group.id if document_id != stray else other.id,
                "version_id": version,
                "name": f"File {at}.md",
                "title": TITLES[at] if document_id != stray else "Money",
                "media_type": "text/markdown",
                "size": 9,
                "sha256": str(at),
                "chunks": 2,
                "language": "en",
                "added_by": "",
                "created_at": moment - timedelta(days=at),
                "updated_at": moment,
            }
            connection.execute(sa.insert(DOCUMENTS).values(**row))
            for _ in range(2 if at < 3 else 0):
                number += 1
                values = {"chunk_number": number, "model": MODEL, "version_id": version, "generation": 1}
                values |= {"collection_id": row["collection_id"], "vector": b"xx"}
                connection.execute(sa.insert(table_of(VectorRow)).values(**values))
        collections.raise_generation(connection, group.id)

    db.write(work).result()
    uses.record(db, moment - timedelta(days=40), {made[0], made[1]}, {made[0]}).result()
    for _ in range(2):
        uses.record(db, moment, {made[4]}, {made[4]}).result()
    return group, made


def test_figures_are_counted_anew_only_after_a_change(db: Database, shelved: tuple[Collection, list[UUID]]) -> None:
    group, made = shelved
    first = shelf.figures(db, group.id, MODEL)
    assert (first.documents, first.chunks, first.embedded) == (5, 10, 6)
    assert shelf.figures(db, group.id, MODEL, first) is first
    assert shelf.figures(db, group.id, "another", first).embedded == 0
    trash.put_document(db, made[0])
    assert shelf.figures(db, group.id, MODEL, first).embedded == 4
    with pytest.raises(CollectionNotFound):
        shelf.figures(db, new_id(), MODEL)


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("newest", [0, 1, 2, 3, 4]),
        ("oldest", [4, 3, 2, 1, 0]),
        ("most_cited", [4, 0, 1]),
        ("least_cited", [2, 3]),
        ("last_used", [4]),
    ],
)
def test_pages_are_sorted_and_lose_nothing(
    db: Database, shelved: tuple[Collection, list[UUID]], sort: DocumentSort, order: list[int]
) -> None:
    group, made = shelved
    pages = [shelf.page(db, group.id, MODEL, sort=sort, limit=2, offset=at) for at in (0, 2, 4, 6)]
    found = [d.id for p in pages for d, _ in p.rows]
    assert sorted(found) == sorted(made) and {p.total for p in pages} == {5}
    assert {made.index(i) for i in found[:2]} == set(order[:2]) if sort == "least_cited" else True
    if sort != "least_cited":
        assert [made.index(i) for i in found[: len(order)]] == order
    first = pages[0].rows[0][0]
    assert first.embedded == (2 if made.index(first.id) < 3 else 0)


def test_names_are_sorted_and_found_whatever_their_letters(
    db: Database, shelved: tuple[Collection, list[UUID]]
) -> None:
    group, _ = shelved
    told = [d.title or d.name for d, _ in shelf.page(db, group.id, MODEL, sort="name").rows]
    assert [t for t in told if t.isascii()] == ["File 3.md", "Money", "zebra"]
    for find, titles in (
        ("SCHLAF über", {"Über Schlaf"}),
        ("file MON", {"Money"}),
        ("100%", set[str]()),
        ("'; --", set[str]()),
        ("\0", set[str]()),
    ):
        page = shelf.page(db, group.id, MODEL, find=find)
        assert {d.title for d, _ in page.rows} == titles and page.total == len(titles), find
        assert len(shelf.ids(db, group.id, find=find)) == len(titles)


def test_use_is_counted_from_a_day_on_and_what_nobody_needed_is_found(
    db: Database, shelved: tuple[Collection, list[UUID]]
) -> None:
    group, made = shelved
    ever, lately = shelf.use(db, group.id), shelf.use(db, group.id, now() - timedelta(days=30))
    assert (ever.documents, ever.found, ever.cited, ever.never_found, ever.never_cited) == (5, 4, 3, 2, 3)
    assert (lately.found, lately.never_found, lately.never_cited) == (2, 4, 4)
    unused = shelf.page(db, group.id, MODEL, show="unfound")
    assert {d.id for d, _ in unused.rows} == {made[2], made[3]} == set(shelf.ids(db, group.id, show="unfound"))
    since = now() - timedelta(days=30)
    assert shelf.page(db, group.id, MODEL, show="uncited", since=since, limit=1).total == 4
    rows = {d.id: u for d, u in shelf.page(db, group.id, MODEL).rows}
    assert rows[made[2]] is None and (use := rows[made[4]]) is not None and (use.found, use.cited) == (2, 2)
    assert [d.id for d in shelf.these(db, [made[3], new_id(), made[0]], MODEL)] == [made[3], made[0]]
    assert {n.title for n in shelf.names(db, [group.id])} == set(TITLES)


def test_many_are_deleted_and_brought_back_together(db: Database, shelved: tuple[Collection, list[UUID]]) -> None:
    group, made = shelved
    before = shelf.page(db, group.id, MODEL)
    assert set(trash.put_documents(db, [*made[:3], new_id()], "me")) == set(made[:3])
    assert set(shelf.ids(db, group.id)) == set(made[3:]) and len(trash.list_deleted(db)) == 3
    assert len(trash.list_deleted(db, 1)) == 1
    trash.bring_back(db, *made[:3])
    assert shelf.page(db, group.id, MODEL) == before and not trash.list_deleted(db)
    with pytest.raises(DocumentNotFound):
        trash.bring_back(db, made[0])
