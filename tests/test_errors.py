"""Every error has a sentence of its own that says what to do."""

import pytest

from coach_core import errors
from coach_core.errors import CoachError


def _all(cls: type[CoachError]) -> list[type[CoachError]]:
    return [cls, *(c for sub in cls.__subclasses__() if sub.__module__ == errors.__name__ for c in _all(sub))]


@pytest.mark.parametrize("cls", _all(CoachError), ids=lambda c: c.__name__)
def test_sentence(cls: type[CoachError]) -> None:
    sentence = cls().sentence
    assert cls.__doc__ and sentence == " ".join(cls.__doc__.split()) and sentence[-1] == "."
    assert cls("Another.").sentence == str(cls("Another.")) == "Another."
    assert cls().kind == cls().kind.lower()


def test_the_tree_in_the_docstring_is_whole() -> None:
    for cls in _all(CoachError):
        assert cls.__name__ in (errors.__doc__ or ""), cls.__name__
