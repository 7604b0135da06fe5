"""A line between our adapters and the peer that keeps what went over it, both ways.

Invariant: bytes go on as they come, in both directions; one connection to the peer for each of ours, and
what the peer does to it (an answer, a reset, a long silence) is done to ours.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP = {"connection", "transfer-encoding", "content-length", "host", "accept-encoding", "date", "server"}
_TICK = 0.02


@dataclass
class Exchange:
    method: str
    path: str
    request: bytes
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    response: bytes = b""

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.request or b"{}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that breaks the line is what some tests are about."""


class Tap:
    """`url` leads to `target` (both without a path)."""

    def __init__(self, target: str) -> None:
        self.seen: list[Exchange] = []
        self._target = urlsplit(target).netloc
        self._server = _Server(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, args=(_TICK,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """What was posted to `path`, in order."""
        return [e.body for e in self.seen if e.method == "POST" and e.path == path]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tap = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                self.peer = http.client.HTTPConnection(tap._target)

            def finish(self) -> None:
                self.peer.close()
                super().finish()

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                exchange = Exchange(self.command, self.path, body)
                tap.seen.append(exchange)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
                ended = threading.Event()
                try:
                    self.peer.request(self.command, self.path, body or None, headers)
                    threading.Thread(target=self._let_go, args=(self.peer.sock, ended), daemon=True).start()
                    self._answer(self.peer.getresponse(), exchange)
                except (OSError, ValueError, http.client.HTTPException):
                    self.close_connection = True
                finally:
                    ended.set()

            def _answer(self, answer: http.client.HTTPResponse, exchange: Exchange) -> None:
                exchange.status = answer.status
                exchange.headers = {k.lower(): v for k, v in answer.getheaders()}
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                while piece := answer.read1(65536):
                    exchange.response += piece
                    self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
                    self.wfile.flush()
                answer.close()
                self.wfile.write(b"0\r\n\r\n")

            def _let_go(self, line: socket.socket, ended: threading.Event) -> None:
                """Break the line to the peer once our side has left, also while the peer says nothing."""
                try:
                    while not ended.is_set():
                        readable, _, _ = select.select([self.connection], [], [], _TICK)
                        # bytes are the next request of a line that is kept, nothing at all is the end
                        if readable and not self.connection.recv(1, socket.MSG_PEEK):
                            line.shutdown(socket.SHUT_RDWR)
                            return
                except (OSError, ValueError):
                    """Both lines are closed already."""

            def log_message(self, *_: object) -> None:
                pass

            do_GET = do_POST = do_DELETE = _pass

        return Handler
