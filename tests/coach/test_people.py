"""Profiles and personas through the facade."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from coach_core.coach import Coach
from coach_core.errors import InputError, NameTaken, NotAllowed, PersonaNotFound
from coach_core.types import Actor, Persona, PersonaDraft


def test_a_new_database_has_five_personas_with_documents(coach: Coach, me: Actor) -> None:
    found = {p.slug: p for p in coach.personas(me)}
    assert set(found) == {"general", "career", "health", "relationship", "business"}
    filled = {c.id for c in coach.collections(me) if c.documents and c.licence}
    for persona in found.values():
        assert set(persona.draft.collections) <= filled and len(persona.draft.starters) == 4
        assert persona.draft.instructions and persona.draft.greeting and persona.draft.empty_state


def test_every_save_is_a_version_with_diff_and_restore(coach: Coach, me: Actor, persona: Persona) -> None:
    before = persona.draft
    after = coach.save_persona(me, replace(before, greeting="Hello there."), persona.id, note="shorter")
    assert after.version == persona.version + 1 and coach.persona(me, "general").draft.greeting == "Hello there."
    diff = coach.persona_diff(me, before, after.draft).splitlines()
    assert "+greeting: Hello there." in diff and f"-greeting: {before.greeting}" in diff
    back = coach.restore_persona(me, persona.id, persona.version)
    assert back.version == after.version + 1 and back.draft == before
    assert [v.version for v in coach.persona_versions(me, persona.id)] == [3, 2, 1]


def test_duplicate_delete_and_undo(coach: Coach, me: Actor, persona: Persona) -> None:
    first, second = coach.duplicate_persona(me, persona.id), coach.duplicate_persona(me, persona.id)
    assert [first.name, second.name] == ["General coach copy", "General coach copy 2"]
    assert first.draft == replace(persona.draft, name=first.name)
    coach.delete_persona(me, first.id)
    assert first.id not in {p.id for p in coach.personas(me)}
    thread = coach.new_thread(me, persona.id)
    coach.set_persona(me, thread.id, second.id)
    coach.delete_persona(me, second.id)
    with pytest.raises(PersonaNotFound, match="deleted"):
        coach.start(me, thread.id, "Still there?")
    assert coach.messages(me, thread.id) == []
    coach.undelete_persona(me, first.id)
    assert first.id in {p.id for p in coach.personas(me)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "  "}, "needs a name"),
        ({"name": "x" * 81}, "too long"),
        ({"backend": "oracle"}, "no backend called 'oracle'"),
        ({"tools": ("rm",)}, "no tool called 'rm'"),
        ({"parameters": {"temperature": 3}}, "temperature must be"),
        ({"parameters": {"temperature": "hot"}}, "temperature must be"),
        ({"parameters": {"size": 1}}, "no parameter called 'size'"),
        ({"parameters": {"reasoning_effort": "huge"}}, "reasoning_effort"),
        ({"parameters": {"temperature": float("nan")}}, "temperature must be"),
        ({"parameters": {"max_output_tokens": 1.5}}, "a whole number of tokens"),
        ({"parameters": {"turn_timeout": 0}}, "seconds from 1 to 86,400; 0 is not"),
        ({"parameters": {"state": "forever"}}, "previous_response, conversation or stateless; 'forever' is not"),
        ({"parameters": {"search": ["local"]}}, "local or hosted"),
        ({"parameters": {"background": "yes"}}, "true or false"),
        ({"parameters": {"assistant_id": "asst 1\n"}}, "asst_abc123"),
    ],
)
def test_a_draft_that_cannot_be_saved_is_told(
    coach: Coach, me: Actor, persona: Persona, change: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        coach.save_persona(me, replace(persona.draft, **change), persona.id)  # type: ignore[arg-type]
    assert coach.persona(me, "general").version == persona.version


@pytest.mark.parametrize("key", ["sk-planted-123456789", "plantedwithoutaprefix"])
@pytest.mark.parametrize(
    "change",
    [
        lambda key: {"model": key},
        lambda key: {"name": key},
        lambda key: {"backend": key},
        lambda key: {"tools": (key,)},
        lambda key: {"parameters": {"assistant_id": key}},
        lambda key: {"parameters": {"state": key}},
        lambda key: {"parameters": {key: 1}},
    ],
)
def test_a_key_where_a_name_belongs_is_refused_and_not_repeated(
    make_coach: Callable[..., Coach], change: Callable[[str], dict[str, Any]], key: str
) -> None:
    coach = make_coach(openai_api_key="plantedwithoutaprefix")
    me = coach.owner()
    persona = coach.persona(me, "general")
    with pytest.raises(InputError, match="key") as caught:
        coach.save_persona(me, replace(persona.draft, **change(key)), persona.id)
    assert ".env" in caught.value.sentence and "planted" not in caught.value.sentence
    assert coach.persona(me, "general").version == persona.version


def test_a_name_is_given_once(coach: Coach, me: Actor) -> None:
    with pytest.raises(NameTaken):
        coach.save_persona(me, PersonaDraft("General coach"))
    coach.add_profile(me, "Ana", "coach")
    with pytest.raises(NameTaken):
        coach.add_profile(me, "ana", "admin")


def test_roles_hold(coach: Coach, me: Actor, persona: Persona) -> None:
    people = {r: coach.actor_for(coach.add_profile(me, f"A {r}", r).id) for r in ("admin", "coach", "stakeholder")}
    for role in ("coach", "stakeholder"):
        with pytest.raises(NotAllowed):
            coach.save_persona(people[role], persona.draft, persona.id)
        with pytest.raises(NotAllowed):
            coach.doctor(people[role])
    with pytest.raises(NotAllowed):
        coach.new_thread(people["stakeholder"], persona.id)
    with pytest.raises(NotAllowed, match="no role"):
        coach.add_profile(me, "X", "king")
    with pytest.raises(NotAllowed):
        coach.add_profile(people["admin"], "Second owner", "owner")
    with pytest.raises(NotAllowed):
        coach.delete_profile(me, me.user_id)
    with pytest.raises(NotAllowed):
        coach.delete_profile(people["admin"], me.user_id)
    coach.delete_profile(me, people["coach"].user_id)
    assert people["coach"].user_id not in {u.id for u in coach.profiles()}
