"""Profiles and personas: who asks and who answers."""

from __future__ import annotations

from uuid import UUID

from coach_core import access, personas
from coach_core.coach.asking import TOOL_NAMES
from coach_core.coach.base import Base
from coach_core.errors import NameTaken, NotAllowed, PersonaNotFound
from coach_core.store import files, users
from coach_core.store import personas as persona_rows
from coach_core.types import Actor, Persona, PersonaDraft, PersonaVersion, User, clean_text


class People(Base):
    def profiles(self) -> list[User]:
        """The local profiles of the picker: no password, loopback only."""
        return users.list_users(self._db)

    def owner(self) -> Actor:
        user = users.ensure_owner(self._db)
        return Actor(user.id, user.role, user.name)

    def actor_for(self, user_id: UUID, channel: str = "web") -> Actor:
        user = users.get_user(self._db, user_id)
        return Actor(user.id, user.role, user.name, user.client_id, channel)

    def add_profile(self, actor: Actor, name: str, role: str) -> User:
        access.require(actor, "profiles")
        if role not in access.ROLES:
            raise NotAllowed(f"There is no role called {role!r}. Choose one of: {', '.join(access.ROLES)}.")
        if role == "owner" and actor.role != "owner":
            raise NotAllowed("Only an owner can make another owner.")
        user = users.create_user(self._db, clean_text(name).strip(), role)
        self._note(actor, "profile.add", str(user.id), {}, {"name": user.name, "role": role})
        return user

    def delete_profile(self, actor: Actor, user_id: UUID) -> None:
        access.require(actor, "profiles")
        if user_id == actor.user_id:
            raise NotAllowed("You cannot delete the profile you are using. Choose another profile first.")
        user = users.get_user(self._db, user_id)
        if user.role == "owner" and actor.role != "owner":
            raise NotAllowed("Only an owner can delete an owner's profile.")
        users.delete_user(self._db, user_id)
        self._note(actor, "profile.delete", str(user_id), {"name": user.name, "role": user.role}, {})

    def personas(self, actor: Actor) -> list[Persona]:
        access.require(actor, "personas.read")
        return persona_rows.list_personas(self._db)

    def tool_names(self, actor: Actor) -> list[str]:
        """The tools that a persona may be given."""
        access.require(actor, "personas.read")
        return list(TOOL_NAMES)

    def persona(self, actor: Actor, id_or_slug: UUID | str) -> Persona:
        """The persona by its id, its slug or its name."""
        access.require(actor, "personas.read")
        try:
            return persona_rows.get(self._db, id_or_slug)
        except PersonaNotFound:
            there = persona_rows.list_personas(self._db)
            if isinstance(id_or_slug, UUID):
                raise
            named = [p for p in there if p.name.casefold() == id_or_slug.strip().casefold()]
            if not named:
                slugs = ", ".join(p.slug for p in there)
                raise PersonaNotFound(f"There is no persona called {id_or_slug!r}. Choose one of: {slugs}.") from None
            return named[0]

    def save_persona(
        self, actor: Actor, draft: PersonaDraft, persona_id: UUID | None = None, note: str = ""
    ) -> Persona:
        """Save as a new version (or a new persona). Raises InputError, NameTaken."""
        access.require(actor, "personas.write")
        personas.check(draft, tools=TOOL_NAMES, backends=self.parts.infos(), secret=self._holds_key)
        others = [p for p in persona_rows.list_personas(self._db) if p.id != persona_id]
        if draft.name.strip().casefold() in {p.name.strip().casefold() for p in others}:
            raise NameTaken(f"There is a persona called {draft.name.strip()} already. Choose another name.")
        saved = persona_rows.save(self._db, actor.name, draft, persona_id, note)
        self._note(actor, "persona.save", str(saved.id), {}, {"version": saved.version, "name": saved.name})
        return saved

    def persona_versions(self, actor: Actor, persona_id: UUID) -> list[PersonaVersion]:
        access.require(actor, "personas.write")
        return persona_rows.versions(self._db, persona_id)

    def persona_diff(self, actor: Actor, old: PersonaDraft, new: PersonaDraft) -> str:
        access.require(actor, "personas.write")
        return personas.diff(old, new, {c.id: c.name for c in self.knowledge.collections()})

    def restore_persona(self, actor: Actor, persona_id: UUID, version: int) -> Persona:
        access.require(actor, "personas.write")
        saved = persona_rows.restore(self._db, actor.name, persona_id, version)
        self._note(actor, "persona.restore", str(persona_id), {}, {"version": version})
        return saved

    def duplicate_persona(self, actor: Actor, persona_id: UUID) -> Persona:
        source = self.persona(actor, persona_id)
        taken = {p.name for p in self.personas(actor)}
        return self.save_persona(actor, personas.copy_of(source.draft, taken), note=f"copy of {source.name}")

    def delete_persona(self, actor: Actor, persona_id: UUID) -> None:
        access.require(actor, "personas.write")
        persona_rows.delete(self._db, persona_id)
        self._note(actor, "persona.delete", str(persona_id), {}, {})

    def undelete_persona(self, actor: Actor, persona_id: UUID) -> None:
        access.require(actor, "personas.write")
        persona_rows.undelete(self._db, persona_id)
        self._note(actor, "persona.undelete", str(persona_id), {}, {})

    def picture(self, persona: Persona) -> bytes | None:
        """A persona's picture; everybody who sees the persona sees it."""
        return files.read(self._db, persona.draft.picture_id) if persona.draft.picture_id else None
