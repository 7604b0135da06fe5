"""Files of recorded traffic, as exchanges: one shape for every spelling of them.

Invariant: nothing that stands in a file is left out silently: what cannot be read comes back as Unreadable
with its file, line and reason. Bodies are text here, unpacked; nothing raises for what a file holds.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_ENDINGS = (".jsonl", ".ndjson", ".json", ".har", ".chunks.txt")
_SSE_FIELDS = ("data:", "event:", "id:", "retry:", ":")
_KEYS = {"requestbody": "request_body", "responsebody": "response_body", "responseheaders": "response_headers",
         "statuscode": "status", "requesturi": "url", "requestmethod": "method"}  # fmt: skip
_OF_THE_LINE = {"content-encoding", "content-length", "transfer-encoding"}  # of what a HAR has unpacked
_STATUS = {"insufficient_quota": 429, "rate_limit_exceeded": 429, "invalid_api_key": 401, "model_not_found": 404}


@dataclass(frozen=True)
class Exchange:
    """One request and its response. `request` is the body as JSON, or None; `asked` is False where the
    recording holds the response alone."""

    file: str
    line: int
    source: str = ""
    group: str = ""
    i: int | None = None
    api: str = ""
    method: str = "POST"
    host: str = ""
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    request: Any = None
    asked: bool = True
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    sse: bool = False


@dataclass(frozen=True)
class Unreadable:
    file: str
    line: int
    why: str


def read(paths: Iterable[Path]) -> Iterator[Exchange | Unreadable]:
    for path in paths:
        if path.is_dir():
            found = [p for p in sorted(path.rglob("*")) if p.is_file() and p.name.endswith(_ENDINGS)]
            if not found:
                yield Unreadable(str(path), 0, "the folder holds no recording (.jsonl, .json, .har, .chunks.txt)")
            for inner in found:
                yield from _file(inner)
        else:
            yield from _file(path)


def why_nothing(path: Path) -> str:
    """Why `path` holds no exchange at all; "" when it holds one."""
    why = ""
    for found in read([path]):
        if isinstance(found, Exchange):
            return ""
        why = why or found.why
    return why or "it is empty"


def _file(path: Path) -> Iterator[Exchange | Unreadable]:
    try:
        data = path.read_bytes()
    except OSError as error:
        yield Unreadable(str(path), 0, error.strerror or str(error))
        return
    try:
        text = (zlib.decompress(data, 47) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig", "replace")
    except zlib.error as error:
        yield Unreadable(str(path), 0, f"damaged gzip ({error})")
        return
    if not text.strip():
        yield Unreadable(str(path), 0, "it is empty")
        return
    if path.name.endswith(".chunks.txt") or text.lstrip().startswith(_SSE_FIELDS):
        yield _stream(path, text)
    elif (whole := _json(text)) is not None:
        yield from _whole(path, whole, text)
    else:
        yield from _lines(path, text)


def _lines(path: Path, text: str) -> Iterator[Exchange | Unreadable]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip("\r \t\ufeff"):
            value = _json(line.strip("\ufeff \t\r"))
            yield _exchange(path, number, value) if value is not None else Unreadable(str(path), number, "no JSON")


def _whole(path: Path, value: Any, text: str) -> Iterator[Exchange | Unreadable]:
    """A file that is one JSON value: a HAR, a list of exchanges, a list of a stream's events, or one response."""
    entries = _entries(value)
    if entries is not None:
        for number, entry in enumerate(entries, 1):
            told = {"source": "har", "file": str(path), "i": number - 1, **entry} if isinstance(entry, dict) else entry
            yield _exchange(path, number, told)
        if not entries:
            yield Unreadable(str(path), 0, "a HAR with no entries")
    elif not isinstance(value, dict | list):
        yield Unreadable(str(path), 1, "no recording: neither an object nor a list")
    elif _is_exchange(value):
        yield _exchange(path, 1, value)
    elif isinstance(value, list) and any(_is_exchange(v) for v in value):
        for number, item in enumerate(value, 1):
            yield _exchange(path, number, item)
    elif isinstance(value, list):
        yield _stream(path, "\n".join(json.dumps(v) for v in value))
    else:
        yield _alone(path, text, False, _status_of(value))


def _entries(value: Any) -> list[Any] | None:
    """The entries of a HAR, which browsers and proxies write."""
    log = value.get("log") if isinstance(value, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    return entries if isinstance(entries, list) else None


def _stream(path: Path, text: str) -> Exchange:
    """A fixture of one stream, one event a line, as it went over the wire."""
    if text.lstrip().startswith(_SSE_FIELDS):
        return _alone(path, text, True, 200)
    events = [line for line in text.splitlines() if line.strip()]
    return _alone(path, "".join(f"data: {event}\n\n" for event in events), True, 200)


def _alone(path: Path, body: str, sse: bool, status: int) -> Exchange:
    kind = "text/event-stream" if sse else "application/json"
    return Exchange(str(path), 1, "fixture", str(path), 0, asked=False, status=status,
                    headers={"content-type": kind}, body=body, sse=sse)  # fmt: skip


def _is_exchange(value: Any) -> bool:
    """Whether it holds a response, and is not one itself."""
    if not isinstance(value, dict) or "object" in value or str(value.get("type", "")).startswith("response."):
        return False
    return any(k.lower().replace("_", "").replace("-", "") in ("responsebody", "response") for k in value)


def _exchange(path: Path, line: int, value: Any) -> Exchange | Unreadable:
    try:
        return _made(path, line, value)
    except (TypeError, ValueError, AttributeError, LookupError, RecursionError) as error:
        return Unreadable(str(path), line, f"no exchange: {type(error).__name__}: {error}")


def _made(path: Path, line: int, value: Any) -> Exchange | Unreadable:
    if not isinstance(value, dict) or not _is_exchange(value):
        return Unreadable(str(path), line, "no exchange: there is no response_body")
    if why := _bare(value):
        return Unreadable(str(path), line, why)
    entry = _flat(_unfolded(value))
    if not isinstance(body := _body(entry.get("response_body")), str):
        return Unreadable(str(path), line, body.why)
    whole_path = str(entry.get("path") or entry.get("url") or entry.get("uri") or "")
    address = urlsplit(whole_path)
    request = _body(entry.get("request_body"))
    sse = _is_sse(body, entry.get("sse"))
    headers = _headers(entry.get("response_headers"))
    headers.setdefault("content-type", "text/event-stream" if sse else "application/json")
    return Exchange(
        str(path),
        line,
        str(entry.get("source") or ""),
        str(entry.get("file") or ""),
        _number(entry.get("i")),
        str(entry.get("api") or ""),
        str(entry.get("method") or ("GET" if request == "" and not body.startswith("data") else "POST")).upper(),
        str(entry.get("host") or address.netloc),
        address.path,
        dict(parse_qsl(address.query, keep_blank_values=True)),
        _whole_letters(_json(request)) if isinstance(request, str) else None,
        bool(request),
        _number(entry.get("status")) or _status_of(_json(body)),
        headers,
        body,
        sse,
    )


def _content(value: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The response's content where `value` is an entry of a HAR."""
    response = value.get("response")
    content = response.get("content") if isinstance(response, dict) and "body" not in response else None
    return content if isinstance(content, dict) else None


def _bare(value: Mapping[str, Any]) -> str:
    """Why an entry of a HAR holds no answer, if so."""
    content = _content(value)
    if content is None or content.get("text"):
        return ""
    if not value["response"].get("status"):
        return "there was no response"
    return "the HAR was saved without the response's content" if (_number(content.get("size")) or 0) > 0 else ""


def _unfolded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """An entry of a HAR with its bodies where they are looked for; anything else as it is."""
    content = _content(value)
    if content is None:
        return value
    text = str(content.get("text") or "")
    if content.get("encoding") == "base64":
        data = base64.b64decode(text)
        text = data.decode("latin-1" if data[:2] == b"\x1f\x8b" else "utf-8-sig", "replace")
    headers = {k: v for k, v in _headers(value["response"].get("headers")).items() if k not in _OF_THE_LINE}
    request = value.get("request")
    asked = dict(request) if isinstance(request, dict) else {}
    posted = asked.get("postData")
    asked["body"] = posted.get("text") if isinstance(posted, dict) else None
    return {**value, "request": asked, "response": {**value["response"], "body": text, "headers": headers}}


def _flat(value: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of the format, also where request and response are objects of their own."""
    request, response = value.get("request"), value.get("response")
    out = {_KEYS.get(k.lower().replace("-", "").replace("_", ""), k): v for k, v in value.items()}
    if isinstance(request, dict):
        out |= {k: v for k, v in request.items() if k not in out} | {"request_body": request.get("body")}
    if isinstance(response, dict):
        status = response.get("status") or response.get("status_code")
        out |= {"status": status.get("code") if isinstance(status, dict) else status}
        out |= {"response_body": response.get("body"), "response_headers": response.get("headers")}
    return out


def _headers(value: Any) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else value if isinstance(value, list) else ()
    out: dict[str, str] = {}
    for pair in pairs:
        if isinstance(pair, dict):
            name, text = pair.get("name"), pair.get("value")
        elif isinstance(pair, list | tuple) and len(pair) == 2:
            name, text = pair
        else:
            continue
        text = text[0] if isinstance(text, list) and text else text
        if isinstance(text, str | int | float):
            out[str(name).lower()] = str(text)
    return out


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _status_of(value: Any) -> int:
    """The status of a response whose recording does not tell it."""
    error = value.get("error") if isinstance(value, dict) and not value.get("object") else None
    if not error:
        return 200
    code = str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""
    return _STATUS.get(code, 400)


def _body(value: Any) -> str | Unreadable:
    """A body as text: given as such, as JSON, as base64, packed or not."""
    match value:
        case None:
            return ""
        case str():
            return _text(value)
        case {"string": inner} | {"text": inner} | {"base64": inner} | {"base64_string": inner} if len(value) <= 2:
            return _body(inner)
        case [str(), *_]:  # lines of a text, with or without their ends
            return _text(("" if value[0].endswith("\n") else "\n").join(str(v) for v in value))
        case [{"type": str()} | {"choices": _}, *_] | [{"data": _}, *_]:
            return "".join(f"data: {json.dumps(v.get('data', v) if isinstance(v, dict) else v)}\n\n" for v in value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def _text(value: str) -> str | Unreadable:
    if value[:2] == "\x1f\x8b":
        return _unpacked(value.encode("latin-1", "replace"))
    head = value.lstrip("\ufeff \t\r\n")[:1]
    if len(value) < 8 or head in {"{", "[", "<", "", '"', ":"} or value.lstrip("\ufeff\r\n ").startswith(_SSE_FIELDS):
        return value.removeprefix("\ufeff")
    try:
        data = base64.b64decode("".join(value.split()), validate=True)
    except (ValueError, binascii.Error):
        return value
    if data[:2] == b"\x1f\x8b":
        return _unpacked(data)
    if data.lstrip()[:1] in {b"{", b"[", b"<", b":"} or data.lstrip().startswith((b"data:", b"event:", b"id:")):
        return data.decode("utf-8-sig", "replace")
    return value


def _unpacked(data: bytes) -> str | Unreadable:
    try:
        return zlib.decompressobj(47).decompress(data).decode("utf-8-sig", "replace")
    except zlib.error as error:
        return Unreadable("", 0, f"the body is damaged gzip ({error})")


def _is_sse(body: str, told: Any) -> bool:
    head = body.lstrip("\ufeff \t\r\n")
    if head.startswith(_SSE_FIELDS):
        return True
    return bool(told) and head[:1] not in {"{", "[", "<"}


def _whole_letters(value: Any) -> Any:
    """`value` without halves of surrogate pairs, which the app replaces before it stores or sends a text."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
