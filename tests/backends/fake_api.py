"""A model server on the loopback that says what a test tells it to, over real HTTP, and keeps what it was asked.

Invariant: replies are used one a request, in order, the last again and again, but for requests that one of
`routes` (a pattern of "METHOD /path?query") takes; every request stands in `requests` before its reply
begins, those to routes in `routed`. Closing lets go of every waiting connection.
"""

from __future__ import annotations

import json
import re
import select
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

_MODELS = b'{"object":"list","data":[{"id":"m1","object":"model"}]}'
CASSETTES = Path(__file__).parents[1] / "cassettes"
Piece = bytes | Literal["hang", "cut", "shut", "pause"]
PAUSE = 0.12


@dataclass(frozen=True)
class Reply:
    """`pieces` go out one chunk each; "hang" waits until the client leaves, "cut" breaks the line, "shut" says that
    no more will come but leaves the line open, "pause" waits for PAUSE seconds. Without `framed` the end of the line
    is the end of the answer."""

    pieces: Sequence[Piece]
    status: int = 200
    content_type: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)
    wait_first: bool = False  # hang before the status line
    framed: bool = True


def recorded(name: str, replace: dict[str, str] | None = None) -> Reply:
    """The reply of a cassette; `replace` changes texts in its body."""
    cassette = json.loads((CASSETTES / f"{name}.json").read_text())
    body: str = cassette["response_body"]
    for old, new in (replace or {}).items():
        assert old in body, old
        body = body.replace(old, new)
    kind = cassette["content_type"]
    pieces: list[Piece] = [body.encode()]
    if "event-stream" in kind:
        pieces = [f"{event}\n\n".encode() for event in body.split("\n\n") if event.strip()]
    return Reply(pieces, cassette["status"], kind)


def json_reply(status: int, body: str, **headers: str) -> Reply:
    return Reply([body.encode()], status, "application/json", {k.replace("_", "-"): v for k, v in headers.items()})


def sse(*events: Any, done: bool = False) -> list[Piece]:
    """Events as the lines of a stream."""
    lines: list[Piece] = [f"data: {json.dumps(e, ensure_ascii=False)}\n\n".encode() for e in events]
    return [*lines, b"data: [DONE]\n\n"] if done else lines


@dataclass(frozen=True)
class Seen:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    method: str = "POST"


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that breaks the line is what many tests are about."""


class FakeApi:
    def __init__(self, *replies: Reply, models: Reply | None = None) -> None:
        self.replies = list(replies)
        self.models = models or Reply([_MODELS], 200, "application/json")
        self.requests: list[Seen] = []
        self.routes: list[tuple[str, list[Reply]]] = []
        self.routed: list[Seen] = []
        self.left = threading.Event()  # a client went away while we hung
        self.hanging = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> FakeApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [r.body for r in self.requests]

    def route(self, pattern: str, *replies: Reply) -> None:
        """Requests whose "METHOD /path?query" matches get these replies, the last again and again."""
        self.routes.append((pattern, list(replies)))

    def _routed(self, seen: Seen) -> Reply | None:
        with self._lock:
            for pattern, replies in self.routes:
                if re.search(pattern, f"{seen.method} {seen.path}"):
                    self.routed.append(seen)
                    return replies.pop(0) if len(replies) > 1 else replies[0]
        return None

    def _next(self, seen: Seen) -> Reply:
        with self._lock:
            self.requests.append(seen)
            return self.replies[min(len(self.requests), len(self.replies)) - 1]

    def _hang(self, connection: socket.socket) -> None:
        self.hanging.set()
        while not self._closing.is_set():
            readable, _, _ = select.select([connection], [], [], 0.02)
            if readable:
                self.left.set()
                return

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's acknowledgement

            def do_GET(self) -> None:
                self._reply(api._routed(self._seen({})) or api.models)

            def do_DELETE(self) -> None:
                self._reply(api._routed(self._seen({})) or json_reply(404, "{}"))

            def do_POST(self) -> None:
                told = self.rfile.read(int(self.headers.get("content-length") or 0))
                plain = "multipart" not in self.headers.get("content-type", "")
                seen = self._seen(json.loads(told or b"{}") if plain else {"form": told.decode("latin-1")})
                self._reply(api._routed(seen) or api._next(seen))

            def _seen(self, body: dict[str, Any]) -> Seen:
                return Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, body, self.command)

            def _reply(self, reply: Reply) -> None:
                try:
                    self._send(reply)
                except OSError:
                    api.left.set()
                    self.close_connection = True

            def _send(self, reply: Reply) -> None:
                if reply.wait_first:
                    api._hang(self.connection)
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                self.send_header("content-type", reply.content_type)
                self.send_header(*(("transfer-encoding", "chunked") if reply.framed else ("connection", "close")))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                for piece in reply.pieces:
                    if isinstance(piece, bytes):
                        self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if reply.framed else piece)
                        self.wfile.flush()
                    elif piece == "pause":
                        api._closing.wait(PAUSE)
                    else:
                        if piece == "shut":
                            self.connection.shutdown(socket.SHUT_WR)
                        if piece != "cut":
                            api._hang(self.connection)
                        self.close_connection = True
                        return
                if reply.framed:
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_: object) -> None:
                pass

        return Handler
