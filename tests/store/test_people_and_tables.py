"""Users, personas, settings, endpoints, provider state and the audit log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from coach_core.errors import BadSetting, InputError, NameTaken, NotAllowed, PersonaNotFound, ProfileNotFound
from coach_core.store import audit, endpoints, personas, settings_table, state, threads, users
from coach_core.store.models import metadata
from coach_core.types import PersonaDraft, new_id

DRAFT = PersonaDraft(
    "Career",
    "Ask\x00 first.",
    starters=("A", "B"),
    parameters={"temperature": 0.5},
    collections=(new_id(),),
    picture_id=new_id(),
)


def test_the_owner_is_made_once(world: Any) -> None:
    opened = [world.db, world.again(), world.again()]
    with ThreadPoolExecutor(3) as pool:
        found = {user.id for user in pool.map(users.ensure_owner, opened)}
    assert found == {world.actor.user_id}
    assert [(u.name, u.role) for u in users.list_users(world.db)] == [("Owner", "owner")]


def test_names_differ_by_more_than_case_and_composition(world: Any) -> None:
    first = users.create_user(world.db, "  Zoe\u0308  Ångström ", "coach")
    assert first.name == "Zoe\u0308 Ångström"
    for name in ("ZOË ÅNGSTRÖM", "zoë ångström", "owner"):
        with pytest.raises(NameTaken):
            users.create_user(world.db, name, "coach")
    for name in ("", " \n ", "x" * 81):
        with pytest.raises(InputError):
            users.create_user(world.db, name, "coach")
    second = users.create_user(world.db, "Kim", "stakeholder")
    with pytest.raises(NameTaken):
        users.rename(world.db, second.id, "zoë ångström")
    assert users.rename(world.db, second.id, "Kim Lee").name == "Kim Lee"


def test_a_deleted_profile_frees_its_name(world: Any) -> None:
    user = users.create_user(world.db, "Kim", "coach")
    users.delete_user(world.db, user.id)
    with pytest.raises(ProfileNotFound):
        users.get_user(world.db, user.id)
    with pytest.raises(ProfileNotFound):
        users.delete_user(world.db, user.id)
    assert users.create_user(world.db, "Kim", "coach").id != user.id


def test_the_last_owner_stays(world: Any) -> None:
    with pytest.raises(NotAllowed):
        users.delete_user(world.db, world.actor.user_id)
    users.create_user(world.db, "Second", "owner")
    users.delete_user(world.db, world.actor.user_id)
    assert users.ensure_owner(world.db).name == "Second"


def test_every_save_is_a_version(world: Any) -> None:
    first = personas.save(world.db, "Ann", DRAFT, note="made")
    again = personas.save(world.db, "Ben", PersonaDraft("Career and work", "Ask more."), first.id, "renamed")
    assert (again.version, again.slug, again.name) == (2, "career", "Career and work")
    back = personas.restore(world.db, "Cy", first.id, 1)
    assert (back.version, back.draft) == (
        3,
        replace(DRAFT, instructions="Ask\ufffd first."),
    )
    found = personas.versions(world.db, first.id)
    assert [(v.version, v.created_by) for v in found] == [(3, "Cy"), (2, "Ben"), (1, "Ann")]
    assert personas.version(world.db, first.version_id).note == "made"
    for missing in (lambda: personas.restore(world.db, "x", first.id, 9), lambda: personas.version(world.db, new_id())):
        with pytest.raises(PersonaNotFound):
            missing()


def test_slugs_are_readable_unique_and_found(world: Any) -> None:
    made = [personas.save(world.db, "a", PersonaDraft(n)) for n in ("Über-Coach!", "uber coach", "健康", "健康")]
    assert [p.slug for p in made] == ["uber-coach", "uber-coach-2", "persona", "persona-2"]
    for key in (made[1].id, str(made[1].id), "uber-coach-2"):
        assert personas.get(world.db, key).id == made[1].id
    for unknown in ("nobody", new_id(), str(new_id())):
        with pytest.raises(PersonaNotFound):
            personas.get(world.db, unknown)
    assert personas.save(world.db, "a", PersonaDraft("X"), slug="given").slug == "given"
    with pytest.raises(InputError):
        personas.save(world.db, "a", PersonaDraft("  "))
    with pytest.raises(PersonaNotFound):
        personas.save(world.db, "a", PersonaDraft("X"), new_id())


def test_deleted_personas_leave_the_list_and_come_back(world: Any) -> None:
    persona = personas.save(world.db, "a", DRAFT)
    personas.delete(world.db, persona.id)
    assert persona.id not in {p.id for p in personas.list_personas(world.db)}
    assert [p.id for p in personas.list_personas(world.db, deleted=True)] == [persona.id]
    assert personas.get(world.db, persona.id).deleted_at is not None
    personas.undelete(world.db, persona.id)
    assert [p.name for p in personas.list_personas(world.db)] == ["Career", "General coach"]
    with pytest.raises(PersonaNotFound):
        personas.delete(world.db, new_id())


def test_saves_at_once_get_a_number_each(world: Any) -> None:
    persona = personas.save(world.db, "a", DRAFT)
    opened = [world.db, world.again()]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: personas.save(opened[n % 2], "a", PersonaDraft(f"N{n}"), persona.id), range(6)))
    assert [v.version for v in personas.versions(world.db, persona.id)] == [7, 6, 5, 4, 3, 2, 1]


def test_settings_are_kept_and_secrets_refused(world: Any) -> None:
    settings_table.set(world.db, "passages", "8", by="Ann")
    settings_table.set(world.db, "passages", "9")
    assert settings_table.get_all(world.again()) == {"passages": "9"}
    for secret in ("openai_api_key", "OPENAI_API_KEY", "webhook_secret", "smtp_password"):
        with pytest.raises(BadSetting):
            settings_table.set(world.db, secret, "sk-1")
    settings_table.unset(world.db, "passages")
    assert settings_table.get_all(world.db) == {}


def test_endpoints(world: Any) -> None:
    row = endpoints.save(world.db, "vllm", "http://127.0.0.1/v1", "openai_chat", profile={"developer": False})
    assert endpoints.get(world.db, "vllm") == row == endpoints.list_endpoints(world.db)[0]
    changed = endpoints.save(world.db, "vllm", "http://127.0.0.1:2/v1", "openai_chat", endpoint_id=row.id)
    assert endpoints.list_endpoints(world.db) == [changed]
    with pytest.raises(NameTaken):
        endpoints.save(world.db, "vllm", "http://elsewhere/v1", "openai_chat")
    with pytest.raises(BadSetting):
        endpoints.save(world.db, "x", "http://elsewhere/v1", "openai_chat", endpoint_id=new_id())
    endpoints.delete(world.db, row.id)
    assert endpoints.get(world.db, "vllm") is None


def test_what_an_endpoint_is_used_for_and_what_was_kept_there(world: Any) -> None:
    thread, other = world.thread(backend="eu"), world.thread(world.profile("Ana"), backend="eu")
    world.thread(backend="us")
    assert endpoints.threads_on(world.db, "eu") == 2 and endpoints.threads_on(world.db, "gone") == 0
    threads.delete(world.db, world.actor, [thread.id])
    assert endpoints.threads_on(world.db, "eu") == 1, "one in the bin is not in the way"
    turn = world.ask(world.thread(), "Q")
    for place in ("openai_responses@eu", "openai_chat@eu", "openai_responses@us"):
        state.put(world.db, turn.thread_id, place, turn.answer_id, {"response_id": place})
    endpoints.forget_state(world.db, "openai_responses@eu")
    kept = [p for p in ("openai_responses@eu", "openai_chat@eu", "openai_responses@us")
            if state.get(world.db, turn.thread_id, p)]  # fmt: skip
    assert kept == ["openai_chat@eu", "openai_responses@us"] and other.backend == "eu"


def test_provider_state_is_one_row_a_thread_and_endpoint(world: Any) -> None:
    thread = world.thread()
    turn = world.ask(thread, "Q")
    for data in ({"response_id": "1"}, {"response_id": "2"}):
        state.put(world.db, thread.id, "openai", turn.answer_id, data)
    kept = state.get(world.db, thread.id, "openai")
    assert kept == state.ProviderState(turn.answer_id, {"response_id": "2"})
    assert state.get(world.db, thread.id, "azure") is None
    state.drop(world.db, thread.id, "openai")
    assert state.get(world.db, thread.id, "openai") is None


@pytest.mark.parametrize(
    ("data", "stays"),
    [({"response_id": "1"}, True), ({"conversation_id": "1", "request_id": "r"}, False), ({"thread_id": "1"}, False)],
)
def test_a_conversation_that_changes_as_it_is_used_is_taken_out(world: Any, data: dict[str, str], stays: bool) -> None:
    thread = world.thread()
    turn = world.ask(thread, "Q")
    state.put(world.db, thread.id, "openai", turn.answer_id, data)
    assert state.take(world.db, thread.id, "openai", new_id()) is None, "another branch"
    assert state.take(world.db, thread.id, "azure", turn.answer_id) is None
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: state.take(world.db, thread.id, "openai", turn.answer_id), range(4)))
    assert [t for t in taken if t] == [data] * (4 if stays else 1), "one turn has it, and no other"
    assert (state.get(world.db, thread.id, "openai") is not None) == stays


def test_the_audit_log_shows_what_changed_and_that_nothing_else_did(world: Any) -> None:
    for number in range(5):
        audit.record(world.db, world.actor, "persona.save", f"p{number}", {"a": number}, {"a": None, "id": new_id()})
    audit.record(world.db, None, "cleanup", "", why="daily")
    entries = audit.list_entries(world.db)
    assert [e.subject for e in entries] == ["", "p4", "p3", "p2", "p1", "p0"]
    assert (entries[0].actor_name, entries[1].actor_name, entries[1].before) == ("the app", "Owner", {"a": 4})
    assert [e.subject for e in audit.list_entries(world.db, 2, before_number=entries[1].number)] == ["p3", "p2"]
    assert audit.verify(world.db) is None


@pytest.mark.parametrize(
    "forge", ["UPDATE audit_log SET subject = 'x' WHERE subject = 'p2'", "DELETE FROM audit_log WHERE subject = 'p2'"]
)
def test_a_forged_audit_log_is_noticed(world: Any, forge: str) -> None:
    for number in range(5):
        audit.record(world.db, world.actor, "persona.save", f"p{number}")
    bad = {e.subject: e.number for e in audit.list_entries(world.db)}["p2" if "UPDATE" in forge else "p3"]
    world.db.write(lambda connection: connection.execute(sa.text(forge))).result()
    assert audit.verify(world.db) == bad


def test_audit_from_two_processes_is_one_chain(world: Any) -> None:
    opened = [world.db, world.again()]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: audit.record(opened[n % 2], world.actor, "do", str(n)), range(20)))
    assert len(audit.list_entries(world.db)) == 20
    assert audit.verify(world.db) is None


def test_audit_in_the_transaction_it_tells_of(world: Any) -> None:
    def work(connection: Any) -> None:
        audit.record(connection, world.actor, "do", "x")
        raise InputError()

    with pytest.raises(InputError):
        world.db.write(work).result()
    assert audit.list_entries(world.db) == []


def test_booked_ticks_cannot_overlap(world: Any) -> None:
    """Two bookings can never share five minutes of a coach, in either database."""
    bookings, ticks = metadata.tables["bookings"], metadata.tables["booking_ticks"]
    coach = world.actor.user_id
    opened = [world.db, world.again()]

    def book(number: int) -> bool:
        booking = new_id()

        def work(connection: Any) -> None:
            connection.execute(sa.insert(bookings).values(id=booking, code=f"C{number}", coach_id=coach))
            values = [{"coach_id": coach, "tick": t, "booking_id": booking} for t in range(number, number + 6)]
            connection.execute(sa.insert(ticks), values)

        try:
            opened[number % 2].write(work).result()
        except sa.exc.IntegrityError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(book, range(6))) == 1
    assert len(world.rows(bookings)) == 1
    assert len(world.rows(ticks)) == 6
