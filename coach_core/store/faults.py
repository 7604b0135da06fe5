"""Turns what a database driver raises into the error tree; the driver's text, which may hold values, stays out."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, OperationalError

from coach_core.errors import CoachError, DatabaseBusy, DatabaseUnreachable, DiskFull, StoreError


def map_fault(fault: BaseException) -> BaseException:
    """`fault` as a StoreError where it comes from the database; anything else as it is."""
    if isinstance(fault, CoachError) or not isinstance(fault, DBAPIError):
        return fault
    text = str(fault.orig).lower()
    error: StoreError
    if "locked" in text or "busy" in text or "lock timeout" in text:
        error = DatabaseBusy()
    elif "disk is full" in text or "no space" in text or "disk i/o" in text or "readonly" in text:
        error = DiskFull()
    elif isinstance(fault, OperationalError):
        error = DatabaseUnreachable()
    else:
        return fault
    error.__cause__ = fault
    return error
