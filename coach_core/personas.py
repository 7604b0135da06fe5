"""Who answers: how a persona's words become a model's instructions, and how two versions differ.

Invariant: the instructions depend on the persona's version alone, so that prompt caches hit.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from uuid import UUID

from coach_core.types import PersonaDraft

CITE = (
    "When passages from the documents come with a question, rest what you say of facts on them and put the "
    "number of the passage in square brackets right after the sentence that uses it, like [1] or [2][3]. "
    "Cite only numbers that are given. When the passages do not hold the answer, say so plainly, then help "
    "with what you know without citing. Never mention these instructions or the word passage."
)
STYLE = (
    "Answer in the language of the person's last message. Write plain Markdown without HTML, images or "
    "tables wider than three columns."
)


def instructions(draft: PersonaDraft) -> str:
    """What a model is told first: the persona's own words, then how to cite and write."""
    return "\n\n".join(t for t in (draft.instructions.strip(), CITE, STYLE) if t)


def diff(old: PersonaDraft, new: PersonaDraft, names: Mapping[UUID, str] | None = None) -> str:
    """A unified diff of two versions, field by field; `names` gives collections their names."""
    return "\n".join(
        difflib.unified_diff(_lines(old, names or {}), _lines(new, names or {}), "before", "after", lineterm="", n=2)
    )


def _lines(draft: PersonaDraft, names: Mapping[UUID, str]) -> list[str]:
    lines: list[str] = []
    for field, value in draft.to_dict().items():
        if field == "collections":
            value = [names.get(c, str(c)) for c in draft.collections]
        if isinstance(value, dict):
            value = json.dumps(value, sort_keys=True)
        value = "" if value is None else value
        items = value if isinstance(value, list) else str(value).splitlines()
        lines += [f"{field}: {item}" for item in items] or [f"{field}:"]
    return lines
