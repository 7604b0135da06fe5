"""The date a document gives itself, as the many programs that write files put it.

Invariant: a moment a person may have written it at, in UTC, or None: nothing before 1900, nothing in the future,
none of the moments that programs write where nobody said one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

_EARLIEST = 1900
_AHEAD = timedelta(days=1)  # clocks and zones differ
#: PDF's own form (D:20240131120000+02'00'), which ISO's short ones are like
_RUN = re.compile(
    r"(?:D:)?(\d{4})-?(?:(\d\d)(?:-?(\d\d)(?:[T ]?(\d\d):?(\d\d)(?::?(\d\d)(?:\.\d+)?)?"
    r"\s*(?:Z|([+-])(\d\d)'?:?(?:(\d\d)'?)?)?.*)?)?)?",
    re.I | re.S,
)
#: what stands in the templates of python-docx and python-pptx, and the zero of some clocks
_NOBODYS = frozenset(
    {
        datetime(2013, 12, 23, 23, 15, tzinfo=UTC),
        datetime(2013, 1, 27, 9, 14, 16, tzinfo=UTC),
        datetime(2013, 1, 27, 9, 15, 58, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1980, 1, 1, tzinfo=UTC),
    }
)


def first(given: Iterable[Any]) -> datetime | None:
    """The first of what is given that is a plausible moment: text of any form, a date or a datetime."""
    return next((moment for one in given if (moment := read(one)) is not None), None)


def office(properties: Any) -> datetime | None:
    """Of an Office file: when it was changed last, else when it was begun."""
    try:
        return first((properties.modified, properties.created))
    except Exception:  # what the libraries make of a date that is none
        return None


def read(given: Any) -> datetime | None:
    try:
        moment = _moment(given)
        if moment is None:
            return None
        moment = (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    plausible = moment.year >= _EARLIEST and moment <= datetime.now(UTC) + _AHEAD and moment not in _NOBODYS
    return moment if plausible else None


def _moment(given: Any) -> datetime | None:
    if isinstance(given, datetime):
        return given
    if isinstance(given, date):
        return datetime.combine(given, time())
    text = " ".join(str(given or "").split())[:100]
    if not text:
        return None
    run = _RUN.fullmatch(text)
    if run is None:
        return parsedate_to_datetime(text)
    year, month, day, hour, minute, second, sign, ahead, minutes = run.groups()
    moment = datetime(
        int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), min(59, int(second or 0))
    )
    offset = timedelta(hours=int(ahead or 0), minutes=int(minutes or 0))
    return (moment + offset if sign == "-" else moment - offset).replace(tzinfo=UTC)
