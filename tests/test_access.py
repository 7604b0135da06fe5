"""The table of roles and actions."""

import typing

import pytest

from coach_core import access
from coach_core.errors import NotAllowed
from coach_core.types import Actor, Role, new_id


@pytest.mark.parametrize("role", access.ROLES)
@pytest.mark.parametrize("action", typing.get_args(access.Action))
def test_require_follows_the_table(role: Role, action: access.Action) -> None:
    actor = Actor(new_id(), role)
    if access.allowed(role, action):
        access.require(actor, action)
    else:
        with pytest.raises(NotAllowed) as error:
            access.require(actor, action)
        assert error.value.sentence.endswith(".")


def test_stakeholders_see_numbers_only() -> None:
    assert access.TABLE["stakeholder"] == {"metrics"}


def test_an_unknown_role_may_nothing() -> None:
    assert not access.allowed("intruder", "chat")  # type: ignore[arg-type]
