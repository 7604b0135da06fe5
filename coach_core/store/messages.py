"""Messages: the tree of a thread, the branch on show, citations and feedback.

Invariant: a message is reached only through a thread its Actor sees; nothing here changes what was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from coach_core.errors import InputError, MessageNotFound
from coach_core.store import Database, metrics
from coach_core.store.models.base import AnyRow, table_of
from coach_core.store.models.conversations import CitationRow, FeedbackRow, MessageRow
from coach_core.store.threads import THREADS, seen, visible
from coach_core.types import Actor, Citation, Message, Part, Window, clean_text, new_id

MESSAGES = table_of(MessageRow)
CITATIONS = table_of(CitationRow)
_FEEDBACK = table_of(FeedbackRow)
_COLUMNS = [MESSAGES.c[n] for n in ("id", "thread_id", "parent_id", "turn_id", "speaker", "status", "text", "parts")]
_COLUMNS.append(MESSAGES.c.created_at)
_OLDEST = (MESSAGES.c.created_at, MESSAGES.c.id)
_CITATION_FIELDS = tuple(Citation.__dataclass_fields__)

_AT_ONCE = 500  # ids in one query

Children = Mapping[UUID | None, Sequence[UUID]]


def tree(db: Database, actor: Actor, thread_id: UUID) -> list[Message]:
    """Every message of the thread, oldest first, parents before children."""
    with db.read() as connection:
        seen(connection, actor, thread_id)
        parents, children = _skeleton(connection, thread_id)
        messages = _load(connection, actor, MESSAGES.c.thread_id == thread_id, parents, children)
    out: list[Message] = []
    waiting = [i for i in reversed(parents) if parents[i] is None]
    while waiting:
        at = waiting.pop()
        out.append(messages[at])
        waiting += reversed(children.get(at, ()))
    return sorted(out, key=lambda message: message.created_at)  # stable: a parent stays before its child


def branch(
    db: Database, actor: Actor, thread_id: UUID, head_id: UUID | None = None, *, last: int | None = None
) -> list[Message]:
    """From the root to `head_id` (else the thread's head); with `last`, only the last so many."""
    with db.read() as connection:
        thread = seen(connection, actor, thread_id)
        path = path_up(connection, thread_id, head_id or thread.head_id, most=last)
        if head_id is not None and not path and last != 0:
            raise MessageNotFound()
        return _of_path(connection, actor, path)


def window(
    db: Database, actor: Actor, thread_id: UUID, last: int, *, around: UUID | None = None, after: int = 0
) -> Window:
    """The last so many messages of the branch on show; with `around`, from `last` before it to `after` behind it.

    Raises MessageNotFound when that one is not on the branch."""
    with db.read() as connection:
        head_id = seen(connection, actor, thread_id).head_id
        if around is None:
            path = path_up(connection, thread_id, head_id, most=last + 1)
            return Window(tuple(_of_path(connection, actor, path[:last])), earlier=len(path) > last)
        path = path_up(connection, thread_id, head_id)
        if around not in path:
            raise MessageNotFound()
        at = path.index(around)
        low, high = max(0, at - after), at + last + 1
        drawn = _of_path(connection, actor, path[low:high])
        return Window(tuple(drawn), earlier=high < len(path), later=low > 0)


def get(db: Database, actor: Actor, message_id: UUID) -> Message:
    with db.read() as connection:
        thread_of(connection, actor, message_id)
        parents, children = _beside(connection, [message_id])
        return _load(connection, actor, MESSAGES.c.id == message_id, parents, children)[message_id]


def leaf_of(db: Database, actor: Actor, message_id: UUID) -> UUID:
    """The leaf below a message that one comes to by always taking the newest child."""
    with db.read() as connection:
        _, children = _skeleton(connection, thread_of(connection, actor, message_id))
    at = message_id
    while children.get(at):
        at = children[at][-1]
    return at


def citations(db: Database, actor: Actor, message_ids: Iterable[UUID]) -> dict[UUID, list[Citation]]:
    """The citations of each message that has any, by number."""
    query = (
        sa.select(CITATIONS.c.message_id, *(CITATIONS.c[name] for name in _CITATION_FIELDS))
        .join(MESSAGES, MESSAGES.c.id == CITATIONS.c.message_id)
        .join(THREADS, THREADS.c.id == MESSAGES.c.thread_id)
        .where(CITATIONS.c.message_id.in_(list(message_ids)), visible(actor))
        .order_by(CITATIONS.c.message_id, CITATIONS.c.number)
    )
    out: dict[UUID, list[Citation]] = {}
    with db.read() as connection:
        for row in connection.execute(query):
            citation = Citation(**{name: getattr(row, name) for name in _CITATION_FIELDS})
            out.setdefault(row.message_id, []).append(citation)
    return out


def set_feedback(db: Database, actor: Actor, message_id: UUID, value: int, reason: str = "") -> None:
    """Thumbs up (1), down (-1) or taken back (0), counted in the metrics of the answer's turn."""
    if value not in (-1, 0, 1):
        raise InputError("Feedback is -1, 0 or 1.")
    mine = sa.and_(_FEEDBACK.c.message_id == message_id, _FEEDBACK.c.user_id == actor.user_id)

    def work(connection: Connection) -> None:
        thread_of(connection, actor, message_id)
        before = connection.execute(sa.select(_FEEDBACK.c.value).where(mine)).scalar() or 0
        connection.execute(sa.delete(_FEEDBACK).where(mine))
        if value or reason:
            values = {"id": new_id(), "message_id": message_id, "user_id": actor.user_id, "value": value}
            connection.execute(sa.insert(_FEEDBACK).values(**values, reason=clean_text(reason)))
        metrics.record_feedback(connection, message_id, before, value)

    db.write(work).result()


def thread_of(connection: Connection, actor: Actor, message_id: UUID) -> UUID:
    """The thread of a message that `actor` sees, or MessageNotFound."""
    query = sa.select(MESSAGES.c.thread_id).join(THREADS, THREADS.c.id == MESSAGES.c.thread_id)
    found = connection.execute(query.where(MESSAGES.c.id == message_id, visible(actor))).scalar()
    if found is None:
        raise MessageNotFound()
    return found


def storable(parts: Iterable[Part]) -> list[dict[str, Any]]:
    """Parts as JSON values that both databases take."""
    return [cleaned(part.to_dict()) for part in parts]


def plain_text(parts: Iterable[Part]) -> str:
    return "\n\n".join(clean_text(part.text) for part in parts if part.kind == "text")


def cleaned(value: Any) -> Any:
    """JSON values without what a database cannot store."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_text(str(key)): cleaned(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(item) for item in value]
    return value


def path_up(connection: Connection, thread_id: UUID, head_id: UUID | None, most: int | None = None) -> list[UUID]:
    """The ids from `head_id` up to the root, at most so many: a long thread costs what is looked at of it."""
    if head_id is None or most == 0:
        return []
    own = MESSAGES.c.thread_id == thread_id
    here = sa.select(MESSAGES.c.id, MESSAGES.c.parent_id, sa.literal(1).label("depth"))
    up = here.where(own, MESSAGES.c.id == head_id).cte("up", recursive=True)
    above = sa.select(MESSAGES.c.id, MESSAGES.c.parent_id, up.c.depth + 1).where(own, MESSAGES.c.id == up.c.parent_id)
    up = up.union_all(above if most is None else above.where(up.c.depth < most))
    return list(connection.execute(sa.select(up.c.id).order_by(up.c.depth)).scalars())


def _of_path(connection: Connection, actor: Actor, path: Sequence[UUID]) -> list[Message]:
    """The messages of a path that leads up, in the order in which they were said."""
    found: dict[UUID, Message] = {}
    for at in range(0, len(path), _AT_ONCE):
        ids = path[at : at + _AT_ONCE]
        parents, children = _beside(connection, ids)
        found |= _load(connection, actor, MESSAGES.c.id.in_(ids), parents, children)
    return [found[i] for i in reversed(path)]


def _beside(connection: Connection, ids: Sequence[UUID]) -> tuple[dict[UUID, UUID | None], Children]:
    """Of each message its parent, and all that hang on that parent, oldest first."""
    query = sa.select(MESSAGES.c.id, MESSAGES.c.parent_id, MESSAGES.c.thread_id).where(MESSAGES.c.id.in_(ids))
    rows = connection.execute(query).all()
    parents = {row.id: row.parent_id for row in rows}
    which: list[sa.ColumnElement[bool]] = [MESSAGES.c.parent_id.in_({p for p in parents.values() if p is not None})]
    if root := next((row.thread_id for row in rows if row.parent_id is None), None):
        which.append(sa.and_(MESSAGES.c.parent_id.is_(None), MESSAGES.c.thread_id == root))
    children: dict[UUID | None, list[UUID]] = {}
    for message_id, parent_id in connection.execute(
        sa.select(MESSAGES.c.id, MESSAGES.c.parent_id).where(sa.or_(*which)).order_by(*_OLDEST)
    ):
        children.setdefault(parent_id, []).append(message_id)
    return parents, children


def _skeleton(connection: Connection, thread_id: UUID) -> tuple[dict[UUID, UUID | None], Children]:
    """Each message's parent, and each parent's children, oldest first (the index alone answers this)."""
    query = sa.select(MESSAGES.c.id, MESSAGES.c.parent_id).where(MESSAGES.c.thread_id == thread_id)
    parents: dict[UUID, UUID | None] = {}
    children: dict[UUID | None, list[UUID]] = {}
    for message_id, parent_id in connection.execute(query.order_by(*_OLDEST)):
        parents[message_id] = parent_id
        children.setdefault(parent_id, []).append(message_id)
    return parents, children


def _load(
    connection: Connection, actor: Actor, which: sa.ColumnElement[bool], parents: Mapping[UUID, Any], children: Children
) -> dict[UUID, Message]:
    mine = sa.and_(_FEEDBACK.c.message_id == MESSAGES.c.id, _FEEDBACK.c.user_id == actor.user_id)
    query = sa.select(*_COLUMNS, _FEEDBACK.c.value, _FEEDBACK.c.reason).outerjoin(_FEEDBACK, mine).where(which)
    return {row.id: _message(row, children[parents[row.id]]) for row in connection.execute(query)}


def _message(row: AnyRow, siblings: Sequence[UUID]) -> Message:
    parts = tuple(Part.from_dict(part) for part in row.parts)
    if not parts and row.text:  # an answer still being written, or interrupted, has only its text
        parts = (Part("text", row.text),)
    return Message(
        id=row.id,
        thread_id=row.thread_id,
        parent_id=row.parent_id,
        speaker=row.speaker,
        parts=parts,
        text=row.text,
        status=row.status,
        created_at=row.created_at,
        turn_id=row.turn_id,
        siblings=tuple(siblings),
        feedback=row.value or 0,
        feedback_reason=row.reason or "",
    )
