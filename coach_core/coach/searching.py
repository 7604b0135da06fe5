"""The models of search by settings: which embedder and reranker are wanted, how they are reached, what a change costs.

Invariant: an endpoint's key goes to that endpoint alone; the settings' own keys go only to an address that stands
where they do, never to one from the settings page. Neither is in a row, a log, an error or a page.
"""

from __future__ import annotations

import time
from dataclasses import replace

from coach_core import access
from coach_core.backends import vendors
from coach_core.coach.base import Base
from coach_core.coach.endpoints import rows_of
from coach_core.errors import BadSetting, CoachError, MissingKey
from coach_core.search import meaning, rerank
from coach_core.search.remote import RemoteEmbedder, Server, Spec, address_of, bearer
from coach_core.settings import LAYERS, Settings
from coach_core.store import Database, chunks, endpoints, serving, settings_table
from coach_core.types import Actor, EmbedderTrial, EmbeddingProgress, clean_text

_SENTENCE = "How do I open the session after a hard week?"
_RERANKED = tuple(f"{n}. Ask what the week was like before you ask for the homework, and listen." for n in range(30))
WHAT = {"embedder": "embedding endpoint", "reranker": "reranker"}
_OPERATIONS = {"embedder": "embeddings", "reranker": "rerank"}


class Searching(Base):
    def embedding_state(self, actor: Actor) -> EmbeddingProgress:
        """How far the chosen model is, and which finds passages until then."""
        access.require(actor, "knowledge.read")
        return self.knowledge.embedding.progress()

    def model_endpoints(self, actor: Actor) -> list[str]:
        """The endpoints whose models may be chosen by name#model."""
        access.require(actor, "settings")
        return [r.name for r in endpoints.list_endpoints(self._db)]

    def test_embedder(self, actor: Actor, spec: str) -> EmbedderTrial:
        """Open an embedder, ask it, and say what choosing it would cost. Raises nothing that a person mends."""
        access.require(actor, "settings")
        spec = clean_text(spec).strip()
        try:
            check_spec(self.settings, self._db, "embedder", spec)
            embedder = open_embedder(self.settings, self._db, spec)
        except CoachError as error:
            return EmbedderTrial(spec, error=error.sentence)
        try:
            began = time.perf_counter()
            embedder.query(_SENTENCE)
            took = (time.perf_counter() - began) * 1000
            rate = meaning.speed(embedder)
        except CoachError as error:
            return EmbedderTrial(spec, error=error.sentence)
        finally:
            if isinstance(embedder, RemoteEmbedder):
                embedder.close()
        with self._db.read() as connection:
            waiting = serving.waiting(connection, embedder.name, ())
            total = chunks.vector_counts(connection, embedder.name)[1]
        made = EmbedderTrial(spec, embedder.name, embedder.dim, round(took, 1), rate, waiting, total)
        return replace(made, host=where(self.settings, self._db, "embedder", spec))

    def test_reranker(self, actor: Actor, spec: str) -> EmbedderTrial:
        """Ask a reranker to order as many passages as it would be given."""
        access.require(actor, "settings")
        spec = clean_text(spec).strip()
        try:
            check_spec(self.settings, self._db, "reranker", spec)
            reranker = open_reranker(self.settings, self._db, spec)
        except CoachError as error:
            return EmbedderTrial(spec, error=error.sentence)
        texts = _RERANKED[: self.settings.reranker_passages]
        try:
            reranker.scores(_SENTENCE, texts)  # a first connection is not what a question waits for
            began = time.perf_counter()
            reranker.scores(_SENTENCE, texts)
            took = (time.perf_counter() - began) * 1000
        except CoachError as error:
            return EmbedderTrial(spec, error=error.sentence)
        finally:
            reranker.close()
        made = EmbedderTrial(spec, reranker.name, 0, round(took, 1), len(texts) / max(took / 1000, 1e-6))
        return replace(made, host=where(self.settings, self._db, "reranker", spec))


def wanted(given: Settings, db: Database) -> Settings:
    """The settings as the table says now, also when another process has changed it."""
    return given.with_table(settings_table.get_all(db))


def rules(settings: Settings) -> rerank.Rules:
    deadline = min(settings.reranker_deadline, 0.75 * settings.context_deadline)
    return rerank.Rules(settings.reranker, settings.reranker_passages, deadline)


def open_embedder(settings: Settings, db: Database, spec: str) -> meaning.Embedder:
    return meaning.open_embedder(settings.home, spec, server=_server(settings, db, "embedder", spec))


def open_reranker(settings: Settings, db: Database, spec: str) -> rerank.Reranker:
    server = _server(settings, db, "reranker", spec)
    if server is None:
        raise BadSetting("A reranker is written https://host/v1/rerank#model, one of an endpoint name#model.")
    return rerank.Reranker(server, Spec.parse(spec))


def check_spec(settings: Settings, db: Database, setting: str, spec: str) -> None:
    """Raise BadSetting unless `spec` can name a model: what it says, not whether anything answers there."""
    if settings.holds_secret(spec):
        raise BadSetting("A key stands where a model's name belongs. Keys are set in .env alone.")
    if setting == "reranker" and not spec:
        return
    kind = meaning.kind_of(spec)
    if kind in ("address", "endpoint"):
        _server(settings, db, setting, spec)
    elif setting == "reranker":
        raise BadSetting("A reranker is written https://host/v1/rerank#model, one of an endpoint name#model.")


def where(settings: Settings, db: Database, setting: str, spec: str) -> str:
    """The host that passages are sent to; "" where they stay on this machine."""
    server = _server(settings, db, setting, spec) if spec else None
    return server.place if server is not None else ""


def _server(settings: Settings, db: Database, setting: str, spec: str) -> Server | None:
    """Where the model that `spec` names answers; None for one that runs here."""
    kind = meaning.kind_of(spec)
    if kind not in ("address", "endpoint"):
        return None
    what, operation = WHAT[setting], _OPERATIONS[setting]
    asked = Spec.parse(spec)
    if kind == "address":
        vendors.check_address(asked.where)
        own = spec == getattr(settings, setting) and settings.sources[setting] in LAYERS[:4]
        key = getattr(settings, f"{setting}_key") if own else ""
        return Server(address_of(asked.where, operation), what, bearer(key))
    row = next(iter(rows_of(settings, db, asked.where)), None)
    if row is None:
        names = ", ".join(r.name for r in endpoints.list_endpoints(db)) or "none yet"
        raise BadSetting(f"There is no endpoint called {asked.where!r}. There are: {names}.")
    if row.why:
        raise (MissingKey if row.key_variable else BadSetting)(row.why)
    endpoint = row.endpoint
    headers = {str(k): str(v) for k, v in (endpoint.profile.get("headers") or {}).items()}
    header = endpoint.profile.get("key_header") or ""
    headers |= ({str(header): endpoint.key} if endpoint.key else {}) if header else bearer(endpoint.key)
    query = {str(k): str(v) for k, v in (endpoint.profile.get("query") or {}).items()}
    return Server(address_of(endpoint.base_url, operation), what, headers, query)
