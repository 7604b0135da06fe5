"""Who answers: the order of choices."""

import pytest

from coach_core.errors import BadSetting, MissingKey
from coach_core.routing import choose
from coach_core.types import BackendInfo

KNOWN = {
    "extractive": BackendInfo("extractive", "Quotes", "", True),
    "openai_chat": BackendInfo("openai_chat", "Chat", "m", False, "No key is set.", needs_key=True),
    "local": BackendInfo("local", "Local", "", True),
    "broken": BackendInfo("broken", "Broken", "", False, "No model is set."),
}


def test_first_wins() -> None:
    assert choose(KNOWN, asked="local", thread="extractive", persona="", default="extractive").backends == ("local",)
    assert choose(KNOWN, thread="local", persona="extractive", default="extractive").backends == ("local",)
    assert choose(KNOWN, persona="local", default="extractive").backends == ("local",)
    assert choose(KNOWN, default="extractive").backends == ("extractive",)


def test_a_choice_by_hand_is_never_swapped() -> None:
    with pytest.raises(MissingKey, match="No key is set"):
        choose(KNOWN, thread="openai_chat", default="extractive")
    with pytest.raises(BadSetting, match="No model is set"):
        choose(KNOWN, asked="broken", default="extractive")


def test_a_personas_backend_that_is_not_ready_is_swapped_with_a_notice() -> None:
    route = choose(KNOWN, persona="openai_chat", default="extractive")
    assert route.backends == ("extractive",) and "No key is set." in route.notices[0][1]


def test_a_choice_that_is_not_there_any_more_gives_way_with_a_notice() -> None:
    route = choose(KNOWN, thread="azure-eu", persona="local", default="extractive")
    assert route.backends == ("local",)
    assert route.notices == (
        ("routing", "The backend 'azure-eu' that was chosen for this thread is not there any more. Local answers."),
    )
    route = choose(KNOWN, thread="azure-eu", persona="gone", default="extractive")
    assert route.backends == ("extractive",)
    assert "azure-eu" in route.notices[0][1] and "'gone'" in route.notices[0][1] and len(route.notices) == 1
    assert "Quotes answers." in choose(KNOWN, persona="gone", default="extractive").notices[0][1]


def test_asking_for_what_is_not_there_stays_an_error_and_hides_no_thread() -> None:
    with pytest.raises(BadSetting, match="no backend called 'x'"):
        choose(KNOWN, asked="x", thread="local", default="extractive")
    assert choose(KNOWN, asked="local", thread="gone", default="extractive").notices == ()


def test_settings_that_name_nobody_fall_back_to_what_is_connected() -> None:
    assert choose(KNOWN, default="gone", fallback="local").backends == ("local",)
    route = choose(KNOWN, default="gone")
    assert (
        route.backends == ("extractive",) and "'gone', which the settings name. Quotes answers." in route.notices[0][1]
    )
    keyed = KNOWN | {"openai_chat": BackendInfo("openai_chat", "Chat", "m", True, needs_key=True)}
    assert choose(keyed, default="gone").backends == ("openai_chat",), "what the settings connect comes first"
    assert choose(KNOWN, thread="local", default="gone").notices == (), "who chose another is not told"
    row = BackendInfo("row", "row", "m", True, needs_key=True, wire="openai_chat", endpoint="row")
    assert choose({"row": row, **KNOWN}, default="gone").backends == ("extractive",), "no row is asked unbidden"


def test_the_backup_stands_behind_when_it_is_ready() -> None:
    assert choose(KNOWN, default="local", fallback="extractive").backends == ("local", "extractive")
    assert choose(KNOWN, default="local", fallback="openai_chat").backends == ("local",)
    assert choose(KNOWN, default="local", fallback="local").backends == ("local",)
