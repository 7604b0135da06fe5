"""The one thing that pages, the CLI and HTTP call; the only place where concrete parts are built.

Invariant: every method asks access.py first, with the Actor that the edge made; what it hands out are
values of types.py, and what it raises is of errors.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from filelock import FileLock

from coach_core import access, prices
from coach_core.backends import Endpoint
from coach_core.coach import searching, seed
from coach_core.coach.asking import Asking, Limits
from coach_core.coach.caring import Caring, care_settings
from coach_core.coach.clients import Clients
from coach_core.coach.conversations import Conversations
from coach_core.coach.endpoints import Endpoints, rows_of
from coach_core.coach.hosted import EVERY, Hosted
from coach_core.coach.hosted_copies import HostedCopies
from coach_core.coach.library import Library
from coach_core.coach.looking_back import EVERY as LOOK_BACK
from coach_core.coach.looking_back import LookingBack
from coach_core.coach.memories import Memories
from coach_core.coach.operations import Operations
from coach_core.coach.parts import BackendParts
from coach_core.coach.pictures import Pictures
from coach_core.coach.remembering import EVERY as REMEMBER
from coach_core.coach.remembering import Remembering, Ways
from coach_core.coach.searching import Searching
from coach_core.coach.shelves import KEEP_DELETED, Shelves
from coach_core.coach.summaries import LongThreads, Summaries
from coach_core.errors import BadSetting
from coach_core.jobs import Jobs
from coach_core.knowledge import Knowledge
from coach_core.knowledge.attached import Attached
from coach_core.knowledge.uploads import Uploads
from coach_core.memory.recalling import Recaller
from coach_core.runner import Runner
from coach_core.search.meaning import Embedder
from coach_core.search.rerank import Reranking
from coach_core.settings import Settings
from coach_core.store import Database, settings_table, turns, users
from coach_core.store.remotes import EndpointRemotes
from coach_core.types import Actor, BackendInfo, Passage, now

#: A folder of a model that a hub's program has fetched is called so; a key is not.
_DIGEST = re.compile(r"(?<=/)[0-9a-f]{40}(?=/|$)")
_LOOK_AGAIN = 5.0  # seconds until what was replaced is looked at once more


class Coach(
    Shelves,
    Conversations,
    LongThreads,
    Clients,
    Memories,
    Library,
    Operations,
    Endpoints,
    Searching,
    Pictures,
    HostedCopies,
):
    """Made by `from_settings`; `close` lets go of everything it holds."""

    def __init__(self, settings: Settings, db: Database, *, background: bool = True) -> None:
        self._db = db
        self._given = settings
        self.settings = settings.with_table(settings_table.get_all(db))
        self._reranking = Reranking(
            lambda: searching.rules(self.settings), lambda spec: searching.open_reranker(self.settings, db, spec)
        )
        self.knowledge = Knowledge(
            db,
            home=self.settings.home,
            opener=lambda spec: searching.open_embedder(self.settings, db, spec),
            choose=lambda: searching.wanted(self._given, db).embedder,
            patience=0.6 * self.settings.context_deadline,
            rerank=self._reranking,
        )
        self.parts = self._backend_parts()
        self.runner = Runner(db, prices.cost)
        self._uploads = Uploads(db, self.settings.home / "uploads", self._take_upload)
        self._attached = Attached(db, self.knowledge.extractor.read)
        current = _Current(self)
        self._hosted = Hosted(db, current, self.default_backend)
        self._looking = LookingBack(db, self.knowledge, lambda: self.settings.unanswered_days)
        find = self._find, self._attached.find
        after, score = self._looking.after, self.knowledge.score
        recaller = Recaller(db, self.knowledge.embedding.asked)
        self._remembering = Remembering(db, recaller, self._ways, current, self._embedders)
        note = self._reranking.note
        bundled = lambda: self.settings.embedder in {"", "bundled"}  # noqa: E731
        self._caring = Caring(db, self.settings.home, lambda: care_settings(self.settings), bundled)
        summed = Summaries(db, self._limits, self._summing, current)
        beside = after, score, note, self._remembering, self._caring, summed
        self._asking = Asking(db, self.runner, current, self._limits, *find, self._hosted, *beside)
        self.jobs = Jobs(db, self.knowledge)
        self.jobs.also("hosted", EVERY, self._hosted.run)
        self.jobs.also("memories", REMEMBER, self._remembering.embed)
        self.jobs.also("questions", LOOK_BACK, self._looking.run)
        self.jobs.clears("deleted for good", lambda: self.knowledge.purge(now() - KEEP_DELETED))
        self.jobs.clears("old questions", lambda: self._looking.forget_old(self.settings.unanswered_days, now()))
        if background:
            self.jobs.start()
            self._uploads.start()

    @classmethod
    def from_settings(cls, settings: Settings | None = None, *, background: bool = True) -> Coach:
        """Open the database (made, upgraded and seeded as needed) and all that goes with it."""
        settings = settings or Settings.load()
        settings.home.mkdir(parents=True, exist_ok=True)
        with FileLock(settings.home / "setup.lock"):  # the CLI may start beside the app
            db = Database.open(settings.database_url, settings.home)
            try:
                users.ensure_owner(db)
                turns.recover(db, now())  # what a process that was killed has left
                coach = cls(settings, db, background=background)
                seed.plant(db, coach.knowledge)
                return coach
            except BaseException:
                db.close()
                raise

    def close(self) -> None:
        self.jobs.close()
        self.runner.close()
        self._looking.close()
        self._uploads.close()
        self.parts.close()
        self._reranking.close()
        self._caring.close()
        self.knowledge.close()
        self._db.close()

    def change_setting(self, actor: Actor, name: str, value: str) -> None:
        """Put `value` into the settings table ("" takes it out); it holds from the next question on."""
        access.require(actor, "settings")
        if self._holds_key(_DIGEST.sub("", value)):
            raise BadSetting("A key stands where a name or a number belongs. Keys are set in .env alone.")
        Settings.check(name, value)
        if name in {"backend", "fallback"} and value and value not in self.parts.infos():
            raise BadSetting(f"There is no backend called {value!r}. Choose one of: {', '.join(self.parts.infos())}.")
        if name in searching.WHAT:
            searching.check_spec(self.settings, self._db, name, value)
        before = settings_table.get_all(self._db).get(name, "")
        if value:
            settings_table.set(self._db, name, value)
        else:
            settings_table.unset(self._db, name)
        self._note(actor, "setting.change", name, {"value": before}, {"value": value})
        self._rebuild()
        if name == "embedder":
            self.knowledge.embedding.refresh()
            self.jobs.wake()

    def _ways(self) -> Ways:
        s = self.settings
        return Ways(s.memories, s.memory_tokens, s.memory_mode, s.memory_extraction)

    def _summing(self) -> tuple[int, bool]:
        return self.settings.summary_tokens, self.settings.summary_by == "model"

    def _embedders(self) -> list[Embedder]:
        """Those that are open now."""
        return [side.embedder for side in self.knowledge.embedding.sides.values()]

    def _limits(self) -> Limits:
        s = self.settings
        return Limits(
            default_backend=s.backend,
            fallback=s.fallback,
            history_messages=s.history_messages,
            history_tokens=s.history_tokens,
            passages=s.passages,
            answer_tokens=s.answer_tokens,
            temperature=s.temperature,
            first_token=s.first_token_timeout,
            between_tokens=s.token_timeout,
            turn=s.turn_timeout,
            tool_rounds=s.tool_rounds,
            context_deadline=s.context_deadline,
            conversation_state=s.conversation_state,
        )

    def _find(self, text: str, collections: Sequence[UUID], k: int) -> Sequence[Passage]:
        return self.knowledge.portion(text, collections, k=k, budget=self.settings.passage_tokens)

    def _rebuild(self) -> None:
        """Take up settings that changed: new backends for the next turn; the old close when idle."""
        old = self.parts
        self.settings = self._given.with_table(settings_table.get_all(self._db))
        self.parts = self._backend_parts()
        self._once_idle(old.close)

    def _once_idle(self, close: Callable[[], None]) -> None:
        """Call `close` when no turn runs any more that may use what it closes, however long it takes."""
        before = self.runner.running()

        def look() -> None:
            if before & self.runner.running():
                self.jobs.later(_LOOK_AGAIN, look)
            else:
                close()

        self.jobs.later(_LOOK_AGAIN, look)

    def _backend_parts(self) -> BackendParts:
        """What the settings say of each backend, and the rows of endpoints as they are each time."""
        settings = self.settings
        key, base = settings.openai_api_key, settings.openai_base_url
        remote = Endpoint("default", base_url=base, key=key, model=settings.model)
        no_key = "" if key or base else "No key is set. Put OPENAI_API_KEY=... into the file .env and start again."
        no_file = (
            "" if settings.local_model else "No model is set. Put COACH_LOCAL_MODEL=path-to.gguf into the file .env."
        )
        ready = {"extractive": "", "openai_responses": no_key, "openai_chat": no_key, "local": no_file}
        if settings.script or settings.backend == "scripted":
            ready["scripted"] = ""
        local = Endpoint("local", model=Path(settings.local_model).stem)
        return BackendParts(
            {"openai_responses": remote, "openai_chat": remote, "local": local},
            {
                "extractive": {"score": self.knowledge.score},
                "local": {
                    "model": settings.local_model,
                    "home": settings.home,
                    "context": settings.local_model_context,
                },
                "scripted": {"script": settings.script or None},
            },
            ready,
            rows=lambda name: rows_of(settings, self._db, name),
            later=self._once_idle,
            remotes=lambda endpoint: EndpointRemotes(self._db, endpoint),
        )


class _Current:
    """The backends in force now: settings may change while the app runs."""

    def __init__(self, coach: Coach) -> None:
        self._coach = coach

    def get(self, name: str) -> Any:
        return self._coach.parts.get(name)

    def infos(self) -> Mapping[str, BackendInfo]:
        return self._coach.parts.infos()

    def endpoint_name(self, name: str) -> str:
        return self._coach.parts.endpoint_name(name)

    def parameters(self, name: str) -> Mapping[str, Any]:
        return self._coach.parts.parameters(name)
