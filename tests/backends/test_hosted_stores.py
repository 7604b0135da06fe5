"""Files and vector stores at an API: as they were recorded there, and what comes of answers that nobody recorded."""

from __future__ import annotations

import email.parser
import email.policy
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from coach_core.backends import Endpoint, build, hosted, line
from coach_core.backends.hosted import Gone, HostedStores
from coach_core.errors import AuthFailed, BackendError, MissingKey, NotAnApi, RateLimited, StreamCut
from tests.backends.fake_api import CASSETTES

KEY = "sk-planted-0123456789abcdef"
Exchange = dict[str, Any]


class Server:
    """Answers each request with the next of `replies` (status, content type, body); the last again and again."""

    def __init__(self, *replies: tuple[int, str, str]) -> None:
        self.replies = list(replies)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def _serve(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                server.seen.append((self.command, self.path, headers, raw))
                status, kind, body = server.replies[min(len(server.seen), len(server.replies)) - 1]
                if not status:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())
                self.wfile.flush()

            do_GET = do_POST = do_DELETE = _serve

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Server, HostedStores]]]:
    monkeypatch.setattr(line, "pause", lambda _: None)
    made: list[tuple[Server, HostedStores]] = []

    def start(*replies: tuple[int, str, str], key: str = KEY) -> tuple[Server, HostedStores]:
        server = Server(*replies)
        backend = build("openai_responses", Endpoint("eu", server.url, key, "m1", {"stores": True}))
        stores = hosted.of(backend)
        assert stores is not None
        made.append((server, stores))
        return made[-1]

    yield start
    for server, stores in made:
        stores.close()
        server.close()


def told(body: Any, status: int = 200) -> tuple[int, str, str]:
    return status, "application/json", json.dumps(body)


def error(status: int, message: str, **more: Any) -> tuple[int, str, str]:
    return told({"error": {"message": message, "type": None, **more}}, status)


def form(headers: dict[str, str], raw: bytes) -> dict[str, tuple[str | None, str, bytes]]:
    """name -> (file name, media type, bytes) of a form's fields."""
    head = f"content-type: {headers['content-type']}\r\n\r\n".encode()
    parts = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + raw).iter_parts()
    return {
        str(p.get_param("name", header="content-disposition")): (
            p.get_filename(),
            p.get_content_type(),
            p.get_payload(decode=True),
        )
        for p in parts
    }


def test_what_was_recorded_is_what_is_sent_and_understood(serve: Any) -> None:
    recorded: list[Exchange] = json.loads((CASSETTES / "hosted_stores.json").read_text())["exchanges"]
    server, stores = serve(*((e["status"], e["content_type"], e["response_body"]) for e in recorded))
    upload, create, attach, delete_file, delete_store = recorded
    sent = form(
        {"content-type": f"multipart/form-data; boundary={upload['request_body'][2:34]}"},
        upload["request_body"].encode(),
    )
    name, media_type, data = sent["file"]
    file_id = stores.upload(str(name), data, media_type)
    assert file_id == json.loads(upload["response_body"])["id"]
    assert form(server.seen[0][2], server.seen[0][3]) == sent

    made = stores.create("test-file-search-with-results", {}, 7)
    assert made.id == json.loads(create["response_body"])["id"] and (made.bytes, made.expires_at) == (0, None)
    assert json.loads(server.seen[1][3]).items() >= json.loads(create["request_body"]).items()
    assert server.seen[1][2]["openai-beta"] == create["openai_beta"]

    stores.attach(made.id, [file_id])
    assert json.loads(server.seen[2][3]) == json.loads(attach["request_body"])
    stores.delete_file(file_id)
    stores.delete(made.id)
    assert [(m, p) for m, p, *_ in server.seen] == [(e["method"], e["path"]) for e in recorded]
    assert delete_file["method"] == delete_store["method"] == "DELETE"


def test_a_file_that_failed_says_why_without_a_secret(serve: Any) -> None:
    files = [
        {"id": "f1", "status": "completed", "usage_bytes": 9, "last_error": None},
        {"id": "f2", "status": "failed", "last_error": {"code": "invalid_file", "message": f"No text, {KEY}."}},
        {"id": "f3", "status": "failed", "last_error": {"code": "server_error", "message": ""}},
        {"id": "f4", "status": "cancelled", "last_error": None},
        {"id": "f5", "status": "in_progress"},
    ]
    _, stores = serve(told({"data": files, "has_more": False}))
    found = stores.files("vs_1")
    assert [(f.status, f.unreadable) for f in found.values()] == [
        ("completed", False), ("failed", True), ("failed", False), ("failed", False), ("in_progress", False)
    ]  # fmt: skip
    assert found["f1"].bytes == 9 and "cannot read this file. It says: No text" in found["f2"].why
    assert KEY not in found["f2"].why and found["f3"].why == f"{stores.host} could not take this file in."


def test_what_is_gone_is_no_error_where_it_was_to_go(serve: Any) -> None:
    _, stores = serve(error(404, "Vector store with id vs_1 not found."))
    assert stores.retrieve("vs_1") is None and stores.find("persona", "p") is None
    stores.delete("vs_1")
    stores.detach("vs_1", "file-1")
    stores.delete_file("file-1")
    for call in (lambda: stores.files("vs_1"), lambda: stores.attach("vs_1", ["file-1"])):
        with pytest.raises(Gone):
            call()
    with pytest.raises(NotAnApi, match="keeps no vector stores"):
        stores.create("x", {}, 30)
    with pytest.raises(NotAnApi, match="takes no files"):
        stores.upload("a.txt", b"a", "text/plain")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(401, f"Incorrect API key provided: {KEY}."), AuthFailed),
        (error(429, "Slow down."), RateLimited),
        ((200, "text/html", "<html>Welcome</html>"), NotAnApi),
        (told([1, 2]), NotAnApi),
        ((200, "application/json", "{"), BackendError),
        (told({"object": "vector_store"}), BackendError),
        ((0, "", ""), StreamCut),
    ],
)
def test_whatever_else_is_answered_is_an_error_with_a_sentence(
    serve: Any, reply: Any, kind: type[BackendError]
) -> None:
    _, stores = serve(reply)
    for call in (
        lambda: stores.create("x", {}, 30),
        lambda: stores.retrieve("vs_1"),
        lambda: stores.upload("a.txt", b"a", "text/plain"),
    ):
        with pytest.raises(kind) as failed:
            call()
        assert failed.value.sentence and KEY not in failed.value.sentence


def test_what_makes_something_is_sent_once_and_what_looks_or_removes_is_tried_again(serve: Any) -> None:
    server, stores = serve(error(500, "Oh."))
    for call, times in (
        (lambda: stores.upload("a.txt", b"a", "text/plain"), 1),
        (lambda: stores.create("x", {}, 30), 1),
        (lambda: stores.attach("vs_1", ["file-1"]), 1),
        (lambda: stores.retrieve("vs_1"), 3),
        (lambda: stores.delete("vs_1"), 3),
    ):
        server.seen.clear()
        with pytest.raises(BackendError):
            call()
        assert len(server.seen) == times


def test_only_where_stores_are_kept_and_a_wire_searches_them() -> None:
    def place(wire: str, **profile: Any) -> HostedStores | None:
        return hosted.of(build(wire, Endpoint("eu", "http://127.0.0.1:9/v1", "", "m1", profile)))

    assert place("openai_responses", stores=True) and not place("openai_responses")
    assert not place("openai_chat", stores=True) and hosted.of(build("scripted", Endpoint(""))) is None
    own = hosted.of(build("openai_responses", Endpoint("default")))
    assert own is not None and own.address == "https://api.openai.com/v1"
    with pytest.raises(MissingKey):
        own.retrieve("vs_1")
