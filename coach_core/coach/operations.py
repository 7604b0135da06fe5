"""Numbers, settings, checks and backups."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from coach_core import access, metrics
from coach_core.coach import doctor
from coach_core.coach.base import Base
from coach_core.settings import NOT_IN_TABLE, Settings
from coach_core.store import audit
from coach_core.store import backup as backups
from coach_core.store import personas as persona_rows
from coach_core.types import Actor, BackendInfo, Check, Trial, now


class Operations(Base):
    def metrics(
        self,
        actor: Actor,
        *,
        since: timedelta | datetime,
        backend: str = "",
        persona_id: UUID | None = None,
        arm: str = "",
    ) -> metrics.Report:
        access.require(actor, "metrics")
        until = now()
        start = until - since if isinstance(since, timedelta) else since
        return metrics.build(self._db, start, until, backend=backend, persona_id=persona_id, arm=arm)

    def persona_names(self, actor: Actor) -> dict[UUID, str]:
        """id -> name of every persona, for the filters of the metrics page (no instructions)."""
        access.require(actor, "metrics")
        return {p.id: p.name for p in persona_rows.list_personas(self._db)}

    def backends(self, actor: Actor) -> list[BackendInfo]:
        """The backends there are; which are ready."""
        if not (access.allowed(actor.role, "chat") or access.allowed(actor.role, "metrics")):
            access.require(actor, "chat")
        return list(self.parts.infos().values())

    def default_backend(self) -> str:
        return self.settings.backend

    def fallback_backend(self) -> str:
        """Who answers when another fails before its first word; "" for nobody."""
        return self.settings.fallback

    def doctor(self, actor: Actor, live: bool = False) -> list[Check]:
        """What is configured, reachable and missing; with `live` each backend is asked a small question."""
        access.require(actor, "settings")
        return doctor.checks(
            self.settings, self._db, self.knowledge, self.parts, (self._reranking.check, self._hosted.check), live=live
        )

    def test_backend(self, actor: Actor, name: str) -> Trial:
        """One small live question to a backend."""
        access.require(actor, "settings")
        return doctor.live_call(self.settings, self.parts, name)

    def settings_view(self, actor: Actor) -> list[tuple[str, str, str]]:
        """(name, value or "set"/"missing", where it comes from)."""
        access.require(actor, "settings")
        return self.settings.view()

    def settings_help(self, actor: Actor) -> dict[str, tuple[str, bool]]:
        """name -> (what it is for, whether `change_setting` may change it)."""
        access.require(actor, "settings")
        fields = Settings.model_fields
        return {name: (field.description or "", name not in NOT_IN_TABLE) for name, field in fields.items()}

    def audit(self, actor: Actor, limit: int = 100) -> list[audit.Entry]:
        access.require(actor, "settings")
        return audit.list_entries(self._db, limit)

    def cleanup(self, actor: Actor) -> dict[str, int]:
        """Clear away now what the hourly job clears: what, and how many rows."""
        access.require(actor, "operate")
        return self.jobs.clear_away()

    def backup(self, actor: Actor, path: Path) -> None:
        """Database and files, as they are now, in one file."""
        access.require(actor, "operate")
        backups.backup(self._db, path)

    @staticmethod
    def restore(settings: Settings, path: Path) -> None:
        """Put a backup in the place of what is there, which is kept aside. The app must not run."""
        backups.restore(settings.home, settings.database_url, path)
