"""Tables of the coach's work beside the chat: guided forms and their documents, and the calendar.

Invariant: a booked or held time owns each of its five-minute ticks in `booking_ticks`, whose primary
key is (coach, tick): two bookings can never share one, in either database.
"""

# pyright: reportAssignmentType=false
from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index

from coach_core.store.models.base import (
    UUID,
    SQLModel,
    big_field,
    id_field,
    json_field,
    key_part,
    key_ref,
    maybe_ref,
    maybe_time,
    ref,
    time_field,
)


class FormRow(SQLModel, table=True):
    """One person's way through a guided form; it survives a restart and a change of backend."""

    __tablename__ = "forms"

    id: UUID = id_field()
    form: str
    form_version: str = ""
    thread_id: UUID | None = maybe_ref("threads.id")
    owner_id: UUID = ref("users.id")
    client_id: UUID | None = maybe_ref("clients.id")
    status: str = "open"
    position: int = 0
    answers: dict[str, Any] = json_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    ended_at: datetime | None = maybe_time()


class FormDocumentRow(SQLModel, table=True):
    __tablename__ = "form_documents"

    id: UUID = id_field()
    form_id: UUID | None = maybe_ref("forms.id")
    owner_id: UUID = ref("users.id")
    client_id: UUID | None = maybe_ref("clients.id")
    title: str
    version: int = 1
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    deleted_at: datetime | None = maybe_time()


class FormDocumentVersionRow(SQLModel, table=True):
    __tablename__ = "form_document_versions"
    __table_args__ = (Index("uq_form_document_versions", "document_id", "version", unique=True),)

    id: UUID = id_field()
    document_id: UUID = ref("form_documents.id", index=False)
    version: int
    body: str
    created_by: str = ""
    created_at: datetime = time_field()


class ServiceRow(SQLModel, table=True):
    __tablename__ = "services"
    __table_args__ = (Index("uq_services_slug", "slug", unique=True),)

    id: UUID = id_field()
    slug: str
    name: str
    description: str = ""
    minutes: int
    pause_minutes: int = 0
    price: int = big_field()
    currency: str = ""
    coaches: list[str] = json_field(list)
    active: bool = True
    updated_at: datetime = time_field()


class HoursRow(SQLModel, table=True):
    """When a coach is open: a weekday (0 Monday) or one date, in minutes of the local day of `time_zone`."""

    __tablename__ = "opening_hours"

    id: UUID = id_field()
    coach_id: UUID = ref("users.id")
    weekday: int | None = None
    date: str | None = None
    opens: int
    closes: int
    closed: bool = False
    time_zone: str


class BookingRow(SQLModel, table=True):
    """`code` is what a person can say on the phone; a hold that is not confirmed ends at `hold_until`."""

    __tablename__ = "bookings"
    __table_args__ = (
        Index("uq_bookings_code", "code", unique=True),
        Index("uq_bookings_key", "key", unique=True),
        Index("ix_bookings_week", "coach_id", "starts_at"),
    )

    id: UUID = id_field()
    code: str
    key: str | None = None
    service_id: UUID | None = maybe_ref("services.id")
    coach_id: UUID = ref("users.id", index=False)
    client_id: UUID | None = maybe_ref("clients.id")
    user_id: UUID | None = maybe_ref("users.id")
    thread_id: UUID | None = maybe_ref("threads.id")
    status: str = "held"
    starts_at: datetime = time_field()
    ends_at: datetime = time_field()
    time_zone: str = ""
    hold_until: datetime | None = maybe_time(index=True)
    moved_from: UUID | None = None
    price: int = big_field()
    currency: str = ""
    contact: dict[str, Any] = json_field()
    note: str = ""
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class BookingTickRow(SQLModel, table=True):
    __tablename__ = "booking_ticks"

    coach_id: UUID = key_ref("users.id")
    tick: int = key_part()
    booking_id: UUID = ref("bookings.id")


class WaitlistRow(SQLModel, table=True):
    __tablename__ = "waitlist"

    id: UUID = id_field()
    service_id: UUID | None = maybe_ref("services.id")
    coach_id: UUID | None = maybe_ref("users.id")
    client_id: UUID | None = maybe_ref("clients.id")
    contact: dict[str, Any] = json_field()
    wanted_from: datetime | None = maybe_time()
    wanted_until: datetime | None = maybe_time()
    status: str = "waiting"
    created_at: datetime = time_field()


class ReminderRow(SQLModel, table=True):
    """Due at `at`, sent once: whoever sets `sent_at` from nothing sends it."""

    __tablename__ = "reminders"
    __table_args__ = (Index("uq_reminders_key", "key", unique=True),)

    id: UUID = id_field()
    key: str
    booking_id: UUID | None = maybe_ref("bookings.id")
    user_id: UUID | None = maybe_ref("users.id")
    client_id: UUID | None = maybe_ref("clients.id")
    thread_id: UUID | None = maybe_ref("threads.id")
    channel: str = "web"
    text: str = ""
    at: datetime = time_field(index=True)
    sent_at: datetime | None = maybe_time()
    created_at: datetime = time_field()


class PaymentRow(SQLModel, table=True):
    __tablename__ = "payments"

    id: UUID = id_field()
    booking_id: UUID = ref("bookings.id")
    provider: str
    external_id: str | None = None
    status: str = "open"
    amount: int = big_field()
    currency: str = ""
    link: str = ""
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
