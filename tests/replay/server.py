"""A server on the loopback that answers each request by the stage it belongs to, in chunks as they came.

Invariant: every case has an address of its own, so that cases may be played at the same time; a stream
goes out one event a chunk, some of them torn in the middle of a line or a letter.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r)|.+", re.DOTALL)
_TORN = 7
_PASSED_ON = ("content-type", "retry-after", "retry-after-ms", "x-request-id", "x-ratelimit-remaining-tokens")


@dataclass(frozen=True)
class Sent:
    """A request of the adapter's. `body` is its JSON, None where there is none."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Served:
    body: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    sse: bool = False


class Stage(Protocol):
    def answer(self, sent: Sent) -> Served: ...


class Slot:
    """An address at which one stage after the other can stand."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stage: Stage | None = None


class ReplayServer:
    def __init__(self) -> None:
        self._slots: dict[str, Slot] = {}
        self._numbers = itertools.count(1)
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> ReplayServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def slot(self) -> Slot:
        name = str(next(self._numbers))
        self._slots[name] = Slot(f"http://127.0.0.1:{self._server.server_port}/{name}")
        return self._slots[name]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        slots = self._slots

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # status line and headers in one write

            def _reply(self) -> None:
                address = urlsplit(self.path)
                _, name, rest = (address.path + "/").split("/", 2)
                stage = slots[name].stage
                data = self.rfile.read(int(self.headers.get("content-length") or 0))
                sent = Sent(
                    self.command,
                    "/" + rest.rstrip("/"),
                    dict(parse_qsl(address.query, keep_blank_values=True)),
                    {k.lower(): v for k, v in self.headers.items()},
                    json.loads(data) if data.strip() else None,
                )
                served = stage.answer(sent) if stage else Served('{"error":{"message":"no stage"}}', 500)
                try:
                    self._send(served)
                except OSError:
                    self.close_connection = True

            do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _reply

            def _send(self, served: Served) -> None:
                self.send_response(served.status)
                for header in _PASSED_ON:
                    if header in served.headers:
                        self.send_header(header, _safe(served.headers[header]))
                if served.status >= 400:
                    self.send_header("x-should-retry", "false")  # the recording knows of one attempt
                data = served.body.encode("utf-8", "surrogatepass")
                self.send_header(
                    *(("transfer-encoding", "chunked") if served.sse else ("content-length", str(len(data))))
                )
                self.end_headers()
                if not served.sse:
                    self.wfile.write(data)
                    return
                for chunk in _chunks(data):
                    self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_: object) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def handle_error(self, *_: object) -> None:
        """A client that leaves early is nothing to tell of."""


def _chunks(data: bytes) -> Iterator[bytes]:
    for number, event in enumerate(_EVENT.findall(data)):
        if number % _TORN == 3 and len(event) > 2:
            yield event[: len(event) // 2]
            yield event[len(event) // 2 :]
        else:
            yield event


def _safe(value: str) -> str:
    return value.encode("latin-1", "replace").decode("latin-1").replace("\r", " ").replace("\n", " ")
