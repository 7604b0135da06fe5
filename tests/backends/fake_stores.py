"""An API on the loopback that keeps files and vector stores, and searches them itself, over real HTTP.

Invariant: it does what the recorded API does (shared/data/traffic: upload, create, attach, read in the
background, search, cite, delete) and keeps what was done, so that a test can say what lies there. Every
JSON body is held against the API's own description; what does not follow it is refused and noted in
`faults`. A file put into a store is read after `reads` looks at it.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.replay.bodies import faults_of

Answer = tuple[int, Any]
_WORD = re.compile(r"\w{4,}")


@dataclass
class Inside:
    """A file in a store."""

    looks: int
    error: dict[str, str] | None = None


@dataclass
class Store:
    body: dict[str, Any]
    number: int
    files: dict[str, Inside] = field(default_factory=dict)
    expired: bool = False
    idle: int = 0  # days since it was searched


@dataclass
class File:
    name: str
    media_type: str
    data: bytes
    created_at: int
    number: int


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A broken line is what some tests are about."""


class FakeStores:
    """`trouble(method, path, count)` may make a request fail: a status as number is answered without doing
    anything, "before" and "after" cut the line before or after it was done. `unreadable(file)` says why a
    file cannot be read, as (code, message); `silent` makes its model search but say nothing of the files."""

    def __init__(self, reads: int = 1) -> None:
        self.reads = reads
        self.files: dict[str, File] = {}
        self.stores: dict[str, Store] = {}
        self.requests: list[tuple[str, str]] = []
        self.asked: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self.keys: set[str] = set()
        self.trouble: Callable[[str, str, int], int | str | None] = lambda *_: None
        self.unreadable: Callable[[File], tuple[str, str] | None] = lambda _: None
        self.refused: Callable[[File], str] = lambda _: ""
        self.batches = True
        self.search_fails = False
        self._count = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> FakeStores:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # what lies there

    def held(self) -> dict[str, list[str]]:
        """The names of the files in each store, by the store's name."""
        return {
            s.body["name"]: sorted(self.files[f].name for f in s.files if f in self.files) for s in self.stores.values()
        }

    def names(self) -> list[str]:
        return sorted(f.name for f in self.files.values())

    def made(self, method: str, path: str) -> int:
        """How many requests of this kind came; `path` is a pattern."""
        return sum(m == method and re.fullmatch(path, p) is not None for m, p in self.requests)

    # what it does

    def _do(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        match [method, *path.strip("/").split("/")]:
            case ["GET", "models"]:
                return 200, {"object": "list", "data": [{"id": "m1", "object": "model"}]}
            case ["POST", "files"]:
                return self._upload(body)
            case ["GET", "files"]:
                return 200, self._page([self._file(f) for f in self.files], query)
            case ["DELETE", "files", file_id]:
                return self._delete_file(file_id)
            case ["POST", "vector_stores"]:
                return self._create(body)
            case ["GET", "vector_stores"]:
                return 200, self._page([self._store(s) for s in self.stores], query)
            case [_, "vector_stores", store_id, *_] if store_id not in self.stores:
                return _missing(f"Vector store with id {store_id} not found.")
            case ["GET", "vector_stores", store_id]:
                return 200, self._store(store_id)
            case ["POST", "vector_stores", store_id]:
                self.stores[store_id].body |= body
                return 200, self._store(store_id)
            case ["DELETE", "vector_stores", store_id]:
                del self.stores[store_id]
                return 200, {"id": store_id, "object": "vector_store.deleted", "deleted": True}
            case ["GET", "vector_stores", store_id, "files"]:
                return 200, self._page([self._look(store_id, f) for f in self.stores[store_id].files], query)
            case ["POST", "vector_stores", store_id, "files"]:
                return self._attach(store_id, [body["file_id"]])
            case ["POST", "vector_stores", store_id, "file_batches"] if self.batches:
                return self._attach(store_id, body["file_ids"])
            case ["DELETE", "vector_stores", store_id, "files", file_id]:
                if self.stores[store_id].files.pop(file_id, None) is None:
                    return _missing(f"No file found with id '{file_id}' in vector store '{store_id}'.")
                return 200, {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}
            case _:
                return _missing(f"Unknown request URL: {method} {path}.")

    def _upload(self, file: File) -> Answer:
        if why := self.refused(file):
            return 400, {"error": {"message": why, "type": "invalid_request_error", "code": None, "param": "file"}}
        file_id = f"file-{self._number(file):06d}"
        self.files[file_id] = file
        return 200, self._file(file_id)

    def _number(self, thing: Any) -> int:
        self._count += 1
        thing.number = self._count
        return self._count

    def _file(self, file_id: str) -> dict[str, Any]:
        file = self.files[file_id]
        facts = {"bytes": len(file.data), "created_at": file.created_at, "filename": file.name, "id": file_id}
        return {**facts, "object": "file", "purpose": "assistants", "status": "processed", "expires_at": None}

    def _delete_file(self, file_id: str) -> Answer:
        if self.files.pop(file_id, None) is None:
            return _missing(f"No such File object: {file_id}")
        for store in self.stores.values():
            store.files.pop(file_id, None)
        return 200, {"id": file_id, "object": "file", "deleted": True}

    def _create(self, body: dict[str, Any]) -> Answer:
        store = Store(body, 0)
        store_id = f"vs_{self._number(store):06d}"
        self.stores[store_id] = store
        return 200, self._store(store_id)

    def _store(self, store_id: str) -> dict[str, Any]:
        store = self.stores[store_id]
        size = sum(2 * len(self.files[f].data) for f, i in store.files.items() if f in self.files and i.looks <= 0)
        days = (store.body.get("expires_after") or {}).get("days")
        moment = int(time.time())
        return {
            "id": store_id,
            "object": "vector_store",
            "created_at": moment,
            "last_active_at": moment - 86_400 * store.idle,
            "name": store.body.get("name"),
            "metadata": store.body.get("metadata") or {},
            "expires_after": store.body.get("expires_after"),
            "expires_at": moment + 86_400 * (days - store.idle) if days else None,
            "status": "expired" if store.expired else "completed",
            "usage_bytes": size,
            "file_counts": {"cancelled": 0, "completed": 0, "failed": 0, "in_progress": 0, "total": len(store.files)},
        }

    def _attach(self, store_id: str, file_ids: list[str]) -> Answer:
        for file_id in file_ids:
            if file_id not in self.files:
                return _missing(f"No such File object: {file_id}")
        for file_id in file_ids:
            fault = self.unreadable(self.files[file_id])
            error = {"code": fault[0], "message": fault[1]} if fault else None
            self.stores[store_id].files[file_id] = Inside(self.reads, error)
        if len(file_ids) == 1:
            return 200, self._inside(store_id, file_ids[0])
        return 200, {"id": "vsfb_1", "object": "vector_store.files_batch", "status": "in_progress"}

    def _look(self, store_id: str, file_id: str) -> dict[str, Any]:
        told = self._inside(store_id, file_id)
        self.stores[store_id].files[file_id].looks -= 1
        return told

    def _inside(self, store_id: str, file_id: str) -> dict[str, Any]:
        inside = self.stores[store_id].files[file_id]
        reading = inside.looks > 0
        status = "in_progress" if reading else "failed" if inside.error else "completed"
        return {
            "id": file_id,
            "object": "vector_store.file",
            "attributes": {},
            "created_at": int(time.time()),
            "last_error": None if reading else inside.error,
            "status": status,
            "usage_bytes": 0 if reading or inside.error else 2 * len(self.files[file_id].data),
            "vector_store_id": store_id,
        }

    def _page(self, items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
        """A list as the API gives it: the newest first, `limit` at a time, after the id `after`."""
        newest = sorted(items, key=lambda i: i["id"], reverse=query.get("order", "desc") == "desc")
        ids = [i["id"] for i in newest]
        begin = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
        some = newest[begin : begin + int(query.get("limit", 20))]
        ends = {"first_id": some[0]["id"] if some else None, "last_id": some[-1]["id"] if some else None}
        return {"object": "list", "data": some, **ends, "has_more": begin + len(some) < len(newest)}

    # its model

    def _respond(self, body: dict[str, Any]) -> Answer:
        """What the Responses API says: from the files when it is to search them, else from what it was told."""
        stores = [s for t in body.get("tools") or () if t["type"] == "file_search" for s in t["vector_store_ids"]]
        for store_id in stores:
            if store_id not in self.stores:
                return _missing(f"Vector store with id [{store_id}] not found.")
        if not stores:
            return 200, list(_events([], "As the passages say [1]."))
        call = {"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["q"]}
        if self.search_fails:
            return 200, list(_events([call | {"status": "failed", "results": None}], "I could not look."))
        found = self._search(stores, str(body["input"]))
        told = found if "file_search_call.results" in (body.get("include") or ()) else None
        if not found:
            return 200, list(_events([call | {"results": told}], "I do not know."))
        note = {"type": "file_citation", "file_id": found[0]["file_id"], "filename": found[0]["filename"], "index": 10}
        return 200, list(_events([call | {"results": told}], "By the file.", note))

    def _search(self, stores: list[str], question: str) -> list[dict[str, Any]]:
        wanted = {w.lower() for w in _WORD.findall(question)}
        found: list[dict[str, Any]] = []
        for store_id in stores:
            for file_id, inside in self.stores[store_id].files.items():
                for text in self.files[file_id].data.decode("utf-8", "replace").split("\n\n"):
                    score = len(wanted & {w.lower() for w in _WORD.findall(text)})
                    if score and inside.looks <= 0 and not inside.error:
                        name = self.files[file_id].name
                        found.append(
                            {"file_id": file_id, "filename": name, "score": score, "text": text, "attributes": {}}
                        )
        return sorted(found, key=lambda r: -r["score"])[:5]

    # HTTP

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # an answer goes out in one piece, or each waits for an acknowledgement

            def _serve(self) -> None:
                address = urlsplit(self.path)
                path = address.path.removeprefix("/v1")
                query = {k: v[-1] for k, v in parse_qs(address.query).items()}
                raw = self.rfile.read(int(self.headers.get("content-length") or 0))
                api.keys.add(self.headers.get("authorization", ""))
                with api._lock:
                    api.requests.append((self.command, path))
                    trouble = api.trouble(self.command, path, len(api.requests))
                    if trouble == "before":
                        self.close_connection = True
                        return
                    if isinstance(trouble, int):
                        status, answer = trouble, {"error": {"message": "Trouble.", "type": None}}
                    else:
                        status, answer = api._answer(self.command, path, query, self.headers, raw)
                    if trouble == "after":
                        self.close_connection = True
                        return
                self._send(status, answer)

            do_GET = do_POST = do_DELETE = _serve

            def _send(self, status: int, answer: Any) -> None:
                stream = isinstance(answer, list)
                lines = (
                    [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in answer]
                    if stream
                    else [json.dumps(answer)]
                )
                data = "".join(lines).encode()
                self.send_response(status)
                self.send_header("content-type", "text/event-stream" if stream else "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                self.wfile.flush()

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _answer(self, method: str, path: str, query: dict[str, str], headers: Any, raw: bytes) -> Answer:
        if (method, path) == ("POST", "/files"):
            return self._do(method, path, query, _form(headers["content-type"], raw))
        body = json.loads(raw) if raw else None
        described = _TEMPLATE.sub(r"\1/{vector_store_id}\2", _STORE.sub(r"\1", path))
        if method == "POST" and (wrong := faults_of(described, body)):
            self.faults += wrong
            return 400, {"error": {"message": "; ".join(wrong), "type": "invalid_request_error"}}
        if (method, path) == ("POST", "/responses"):
            self.asked.append(body)
            return self._respond(body)
        return self._do(method, path, query, body)


_STORE = re.compile(r"^(/vector_stores)/[^/]+$")  # a change of a store says what making one says
_TEMPLATE = re.compile(r"^(/vector_stores)/[^/]+(/.*)$")


def _missing(message: str) -> Answer:
    return 404, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


def _form(content_type: str, raw: bytes) -> File:
    """The one file of a form (RFC 7578)."""
    head = f"content-type: {content_type}\r\n\r\n".encode()
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + raw)
    parts = {p.get_param("name", header="content-disposition"): p for p in form.iter_parts()}
    assert parts["purpose"].get_content().strip() == "assistants"
    file = parts["file"]
    data = file.get_payload(decode=True)
    return File(file.get_filename() or "", file.get_content_type(), data, int(time.time()), 0)


def _events(calls: list[dict[str, Any]], text: str, note: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """A streamed response as it was recorded: searches first, then the text with what it rests on."""
    response: dict[str, Any] = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
    frames: list[dict[str, Any]] = [{"type": "response.created", "response": response}]
    for index, call in enumerate(calls):
        begun = call | {"status": "in_progress", "queries": [], "results": None}
        about = {"output_index": index, "item_id": call["id"]}
        frames += [
            {"type": "response.output_item.added", "output_index": index, "item": begun},
            {"type": "response.file_search_call.searching", **about},
            {"type": "response.file_search_call.completed", **about},
            {"type": "response.output_item.done", "output_index": index, "item": call},
        ]
    place = {"output_index": len(calls), "content_index": 0, "item_id": "msg_1"}
    frames.append({"type": "response.output_text.delta", **place, "delta": text[:-1]})
    if note:
        frames.append(
            {"type": "response.output_text.annotation.added", **place, "annotation_index": 0, "annotation": note}
        )
    frames.append({"type": "response.output_text.delta", **place, "delta": text[-1:]})
    content = {"type": "output_text", "text": text, "annotations": [note] if note else []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [content]}
    usage = {"input_tokens": 50, "output_tokens": 5, "total_tokens": 55}
    whole = response | {"status": "completed", "output": [*calls, message], "usage": usage}
    frames.append({"type": "response.completed", "response": whole})
    for number, frame in enumerate(frames):
        yield frame | {"sequence_number": number}
