"""A conversation as a thread at the server: its messages, their files, and runs that hold it.

Invariant: local history is the truth. A thread is told all of it once, in order, and the question last; one
that has gone is `Lost`, one that another run holds is waited for. How pictures and files are taken is learnt
from what the server refuses.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar

import openai

from coach_core.backends import Endpoint, Remotes, Request
from coach_core.backends.assistants_personas import (
    MADE_BY,
    SEARCH,
    Assistant,
    Lost,
    Personas,
    What,
    is_paper,
)
from coach_core.backends.items import (
    GO_ON,
    Asked,
    Call,
    Item,
    Result,
    Resumed,
    Told,
    as_text,
    data_url,
    is_image,
    items_of,
)
from coach_core.backends.line import Watch
from coach_core.backends.sdk_errors import host_of
from coach_core.errors import HostedSearchFailed
from coach_core.types import Part

log = logging.getLogger(__name__)
T = TypeVar("T")
Raw = Mapping[str, Any]
Pictures = Literal["address", "upload", "words"]

#: Seconds that another run on a thread is waited for, and again after it was told to stop.
PATIENCE = 4.0
#: The kind of what is sent along with messages; files of collections are of another.
ATTACHMENT = "attachment"
_FIRST = 32  # messages that a thread can be made with
_ACTIVE = re.compile(r"already has an active run|while a run\b.{0,80}\bis active", re.IGNORECASE)
_RUN_ID = re.compile(r"\brun_[\w-]+")
_STORE = re.compile(r"vector[ _]store", re.IGNORECASE)
_NO_FILE = re.compile(r"no such file|\bfiles?\b.{0,60}(?:not found|does not exist|was deleted)", re.IGNORECASE)
_GOING = frozenset({"queued", "in_progress", "requires_action", "cancelling", "created", "generating"})


class Threads(Personas):
    """The wire up to the run: who answers, and where the question stands."""

    def __init__(self, endpoint: Endpoint, remotes: Remotes | None = None) -> None:
        super().__init__(endpoint, remotes)
        self._pictures: Pictures = "address" if self.profile.images else "words"

    def told(self, request: Request, known: str, watch: Watch) -> Iterator[str]:
        """Puts the question into the thread `known`, or into a new one after all that was said before.
        Yields the thread's id before anything is put there, so that it is known if that fails."""
        asked = replace(request, context="", exchange=())
        items = items_of(asked, history=not known)
        form, tried = self._pictures, False
        while True:
            try:
                messages = list(self._messages(items, request, form, watch))
                yield from self._put(messages, known, request, watch)
                self._pictures = form
                return
            except (openai.BadRequestError, openai.UnprocessableEntityError, openai.NotFoundError) as error:
                if not tried and _NO_FILE.search(error.message) and self._forget_files(items):
                    tried = True
                elif isinstance(error, openai.NotFoundError) or form == "words" or not _pictured(items):
                    raise
                else:
                    form = "upload" if form == "address" else "words"

    def _put(self, messages: Sequence[Raw], known: str, request: Request, watch: Watch) -> Iterator[str]:
        thread, told = known, list(messages[:-1])
        resources = _second_store(request)
        if not thread:
            body: dict[str, Any] = {"metadata": MADE_BY}
            if told:
                body["messages"] = told[:_FIRST]
            if resources:
                body["tool_resources"] = resources
            thread = self.id_of(self.call("post", "/threads", watch, body))
            told = told[_FIRST:]
        yield thread
        if known and resources and (request.provider_state or {}).get("thread_store") != second_store(request):
            body = {"tool_resources": resources}
            self.in_thread(thread, watch, lambda: self.call("post", f"/threads/{thread}", watch, body))
        for message in [*told, messages[-1]]:
            self.in_thread(
                thread, watch, lambda message=message: self.call("post", f"/threads/{thread}/messages", watch, message)
            )

    def in_thread(self, thread: str, watch: Watch, send: Callable[[], T]) -> T:
        """What `send` brings; waits for a run that holds the thread, raises Lost where something has gone."""
        for left in (2, 1, 0):
            try:
                return send()
            except openai.APIStatusError as error:
                if _ACTIVE.search(error.message):
                    if not left:
                        raise Lost("thread", error) from error
                    self._unlock(thread, error.message, watch)
                elif error.status_code in {404, 410} and not _NO_FILE.search(error.message):
                    if _STORE.search(error.message):
                        raise
                    raise Lost(_what(error.message.lower()), error) from error
                else:
                    raise
        raise AssertionError("unreachable")

    def _unlock(self, thread: str, message: str, watch: Watch) -> None:
        """Wait a short while for the run that holds the thread, then stop it."""
        found = _RUN_ID.search(message)
        run = found[0] if found else self._holding(thread, watch)
        if not run:
            watch.wait(0.5)
            return
        until, stopped, pause = time.monotonic() + PATIENCE, False, 0.1
        while True:
            try:
                status = self.call("get", f"/threads/{thread}/runs/{run}", watch).get("status")
            except openai.NotFoundError:
                return
            if status not in _GOING:
                return
            if time.monotonic() > until or (status == "requires_action" and not stopped):
                if stopped:
                    return
                log.info("a run is stopped that held its thread")
                self.stop(thread, run)
                until, stopped = time.monotonic() + PATIENCE, True
            watch.wait(pause)
            pause = min(pause * 1.5, 1.0)

    def _holding(self, thread: str, watch: Watch) -> str:
        try:
            listed = self.call("get", f"/threads/{thread}/runs", watch, query={"limit": 5, "order": "desc"})
        except openai.NotFoundError:
            return ""
        return next((str(r.get("id")) for r in listed.get("data") or () if r.get("status") in _GOING), "")

    def stop(self, thread: str, run: str, patience: float = 0.3) -> None:
        """Tell the server to stop a run: at best; whoever calls waits no longer than `patience` for it."""

        def send() -> None:
            try:
                self.call("post", f"/threads/{thread}/runs/{run}/cancel", timeout=3.0)
            except Exception as error:  # it may have ended, or the server knows no cancel
                log.info("a run was not stopped at the server: %s", type(error).__name__)

        if thread and run:
            worker = threading.Thread(target=send, daemon=True, name="stop-run")
            worker.start()
            worker.join(patience)

    def sentence(self, lost: Lost, request: Request, assistant: Assistant | None) -> str:
        """What a person is told of it."""
        host, given = host_of(self.endpoint), request.parameters.get("assistant_id")
        if lost.what != "thread" and given and (assistant is None or assistant.given):
            return f"{host} has no assistant {given}. One made from this persona answers; check its id there."
        if lost.what == "assistant":
            return f"{host} no longer knows this persona's assistant. It is made again."
        if _ACTIVE.search(str(lost.error)):
            return f"{host} keeps this conversation locked. It is told again from here, as a new one."
        return f"{host} no longer knows this conversation. It is told again from here."

    # -- messages -----------------------------------------------------------------------------------

    def _messages(self, items: Sequence[Item], request: Request, form: Pictures, watch: Watch) -> Iterator[Raw]:
        """One message each; what the assistant said and what its tools found go together as text, since
        threads take no calls."""
        spoken: list[str] = []
        for item in (*items, None):
            match item:
                case Told() | Resumed() if item.text:
                    spoken.append(item.text)
                case Result():
                    spoken.append(f"({item.name}: {item.text})")
                case _:
                    pass
            if spoken and not isinstance(item, Told | Result | Call):
                yield {"role": "assistant", "content": "\n\n".join(spoken)}
                spoken = []
            if isinstance(item, Asked) and (message := self._asked(item.parts, request, form, watch)):
                yield message
            elif isinstance(item, Resumed):
                yield {"role": "user", "content": GO_ON}

    def _asked(self, parts: Sequence[Part], request: Request, form: Pictures, watch: Watch) -> dict[str, Any] | None:
        content: list[dict[str, Any]] = []
        attached: list[dict[str, Any]] = []
        for part in parts:
            if is_paper(part) and self.profile.files and (file_id := self._upload(part, "assistants", request, watch)):
                attached.append({"file_id": file_id, "tools": [SEARCH]})
                content.append({"type": "text", "text": f"Attached file: {part.name or 'file.pdf'}"})
            elif is_image(part) and form != "words" and (picture := self._picture(part, request, form, watch)):
                content.append(picture)
            elif text := as_text(part):
                content.append({"type": "text", "text": text})
        if not content:
            return None
        plain = all(c["type"] == "text" for c in content)
        told: Any = "\n\n".join(c["text"] for c in content) if plain else content
        return {"role": "user", "content": told, **({"attachments": attached} if attached else {})}

    def _picture(self, part: Part, request: Request, form: Pictures, watch: Watch) -> dict[str, Any] | None:
        if form == "upload":
            file_id = self._upload(part, "vision", request, watch)
            return {"type": "image_file", "image_file": {"file_id": file_id}} if file_id else None
        url = data_url(part, request)
        return {"type": "image_url", "image_url": {"url": url}} if url else None

    def _upload(self, part: Part, purpose: Literal["assistants", "vision"], request: Request, watch: Watch) -> str:
        """The id there of the file of `part`; "" when it cannot be had or the server takes no files."""
        if part.file_id is None or request.read_file is None:
            return ""
        key = f"{purpose}:{part.file_id}"
        if found := self.remotes.find(ATTACHMENT, key):
            return found.external_id
        sent = (part.name or "file", request.read_file(part.file_id), part.media_type or "application/octet-stream")
        client = self.client.with_options(timeout=openai.Timeout(watch.look() + 5, connect=5.0))
        try:
            with watch.held():
                made = client.files.with_raw_response.create(file=sent, purpose=purpose).http_response.json()
        except (openai.NotFoundError, openai.BadRequestError, openai.UnprocessableEntityError) as error:
            log.info("a file was not taken: %s", type(error).__name__)
            return ""
        self.remotes.keep(ATTACHMENT, key, self.id_of(made))
        return self.id_of(made)

    def _forget_files(self, items: Sequence[Item]) -> bool:
        """Forget what was sent of these; whether there was any."""
        parts = [p for item in items if isinstance(item, Asked) for p in item.parts if p.file_id]
        known = [k for p in parts for k in (f"assistants:{p.file_id}", f"vision:{p.file_id}")]
        gone = [k for k in known if self.remotes.find(ATTACHMENT, k)]
        for key in gone:
            self.remotes.forget(ATTACHMENT, key)
        return bool(gone)


def _what(message: str) -> What:
    """What a server's words say is not there."""
    if ("assistant" in message) == ("thread" in message):
        return "either"
    return "assistant" if "assistant" in message else "thread"


def second_store(request: Request) -> str:
    """The store that the thread brings: an assistant has room for one, and a given one is left as it is."""
    given = bool(request.parameters.get("assistant_id"))
    stores = request.stores if given else request.stores[1:]
    if len(stores) > 1:
        raise HostedSearchFailed(
            "The Assistants API searches two vector stores at most, and one besides an assistant of your own. "
            "The app's own search can answer instead."
        )
    return stores[0] if stores else ""


def _second_store(request: Request) -> dict[str, Any]:
    store = second_store(request)
    return {"file_search": {"vector_store_ids": [store]}} if store else {}


def _pictured(items: Sequence[Item]) -> bool:
    return any(is_image(p) for item in items if isinstance(item, Asked) for p in item.parts)
