"""What every part of the facade holds, and how it leaves a trace in the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from coach_core.backends import facts
from coach_core.coach.asking import Asking
from coach_core.coach.parts import BackendParts
from coach_core.jobs import Jobs
from coach_core.knowledge import Knowledge
from coach_core.knowledge.attached import Attached
from coach_core.knowledge.uploads import Uploads
from coach_core.runner import Runner
from coach_core.search.rerank import Reranking
from coach_core.settings import Settings
from coach_core.store import Database, audit
from coach_core.types import Actor

if TYPE_CHECKING:
    from coach_core.coach.caring import Caring
    from coach_core.coach.hosted import Hosted
    from coach_core.coach.looking_back import LookingBack
    from coach_core.coach.remembering import Remembering


class Base:
    """Set by Coach; the facade's methods use these and nothing else."""

    settings: Settings
    knowledge: Knowledge
    parts: BackendParts
    runner: Runner
    jobs: Jobs
    _db: Database
    _uploads: Uploads
    _attached: Attached
    _asking: Asking
    _caring: Caring
    _hosted: Hosted
    _reranking: Reranking
    _looking: LookingBack
    _remembering: Remembering

    def _holds_key(self, text: str) -> bool:
        """Whether a key of this app stands in `text`, or what looks like one."""
        return self.settings.holds_secret(text) or facts.secret_in(text)

    def _note(
        self, actor: Actor, action: str, subject: str, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        audit.record(self._db, actor, action, subject, before, after)
