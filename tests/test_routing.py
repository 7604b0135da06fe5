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
    with pytest.raises(BadSetting, match="no backend called 'x'"):
        choose(KNOWN, asked="x", default="extractive")


def test_a_personas_backend_that_is_not_ready_is_swapped_with_a_notice() -> None:
    route = choose(KNOWN, persona="openai_chat", default="extractive")
    assert route.backends == ("extractive",) and "No key is set." in route.notices[0][1]


def test_the_backup_stands_behind_when_it_is_ready() -> None:
    assert choose(KNOWN, default="local", fallback="extractive").backends == ("local", "extractive")
    assert choose(KNOWN, default="local", fallback="openai_chat").backends == ("local",)
    assert choose(KNOWN, default="local", fallback="local").backends == ("local",)
