"""Times as people name them, in five languages, from the day on which they were said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.search import dates_said

SAID = datetime(2026, 5, 20, 12, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "start", "days"),
    [
        ("I ran yesterday", "2026-05-19", 1),
        ("tomorrow I fly", "2026-05-21", 1),
        ("What did I do last May?", "2025-05-01", 31),
        ("On May 4th I ran", "2026-05-04", 1),
        ("the 4th of May, 2023", "2023-05-04", 1),
        ("three weeks ago", "2026-04-26", 7),
        ("in two months", "2026-07-01", 31),
        ("next Friday", "2026-05-22", 1),
        ("last Monday", "2026-05-18", 1),
        ("last week", "2026-05-11", 7),
        ("by October 2027", "2027-10-01", 31),
        ("by March", "2027-03-01", 31),
        ("since March", "2026-03-01", 31),
        ("2026-04-01", "2026-04-01", 1),
        ("el 3 de mayo fui", "2026-05-03", 1),
        ("ayer por la mañana", "2026-05-19", 1),
        ("mañana tengo una entrevista", "2026-05-21", 1),
        ("hace tres días", "2026-05-17", 1),
        ("la semana pasada", "2026-05-11", 7),
        ("vor drei Tagen", "2026-05-17", 1),
        ("am 3. Mai", "2026-05-03", 1),
        ("morgen habe ich frei", "2026-05-21", 1),
        ("bis Dezember", "2026-12-01", 31),
        ("昨天我跑了", "2026-05-19", 1),
        ("下周一有面试", "2026-05-25", 1),
        ("三天前", "2026-05-17", 1),
        ("5月3日", "2026-05-03", 1),
        ("قبل أسبوعين", "2026-05-03", 7),
        ("غدا عندي مقابلة", "2026-05-21", 1),
        ("في ٣ مايو", "2026-05-03", 1),
    ],
)
def test_a_time_is_told_from_the_day_it_was_said(text: str, start: str, days: int) -> None:
    (found,) = dates_said.find(text, SAID)
    assert (f"{found.start:%Y-%m-%d}", found.days) == (start, days)


@pytest.mark.parametrize("text", ["I may go", "march on", "Guten Morgen!", "no time named", "in general", "31.02.2026"])
def test_words_that_name_no_time_give_none(text: str) -> None:
    assert dates_said.find(text, SAID) == []


@given(st.text(max_size=80), st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_any_text_gives_whole_days_at_places_within_it(text: str, said: datetime) -> None:
    for found in dates_said.find(f"{text} 3 weeks ago, next month {text}", said):
        assert found.end - found.start >= timedelta(days=1)
        assert found.start.hour == 0 and found.begin < found.stop
