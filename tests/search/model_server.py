"""A server of embeddings and reranking on loopback that does what a test tells it to.

Invariant: what it was asked is kept; a vector depends on the text alone.
"""

from __future__ import annotations

import base64
import json
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Seen:
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class ModelServer:
    """`faults` are what becomes of the next requests, one each: (status, headers, body), "cut", or a function."""

    url: str = ""
    dim: int = 8
    most: int = 10**9  # texts of one request
    longest: int = 10**9  # characters of a text
    refusal: Any = (400, {}, {"error": "This model's maximum context length is 512 tokens."})
    faults: list[Any] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    shuffled: bool = False
    in_base64: bool = False
    tei: bool = False
    answer: Callable[[Any], Any] | None = None

    def reply(self, path: str, body: Any) -> tuple[int, dict[str, str], Any]:
        if path.partition("?")[0].endswith("rerank"):
            return self._reranked(body)
        texts = body["input"]
        if len(texts) > self.most:
            return 422, {}, {"error": f"batch size {len(texts)} > maximum allowed batch size {self.most}"}
        if any(len(t) > self.longest for t in texts):
            return self.refusal
        dim = body.get("dimensions") or self.dim
        rows = [{"index": i, "object": "embedding", "embedding": self._vector(t, dim)} for i, t in enumerate(texts)]
        return 200, {}, {"data": rows[::-1] if self.shuffled else rows}

    def _vector(self, text: str, dim: int) -> Any:
        row = [1.0] * dim
        for word in text.lower().split():
            row[zlib.crc32(word.encode()) % dim] += 3.0
        return base64.b64encode(struct.pack(f"<{dim}f", *row)).decode() if self.in_base64 else row

    def _reranked(self, body: Any) -> tuple[int, dict[str, str], Any]:
        if self.answer is not None:
            return 200, {}, self.answer(body)
        name = "texts" if self.tei else "documents"
        if name not in body:
            return 422, {}, {"error": f"missing field {name}"}
        asked = set(body["query"].lower().split())
        scored = [(i, len(asked & set(t.lower().split()))) for i, t in enumerate(body[name])]
        scored.sort(key=lambda pair: -pair[1])
        if self.tei:
            return 200, {}, [{"index": i, "score": s} for i, s in scored]
        return 200, {}, {"results": [{"index": i, "relevance_score": s} for i, s in scored[: body["top_n"]]]}


@contextmanager
def serving() -> Iterator[ModelServer]:
    served = ModelServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.seen.append(Seen(self.path, dict(self.headers), body))
            fault = served.faults.pop(0) if served.faults else None
            if callable(fault):
                fault = fault()
            if fault == "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"data": [')
                self.close_connection = True
                return
            status, headers, said = fault or served.reply(self.path, body)
            payload = said if isinstance(said, bytes) else json.dumps(said).encode()
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)
            except OSError:  # nobody waits any more
                pass

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    server.server_close()
    thread.join()
