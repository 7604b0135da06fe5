"""Baseline tables as store/models/practice.py had them. Frozen: a later migration changes them, not this file."""

from __future__ import annotations

from coach_core.store.alembic.baseline.columns import big, flag, index, integer, json, table, text, time, uuid

table(
    "forms",
    uuid("id", key=True),
    text("form"),
    text("form_version"),
    uuid("thread_id", null=True, of="threads.id", gone="SET NULL"),
    uuid("owner_id", of="users.id", gone="CASCADE"),
    uuid("client_id", null=True, of="clients.id", gone="SET NULL"),
    text("status"),
    integer("position"),
    json("answers"),
    time("created_at"),
    time("updated_at"),
    time("ended_at", null=True),
    index("ix_forms_client_id", "client_id"),
    index("ix_forms_owner_id", "owner_id"),
    index("ix_forms_thread_id", "thread_id"),
)

table(
    "form_documents",
    uuid("id", key=True),
    uuid("form_id", null=True, of="forms.id", gone="SET NULL"),
    uuid("owner_id", of="users.id", gone="CASCADE"),
    uuid("client_id", null=True, of="clients.id", gone="SET NULL"),
    text("title"),
    integer("version"),
    time("created_at"),
    time("updated_at"),
    time("deleted_at", null=True),
    index("ix_form_documents_client_id", "client_id"),
    index("ix_form_documents_form_id", "form_id"),
    index("ix_form_documents_owner_id", "owner_id"),
)

table(
    "form_document_versions",
    uuid("id", key=True),
    uuid("document_id", of="form_documents.id", gone="CASCADE"),
    integer("version"),
    text("body"),
    text("created_by"),
    time("created_at"),
    index("uq_form_document_versions", "document_id", "version", unique=True),
)

table(
    "services",
    uuid("id", key=True),
    text("slug"),
    text("name"),
    text("description"),
    integer("minutes"),
    integer("pause_minutes"),
    big("price"),
    text("currency"),
    json("coaches"),
    flag("active"),
    time("updated_at"),
    index("uq_services_slug", "slug", unique=True),
)

table(
    "opening_hours",
    uuid("id", key=True),
    uuid("coach_id", of="users.id", gone="CASCADE"),
    integer("weekday", null=True),
    text("date", null=True),
    integer("opens"),
    integer("closes"),
    flag("closed"),
    text("time_zone"),
    index("ix_opening_hours_coach_id", "coach_id"),
)

table(
    "bookings",
    uuid("id", key=True),
    text("code"),
    text("key", null=True),
    uuid("service_id", null=True, of="services.id", gone="SET NULL"),
    uuid("coach_id", of="users.id", gone="CASCADE"),
    uuid("client_id", null=True, of="clients.id", gone="SET NULL"),
    uuid("user_id", null=True, of="users.id", gone="SET NULL"),
    uuid("thread_id", null=True, of="threads.id", gone="SET NULL"),
    text("status"),
    time("starts_at"),
    time("ends_at"),
    text("time_zone"),
    time("hold_until", null=True),
    uuid("moved_from", null=True),
    big("price"),
    text("currency"),
    json("contact"),
    text("note"),
    time("created_at"),
    time("updated_at"),
    index("ix_bookings_client_id", "client_id"),
    index("ix_bookings_hold_until", "hold_until"),
    index("ix_bookings_service_id", "service_id"),
    index("ix_bookings_thread_id", "thread_id"),
    index("ix_bookings_user_id", "user_id"),
    index("ix_bookings_week", "coach_id", "starts_at"),
    index("uq_bookings_code", "code", unique=True),
    index("uq_bookings_key", "key", unique=True),
)

table(
    "booking_ticks",
    uuid("coach_id", key=True, of="users.id", gone="CASCADE"),
    integer("tick", key=True),
    uuid("booking_id", of="bookings.id", gone="CASCADE"),
    index("ix_booking_ticks_booking_id", "booking_id"),
)

table(
    "waitlist",
    uuid("id", key=True),
    uuid("service_id", null=True, of="services.id", gone="SET NULL"),
    uuid("coach_id", null=True, of="users.id", gone="SET NULL"),
    uuid("client_id", null=True, of="clients.id", gone="SET NULL"),
    json("contact"),
    time("wanted_from", null=True),
    time("wanted_until", null=True),
    text("status"),
    time("created_at"),
    index("ix_waitlist_client_id", "client_id"),
    index("ix_waitlist_coach_id", "coach_id"),
    index("ix_waitlist_service_id", "service_id"),
)

table(
    "reminders",
    uuid("id", key=True),
    text("key"),
    uuid("booking_id", null=True, of="bookings.id", gone="SET NULL"),
    uuid("user_id", null=True, of="users.id", gone="SET NULL"),
    uuid("client_id", null=True, of="clients.id", gone="SET NULL"),
    uuid("thread_id", null=True, of="threads.id", gone="SET NULL"),
    text("channel"),
    text("text"),
    time("at"),
    time("sent_at", null=True),
    time("created_at"),
    index("ix_reminders_at", "at"),
    index("ix_reminders_booking_id", "booking_id"),
    index("ix_reminders_client_id", "client_id"),
    index("ix_reminders_thread_id", "thread_id"),
    index("ix_reminders_user_id", "user_id"),
    index("uq_reminders_key", "key", unique=True),
)

table(
    "payments",
    uuid("id", key=True),
    uuid("booking_id", of="bookings.id", gone="CASCADE"),
    text("provider"),
    text("external_id", null=True),
    text("status"),
    big("amount"),
    text("currency"),
    text("link"),
    time("created_at"),
    time("updated_at"),
    index("ix_payments_booking_id", "booking_id"),
)
