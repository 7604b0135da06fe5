"""What a citation shows: its page as it was, to whom, and what the export and the metrics tell of it."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from reportlab.pdfgen import canvas

from coach_core.coach import Coach
from coach_core.errors import NotAllowed, NotFound, UnsupportedFile
from coach_core.types import Actor, Document, Message

OLD = "The lantern of Quillmoor is lit an hour before dusk by the eldest of the keepers."
NEW = "The lantern of Quillmoor is never lit, for the harbour was closed in the great storm."


def pdf(*texts: str) -> bytes:
    out = io.BytesIO()
    drawing = canvas.Canvas(out)
    for text in texts:
        drawing.drawString(60, 700, text)
        drawing.showPage()
    drawing.save()
    return out.getvalue()


@pytest.fixture
def coach(make_coach: Callable[..., Coach], tmp_path: Path) -> Coach:
    steps = ["The lantern is lit an hour before dusk [1]. It takes 40 litres of oil [1]."]
    (tmp_path / "script.json").write_text(json.dumps({"steps": steps}))
    return make_coach(backend="scripted", script=str(tmp_path / "script.json"))


@pytest.fixture
def document(coach: Coach, me: Actor, tmp_path: Path) -> Document:
    return put(coach, me, tmp_path, "An empty page of no account stands first.", OLD)


def put(coach: Coach, me: Actor, tmp_path: Path, *texts: str, **more: Any) -> Document:
    path = tmp_path / "keepers.pdf"
    path.write_bytes(pdf(*texts))
    collection = next((c for c in coach.collections(me) if c.name == "Keepers"), None)
    collection = collection or coach.create_collection(me, "Keepers")
    return coach.ingest(me, collection.id, path.name, path, **more)


def answered(coach: Coach, me: Actor, document: Document) -> Message:
    persona = coach.persona(me, "general")
    draft = replace(persona.draft, collections=(document.collection_id,))
    coach.save_persona(me, draft, persona.id)
    thread = coach.new_thread(me, persona.id)
    turn = coach.start(me, thread.id, "When is the lantern of Quillmoor lit?")
    list(coach.tail(me, turn.id))
    return coach.messages(me, thread.id)[-1]


def test_a_citation_shows_its_page_as_it_was_also_after_the_document_was_replaced(
    coach: Coach, me: Actor, document: Document, tmp_path: Path
) -> None:
    answer = answered(coach, me, document)
    before = coach.cited_page(me, answer.id, 1)
    assert (before.page, before.pages) == (2, 2) and before.boxes
    assert coach.cited_page(me, answer.id, 1, 1).boxes == ()

    replaced = put(coach, me, tmp_path, NEW, replace=document.id)
    assert coach.cited_page(me, answer.id, 1) == before
    assert coach.document_page(me, replaced.id, 1, NEW).pages == 1
    (citation,) = coach.citations(me, [answer.id])[answer.id]
    assert OLD in citation.text and citation.document_hash == document.sha256 != replaced.sha256


def test_of_a_document_that_was_deleted_no_page_is_shown(coach: Coach, me: Actor, document: Document) -> None:
    answer = answered(coach, me, document)
    coach.delete_document(me, document.id)
    with pytest.raises(NotFound):
        coach.cited_page(me, answer.id, 1)
    assert OLD in coach.citations(me, [answer.id])[answer.id][0].text


def test_pages_are_for_those_who_may_read_the_library_and_answers_for_their_owner(
    coach: Coach, me: Actor, document: Document
) -> None:
    answer = answered(coach, me, document)
    other = coach.actor_for(coach.add_profile(me, "Other", "coach").id)
    with pytest.raises(NotFound):
        coach.cited_page(other, answer.id, 1)
    assert coach.document_page(other, document.id, 1).pages == 2
    client = coach.actor_for(coach.add_profile(me, "Client", "client").id)
    with pytest.raises(NotAllowed):
        coach.document_page(client, document.id, 1)
    with pytest.raises(NotFound):
        coach.cited_page(me, answer.id, 9)


def test_only_a_pdf_has_pages(coach: Coach, me: Actor) -> None:
    text = next(d for d in coach.documents(me) if d.media_type != "application/pdf")
    with pytest.raises(UnsupportedFile):
        coach.document_page(me, text.id, 1)


def test_the_export_says_which_sentence_goes_beyond_its_passage(coach: Coach, me: Actor, document: Document) -> None:
    answer = answered(coach, me, document)
    said = coach.export(me, answer.thread_id, "markdown")
    assert (
        "This sentence may go beyond what the passage says: the passage does not mention 40 litres. "
        "\u201cIt takes 40 litres of oil.\u201d"
    ) in said
    (cited,) = json.loads(coach.export(me, answer.thread_id, "json"))["messages"][-1]["citations"]
    assert cited["verdict"] == "fails" and [c[3] for c in cited["checks"]] == ["", "40 litres"]


def test_an_answer_that_is_gone_on_with_is_checked_whole_and_counted_once(
    make_coach: Callable[..., Coach], tmp_path: Path
) -> None:
    def script(*steps: Any) -> str:
        path = tmp_path / f"{len(steps)}.json"
        path.write_text(json.dumps({"steps": steps}))
        return str(path)

    half, rest = "The lantern is lit an hour before dusk [1]. ", "It takes 40 litres of oil [1]."
    first = make_coach(backend="scripted", script=script(half, {"error": "rate_limited"}))
    me = first.owner()
    broken = answered(first, me, put(first, me, tmp_path, OLD))
    assert (broken.text, broken.status) == (half, "failed")
    assert [c.verdict for c in first.citations(me, [broken.id])[broken.id]] == ["holds"]
    first.close()

    second = make_coach(backend="scripted", script=script(half, rest, ""))
    list(second.tail(me, second.resume(me, broken.id).id))
    whole = second.messages(me, broken.thread_id)[-1]
    assert whole.text == half + rest
    (citation,) = second.citations(me, [whole.id])[whole.id]
    before = second.citations(me, [broken.id])[broken.id][0]
    assert replace(citation, verdict=before.verdict, checks=before.checks) == before, "the snapshot is the same"
    assert citation.checks and [whole.text[a:b] for a, b, *_ in citation.checks] == [half.strip(), rest]
    assert citation.verdict == "fails"
    counted = second.metrics(me, since=timedelta(minutes=5)).total
    assert counted.counts == {"citations_checked": 2, "citations_wrong": 1} and counted.held == 0.5
