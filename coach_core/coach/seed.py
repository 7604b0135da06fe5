"""What a new database begins with: five personas and a small set of documents they answer from.

Invariant: planted once, into an empty database; what an admin deletes does not come back.
"""

from __future__ import annotations

from coach_core import welcome
from coach_core.knowledge import Knowledge
from coach_core.store import Database, personas, settings_table
from coach_core.types import PersonaDraft

_DONE = "seeded"
BY = "welcome set"


def plant(db: Database, knowledge: Knowledge) -> None:
    """Load the welcome set unless this database has had it. Going on after a crash adds nothing twice."""
    if settings_table.get_all(db).get(_DONE):
        return
    present = {c.name: c.id for c in knowledge.collections()}
    ids = {}
    for given in welcome.collections():
        made = present.get(given.name) or knowledge.create_collection(given.name, given.description, given.licence).id
        ids[given.folder] = made
        for path in given.paths:
            knowledge.add(made, path.name, path, by=BY)
    slugs = {p.slug for p in personas.list_personas(db)}
    for data in welcome.personas():
        if data["slug"] not in slugs:
            draft = PersonaDraft.from_dict({**data, "collections": [ids[f] for f in data["collections"]]})
            personas.save(db, BY, draft, note="as delivered", slug=data["slug"])
    settings_table.set(db, _DONE, "1")
