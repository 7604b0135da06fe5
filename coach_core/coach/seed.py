"""What a new database begins with: five personas and a small set of documents they answer from.

Invariant: planted once, into an empty database; what an admin deletes does not come back.
"""

from __future__ import annotations

import logging

from coach_core import welcome
from coach_core.knowledge import Knowledge
from coach_core.store import Database, personas, settings_table
from coach_core.types import PersonaDraft

log = logging.getLogger(__name__)
_DONE = "seeded"
BY = "welcome set"


def plant(db: Database, knowledge: Knowledge) -> None:
    """Load the welcome set unless this database has had it."""
    if settings_table.get_all(db).get(_DONE):
        return
    collections = {c.name: c.id for c in knowledge.collections()}
    by_folder = {}
    for folder, name, description, licence, paths in welcome.collections():
        if name not in collections:
            collections[name] = knowledge.create_collection(name, description, licence).id
        by_folder[folder] = collections[name]
        for path in paths:
            knowledge.add(collections[name], path.name, path, by=BY)
    present = {p.slug for p in personas.list_personas(db)}
    for data in welcome.personas():
        if data["slug"] not in present:
            folders = data.pop("collections", ())
            slug = data.pop("slug")
            draft = PersonaDraft.from_dict({**data, "collections": [by_folder[f] for f in folders]})
            personas.save(db, BY, draft, note="as delivered", slug=slug)
    settings_table.set(db, _DONE, "1")
