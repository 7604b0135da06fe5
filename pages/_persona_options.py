"""The advanced fields of a persona: how its model words things, what stays at the API, how long to wait.

Invariant: what is empty is left to the endpoint and the settings. A value out of its range is said so
beside its field, in the words of personas.py, and is never put right in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import streamlit as st

from coach_core import personas
from coach_core.errors import InputError
from coach_core.ui.shared import escape

#: name, label, step, what it means. Whole numbers have a whole step.
_WORDING = (
    ("temperature", "Temperature", 0.1, "0 words alike each time, 2 is the freest. Some models take none."),
    ("top_p", "Top p", 0.05, "Of how many likely words the next is chosen, 0 to 1. Change this or the temperature."),
    ("max_output_tokens", "Longest (tokens)", 100, "The longest answer; a token is about three quarters of a word."),
)
_TIMES = (
    ("first_token_timeout", "First word after (s)", 5.0, "A model that thinks for long needs more."),
    ("token_timeout", "Between pieces (s)", 5.0, "An answer that stands still for longer is given up."),
    ("turn_timeout", "Whole answer (s)", 30.0, "With all its tools."),
)
_STATE = {
    "": "Default",
    "previous_response": "By the answer before",
    "conversation": "As a conversation kept there",
    "stateless": "Nothing stays there",
}
_SEARCH = {"": "Default", "local": "The app itself", "hosted": "The API, in copies kept there"}
_BACKGROUND = {"": "Default", True: "Runs on there", False: "Ends with the line"}
_EFFORT = {"": "Default", **{e: e for e in personas.CHOICES["reasoning_effort"][1]}}


def draw(saved: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The fields as they stand, as parameters; `key` is the editor's."""
    parameters = dict(saved)
    with st.expander("Advanced", icon=":material/tune:", key=f"{key}_advanced"):
        st.caption("What is empty, or Default, is as the endpoint says, else the settings.")
        for pair in (_WORDING[:2], _WORDING[2:], _TIMES[:2], _TIMES[2:]):
            for column, field in zip_longest(st.columns(2), pair):
                with column:
                    if field is not None:
                        _number(parameters, key, *field)
                    elif pair == _WORDING[2:]:
                        _choice(parameters, key, "reasoning_effort", "Reasoning effort", _EFFORT, "How long it thinks.")
        _choice(
            parameters, key, "state", "The conversation at the API", _STATE,
            "Responses API only. Whatever is chosen, the app keeps every word itself and tells it again when the "
            "API has lost it.",
        )  # fmt: skip
        _choice(
            parameters, key, "search", "Who searches the documents", _SEARCH,
            "The API's search needs copies of this persona's documents there; the app sends them and keeps them in "
            "step. Where that search fails, the app's own answers.",
        )  # fmt: skip
        _choice(
            parameters, key, "background", "When the line is cut", _BACKGROUND,
            "Responses API only: an answer that runs in the background is fetched when the line is back.",
        )  # fmt: skip
        _assistant(parameters, key)
    return parameters


def _number(parameters: dict[str, Any], key: str, name: str, label: str, step: float, words: str) -> None:
    whole = isinstance(step, int)
    with st.container(gap=None):
        value = st.number_input(
            label, value=_typed(parameters.get(name), whole), step=step, key=f"{key}_{name}",
            persist_state="session", placeholder="default", help=words, format=None if whole else "%g",
        )  # fmt: skip
        _put(parameters, name, round(value, 4) if isinstance(value, float) else value)


def _choice(
    parameters: dict[str, Any], key: str, name: str, label: str, words: Mapping[Any, str], meaning: str
) -> None:
    now = parameters.get(name, "")
    options = list(dict.fromkeys([*words, now]))
    short = {"reasoning_effort": "effort"}.get(name, name)
    with st.container(gap=None):
        chosen = st.selectbox(
            label, options, options.index(now), key=f"{key}_{short}", persist_state="session",
            format_func=lambda o: words.get(o, str(o)), help=meaning,
        )  # fmt: skip
        _put(parameters, name, None if chosen == "" else chosen)


def _assistant(parameters: dict[str, Any], key: str) -> None:
    with st.container(gap=None):
        given = st.text_input(
            "An assistant that exists already (its id)", parameters.get("assistant_id", ""), key=f"{key}_assistant",
            persist_state="session", placeholder="asst_...", max_chars=200,
            help="For servers that speak the Assistants API: it is used as it is instead of one made from this "
            "persona. Its own instructions hold.",
        )  # fmt: skip
        _put(parameters, "assistant_id", (given or "").strip() or None)


def _put(parameters: dict[str, Any], name: str, value: Any) -> None:
    """Take the value over, and say beside the field when it cannot be saved so."""
    if value is None:
        parameters.pop(name, None)
        return
    parameters[name] = value
    try:
        personas.check_parameters({name: value})
    except InputError as error:
        st.markdown(f":small[:red[{escape(error.sentence)}]]")


def _typed(value: Any, whole: bool) -> float | int | None:
    """The value as its field takes it; one that is no number at all is left to be typed anew."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if whole else float(value)
