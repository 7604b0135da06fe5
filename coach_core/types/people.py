"""Who acts and who answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

Role = Literal["owner", "admin", "coach", "client", "stakeholder"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. Made at the edge by page, CLI or HTTP; a model or a request body never names it."""

    user_id: UUID
    role: Role
    name: str = ""
    client_id: UUID | None = None
    channel: str = "web"
    locale: str = ""  # as the browser says, such as de-AT


@dataclass(frozen=True, slots=True)
class User:
    id: UUID
    name: str
    role: Role
    created_at: datetime
    client_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PersonaDraft:
    """What an admin edits; every save of it is a new version.

    `parameters` may hold temperature, max_output_tokens, top_p, reasoning_effort. An empty
    `backend` or `model` means the default of the settings. `collections` are collection ids.
    `empty_state` is the persona's own sentence on an empty page.
    """

    name: str
    instructions: str = ""
    greeting: str = ""
    empty_state: str = ""
    starters: tuple[str, ...] = ()
    backend: str = ""
    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[str, ...] = ()
    collections: tuple[UUID, ...] = ()
    picture_id: UUID | None = None
    icon: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The draft as JSON values: what a version's row keeps."""
        return {
            "name": self.name,
            "instructions": self.instructions,
            "greeting": self.greeting,
            "empty_state": self.empty_state,
            "starters": list(self.starters),
            "backend": self.backend,
            "model": self.model,
            "parameters": dict(self.parameters),
            "tools": list(self.tools),
            "collections": [str(c) for c in self.collections],
            "picture_id": str(self.picture_id) if self.picture_id else None,
            "icon": self.icon,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PersonaDraft:
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        for key in ("starters", "tools"):
            values[key] = tuple(values.get(key) or ())
        values["collections"] = tuple(UUID(str(c)) for c in values.get("collections") or ())
        values["picture_id"] = UUID(str(values["picture_id"])) if values.get("picture_id") else None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Persona:
    id: UUID
    slug: str
    version: int
    version_id: UUID
    draft: PersonaDraft
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None

    @property
    def name(self) -> str:
        return self.draft.name


@dataclass(frozen=True, slots=True)
class PersonaVersion:
    id: UUID
    persona_id: UUID
    version: int
    draft: PersonaDraft
    created_at: datetime
    created_by: str = ""
    note: str = ""
