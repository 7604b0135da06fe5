"""Long streams in the words of recorded ones, one a wire, and the server that plays them.

Run as a process of its own, so that its work is not counted: `python -m benchmarks.streams PORT CHUNKS PACED`.
Each event goes out as one chunk of HTTP, as the vendors send it: under /v1 CHUNKS of them without waiting,
under /paced/v1 PACED of them one by one, with GAP seconds between, so that each arrives alone.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle, islice
from pathlib import Path
from typing import Any

GAP = 0.0004
_CASSETTES = Path(__file__).resolve().parent.parent / "tests" / "cassettes"
_RUN = {
    "id": "run_gMAiOdxbrcV3JXHDasJZwr3g",
    "object": "thread.run",
    "created_at": 1761861632,
    "assistant_id": "asst_wsbI8mQzYyBDEhJH7F4Eg3tx",
    "thread_id": "thread_JBW8iwCBHFQ5uPCfxzR9TlUf",
    "instructions": "Be kind.",
    "model": "gpt-4o-mini",
    "tools": [],
    "metadata": {},
    "parallel_tool_calls": True,
    "truncation_strategy": {"type": "auto", "last_messages": None},
    "tool_choice": "auto",
    "response_format": "auto",
}
_USAGE = {"prompt_tokens": 100, "completion_tokens": 200, "total_tokens": 300}


def chat(count: int) -> list[bytes]:
    """The recorded answer's pieces of text again and again, then its end."""
    events = [e for e in _recorded("chat_text") if "[DONE]" not in e]
    values = [json.loads(e.removeprefix("data: ")) for e in events]
    texts = [e for e, v in zip(events, values, strict=True) if _content(v)]
    closing = [e for e, v in zip(events[1:], values[1:], strict=True) if not _content(v)]
    return _framed([events[0], *islice(cycle(texts), count), *closing, "data: [DONE]"])


def responses(count: int) -> list[bytes]:
    """The same, renumbered, the closing events with the text as long as it has become."""
    events = [json.loads(e.split("data: ", 1)[1]) for e in _recorded("responses_text")]
    kinds = [e["type"] for e in events]
    first = kinds.index("response.output_text.delta")
    last = len(kinds) - kinds[::-1].index("response.output_text.delta")
    deltas = [e for e in events[first:last] if e["type"] == "response.output_text.delta"]
    many = list(islice(cycle(deltas), count))
    short, long = (json.dumps("".join(e["delta"] for e in some))[1:-1] for some in (deltas, many))
    closing = [json.loads(json.dumps(e).replace(short, long)) for e in events[last:]]
    whole = [{**e, "sequence_number": n} for n, e in enumerate([*events[:first], *many, *closing])]
    return _framed([f"event: {e['type']}\ndata: {_json(e)}" for e in whole])


def assistants(count: int) -> list[bytes]:
    """A run in the shape of a recorded one, with the words of the recorded chat."""
    words = [text for e in _recorded("chat_text")[:-1] if (text := _content(json.loads(e.removeprefix("data: "))))]
    message = {
        "id": "msg_QKguDb0ERalCwX44IuQhxGAy",
        "object": "thread.message",
        "created_at": 1761861634,
        "assistant_id": _RUN["assistant_id"],
        "thread_id": _RUN["thread_id"],
        "run_id": _RUN["id"],
        "role": "assistant",
        "status": "in_progress",
        "content": [],
        "attachments": [],
        "metadata": {},
    }
    many = list(islice(cycle(words), count))
    told = {"type": "text", "text": {"value": "".join(many), "annotations": []}}
    events: list[tuple[str, Any]] = [
        ("thread.run.created", {**_RUN, "status": "queued"}),
        ("thread.run.queued", {**_RUN, "status": "queued"}),
        ("thread.run.in_progress", {**_RUN, "status": "in_progress"}),
        ("thread.message.created", message),
        ("thread.message.in_progress", message),
    ]
    for text in many:
        piece = {"index": 0, "type": "text", "text": {"value": text}}
        delta = {"id": message["id"], "object": "thread.message.delta", "delta": {"content": [piece]}}
        events.append(("thread.message.delta", delta))
    events.append(("thread.message.completed", {**message, "status": "completed", "content": [told]}))
    events.append(("thread.run.completed", {**_RUN, "status": "completed", "usage": _USAGE}))
    return _framed([*(f"event: {kind}\ndata: {_json(e)}" for kind, e in events), "event: done\ndata: [DONE]"])


#: the end of the path -> the stream that is played there
STREAMS = {"/chat/completions": chat, "/responses": responses, "/runs": assistants}


def serve(port: int, count: int, paced: int) -> None:
    at_once = {path: [b"".join(_chunked(stream(count)))] for path, stream in STREAMS.items()}
    one_by_one = {path: _chunked(stream(paced)) for path, stream in STREAMS.items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", "0")))
            path = self.path.split("?")[0]
            played = one_by_one if path.startswith("/paced") else at_once
            stream = next((s for end, s in played.items() if path.endswith(end)), None)
            if stream is None:
                self._document(path)
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in stream:
                self.wfile.write(piece)
                time.sleep(GAP if len(stream) > 1 else 0)

        def do_GET(self) -> None:
            self._document(self.path.split("?")[0])

        def _document(self, path: str) -> None:
            """Whatever is made has an id, and no list has anything in it."""
            noun = path.rstrip("/").rsplit("/", 1)[-1].removesuffix("s")
            made: Any = {"id": f"{noun}_1", "object": noun, "data": [], "has_more": False, "status": "completed"}
            body = _json(made).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    Server(("127.0.0.1", port), Handler).serve_forever()


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client may leave once it has heard the last event."""


def _recorded(name: str) -> list[str]:
    body: str = json.loads((_CASSETTES / f"{name}.json").read_text(encoding="utf-8"))["response_body"]
    return [event for event in body.split("\n\n") if event.strip()]


def _content(chunk: Any) -> str:
    return "".join(c["delta"].get("content") or "" for c in chunk["choices"])


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _framed(events: list[str]) -> list[bytes]:
    return [f"{event}\n\n".encode() for event in events]


def _chunked(events: list[bytes]) -> list[bytes]:
    return [*(b"%x\r\n%b\r\n" % (len(e), e) for e in events), b"0\r\n\r\n"]


if __name__ == "__main__":
    serve(*(int(number) for number in sys.argv[1:]))
