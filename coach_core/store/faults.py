"""Turns what a database driver raises into the error tree; the driver's text, which may hold values, stays out."""

from __future__ import annotations

from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, InterfaceError, OperationalError

from coach_core.errors import CoachError, DatabaseBusy, DatabaseUnreachable, DiskFull, SchemaBehind, StoreError

_DAMAGED = "The database file is damaged. Restore a backup: `python -m coach_core restore FILE`."
#: PostgreSQL's codes, by how they begin
_BUSY = ("40", "55")  # serialization, deadlock, lock not available
_GONE = ("08", "57P", "28", "3D")  # connection, shutdown, login, no such database
_MISSING = ("42P01", "42703")  # no such table, no such column


def map_fault(fault: BaseException) -> BaseException:
    """`fault` as a StoreError where it comes from the database; anything else as it is.

    An IntegrityError stays: what it means depends on what was being written.
    """
    if isinstance(fault, CoachError) or not isinstance(fault, DBAPIError) or isinstance(fault, IntegrityError):
        return fault
    code = getattr(fault.orig, "sqlstate", None)
    error = _by_code(code) if code else _by_text(fault, str(fault.orig).lower())
    if error is None:
        return fault
    error.__cause__ = fault
    return error


def _by_code(code: str) -> StoreError | None:
    if code.startswith(_BUSY):
        return DatabaseBusy()
    if code == "53100":
        return DiskFull()
    if code.startswith(_GONE):
        return DatabaseUnreachable()
    if code in _MISSING:
        return SchemaBehind()
    return StoreError() if code.startswith(("53", "54", "58", "XX")) else None


def _by_text(fault: DBAPIError, text: str) -> StoreError | None:
    if "locked" in text or "busy" in text:
        return DatabaseBusy()
    if "disk is full" in text or "no space" in text or "disk i/o" in text or "readonly" in text:
        return DiskFull()
    if "no such table" in text or "no such column" in text:
        return SchemaBehind()
    if "malformed" in text or "not a database" in text:
        return StoreError(_DAMAGED)
    if isinstance(fault, (OperationalError, InterfaceError)):
        return DatabaseUnreachable()
    return StoreError() if type(fault) is DatabaseError else None
