"""Every table of the first schema, in a metadata of its own, and its full-text indexes.

Invariant: frozen, and free of store/models, which goes on changing.
"""

from __future__ import annotations

from coach_core.store.alembic.baseline import conversations, knowledge, measures, operations, people, practice
from coach_core.store.alembic.baseline.columns import metadata

_TOKENS = "tokenize=\"unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'\""

#: SQLite: FTS5 tables that read chunks and message_words (triggers keep the latter); PostgreSQL: GIN indexes
FULL_TEXT = {
    "sqlite": (
        "CREATE VIRTUAL TABLE chunk_words USING fts5(scope, words, content='chunks', content_rowid='number', "
        f"{_TOKENS})",
        "CREATE VIRTUAL TABLE message_index USING fts5(words, content='message_words', content_rowid='number', "
        f"detail=none, columnsize=0, {_TOKENS})",
        "CREATE TRIGGER message_words_added AFTER INSERT ON message_words BEGIN "
        "INSERT INTO message_index(rowid, words) VALUES (new.number, new.words); END",
        "CREATE TRIGGER message_words_gone AFTER DELETE ON message_words BEGIN "
        "INSERT INTO message_index(message_index, rowid, words) VALUES ('delete', old.number, old.words); END",
        "CREATE TRIGGER message_words_changed AFTER UPDATE OF words ON message_words BEGIN "
        "INSERT INTO message_index(message_index, rowid, words) VALUES ('delete', old.number, old.words); "
        "INSERT INTO message_index(rowid, words) VALUES (new.number, new.words); END",
    ),
    "postgresql": (
        "CREATE INDEX ix_chunks_words ON chunks USING gin (to_tsvector('simple', words))",
        "CREATE INDEX ix_message_words_index ON message_words "
        "USING gin (array_to_tsvector(string_to_array(words, ' ')))",
    ),
}
NO_FULL_TEXT = {
    "sqlite": ("DROP TABLE chunk_words", "DROP TABLE message_index"),
    "postgresql": ("DROP INDEX ix_chunks_words", "DROP INDEX ix_message_words_index"),
}

__all__ = [
    "FULL_TEXT",
    "NO_FULL_TEXT",
    "conversations",
    "knowledge",
    "measures",
    "metadata",
    "operations",
    "people",
    "practice",
]
