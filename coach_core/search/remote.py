"""Models behind an address: one request and what may come of it, and vectors from /v1/embeddings.

Invariant: the key stands in the request's headers and nowhere else: in no repr, no log, no error; what a server
says of itself is never repeated. A question is asked once; passages are asked for again while the server says
that it may help.
"""

from __future__ import annotations

import base64
import binascii
import email.utils
import hashlib
import json
import random
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urldefrag, urlsplit

import numpy as np
from numpy.typing import NDArray

from coach_core.errors import BadSetting
from coach_core.search import prompts
from coach_core.search.breaker import Breaker

F32 = NDArray[np.float32]
_LARGEST = 64_000_000  # bytes of one answer
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_ABOUT_LENGTH = re.compile(r"length|token|too (?:long|large|many|big)|maximum|context|batch|exceed|limit|size", re.I)
_TOO_LONG = re.compile(r"too (?:long|large)", re.I)


@dataclass(frozen=True, slots=True)
class Spec:
    """`where#model?dimensions=512&query=...&passage=...`: `where` is an address, or the name of an endpoint."""

    where: str
    model: str
    dimensions: int = 0
    query: str | None = None
    passage: str | None = None

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Raises BadSetting."""
        where, fragment = urldefrag(text.strip())
        model, _, rest = fragment.partition("?")
        stated = dict(parse_qsl(rest, keep_blank_values=True))
        if unknown := sorted(set(stated) - {"dimensions", "query", "passage"}):
            raise BadSetting(f"After the model's name only dimensions, query and passage are known, not {unknown[0]}.")
        dimensions = stated.get("dimensions") or "0"
        if not dimensions.isdecimal() or int(dimensions) > 16_384:
            raise BadSetting("The dimensions are a whole number up to 16,384; without them the model's own hold.")
        if not where or not model.strip():
            raise BadSetting(
                "A model behind an address is written https://host/v1/embeddings#model, one of an endpoint name#model."
            )
        return cls(where, model.strip(), int(dimensions), stated.get("query"), stated.get("passage"))


@dataclass(frozen=True, slots=True)
class Server:
    """Where a model answers. `what` names it in a sentence; `headers` hold the key."""

    address: str
    what: str = "embedding endpoint"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """host, or host:port."""
        parts = urlsplit(self.address)
        return parts.netloc.rpartition("@")[2]


class Refused(BadSetting):
    """The server did not do what it was asked."""

    def __init__(
        self, sentence: str, status: int = 0, after: float | None = None, *, too_much: bool = False, late: bool = False
    ):
        super().__init__(sentence)
        self.status = status
        self.after = after
        self.again = status in _AGAIN or status == 0
        self.too_much = too_much  # at once; less may do
        self.late = late
        self.other_size = False  # another model answers there now


class Line:
    """Requests to one server, over connections that are kept."""

    def __init__(self, server: Server) -> None:
        import httpx2

        self.server = server
        self._client = httpx2.Client(headers=dict(server.headers), params=dict(server.query))

    def ask(self, body: Mapping[str, Any], timeout: float) -> Any:
        """The answer's JSON. Raises Refused."""
        import httpx2

        until = time.monotonic() + timeout
        try:
            with self._client.stream("POST", self.server.address, json=body, timeout=timeout) as answer:
                parts: list[bytes] = []
                size = 0
                for part in answer.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > _LARGEST or time.monotonic() > until + timeout:
                        raise self._wrong()
        except (httpx2.TimeoutException, TimeoutError):
            raise Refused(f"{self._named} did not answer in time.", late=True) from None
        except httpx2.InvalidURL:
            raise Refused(f"{self._named} has an address that cannot be read.", 1) from None
        except (httpx2.HTTPError, RuntimeError):  # the latter when it was closed meanwhile
            raise Refused(f"{self._named} cannot be reached.") from None
        said = b"".join(parts)
        if answer.status_code != 200:
            raise self._refused(answer.status_code, answer.headers.get("retry-after", ""), said)
        try:
            return json.loads(said)
        except ValueError:
            raise self._wrong() from None

    def close(self) -> None:
        self._client.close()

    @property
    def _named(self) -> str:
        return f"The {self.server.what} at {self.server.place}"

    def _wrong(self) -> Refused:
        return Refused(f"{self._named} does not answer like one. Check its address.", 1)

    def _refused(self, status: int, after: str, said: bytes) -> Refused:
        told = {
            401: "refused the key. Check the key in .env.",
            403: "refused the key. Check the key in .env.",
            404: "knows no such address or model. Check both.",
            429: "asks to wait: too many requests, or the quota is used up.",
        }
        if status in told:
            words = told[status]
        elif 300 <= status < 400:
            words = "points to another address. Write that one."
        elif status >= 500:
            words = f"had an error of its own ({status})."
        else:
            words = f"did not accept the request ({status}). Check the model's name."
        why = said[:4000].decode("utf-8", "replace")
        # llama.cpp: 500, "input (3001 tokens) is too large to process. increase the physical batch size"
        lengthy = _TOO_LONG if status == 500 else _ABOUT_LENGTH
        much = status == 413 or (status in (400, 422, 500) and lengthy.search(why) is not None)
        return Refused(f"{self._named} {words}", status, _seconds(after), too_much=much)


class RemoteEmbedder:
    """Any server that speaks /v1/embeddings."""

    remote = True
    at_once = 256  # passages handed over together
    _TRIES = 5
    _WAIT = (1.0, 60.0)  # seconds before a request is sent again: the first, the longest
    _QUERY, _PASSAGES = 10.0, 60.0  # seconds that a server may take
    _TOKENS = 8000  # of one request, about
    _REMEMBERED = 500

    def __init__(self, server: Server, spec: Spec) -> None:
        query, passage = prompts.known(spec.model)
        self._before = {
            "query": query if spec.query is None else spec.query,
            "passage": passage if spec.passage is None else spec.passage,
        }
        self._line = Line(server)
        self._model = spec.model
        self._asked_dimensions = spec.dimensions
        self._most = 64  # texts of one request; less where the server says so
        self._closed = threading.Event()
        self._known: OrderedDict[str, F32] = OrderedDict()
        self._gate = threading.Lock()
        self.breaker = Breaker()
        self.trouble = ""  # why it did not answer last
        self._heard = 0.0
        self.dim = 0
        self._workers = ThreadPoolExecutor(4, thread_name_prefix="embed-remote")
        self.dim = self._ask(["size"], self._QUERY).shape[1]
        self.name = f"{spec.model}@{server.place}/{self.dim}{_mark(self._before, (query, passage))}"

    def passages(self, texts: Sequence[str]) -> F32:
        before = self._before["passage"]
        batches = self._batches([before + t for t in texts])
        try:
            rows = list(self._workers.map(self._patiently, batches))
        except RuntimeError:
            raise Refused(f"The {self._line.server.what} was closed.", 1) from None
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)

    def query(self, text: str) -> F32:
        calm = text.lower() if text.isupper() else text
        with self._gate:
            if (known := self._known.get(calm)) is not None:
                self._known.move_to_end(calm)
                return known
        if not self.breaker.allows():
            raise Refused(f"The {self._line.server.what} at {self._line.server.place} is left alone for a moment.", 1)
        try:
            vector = self._whole(self._before["query"] + calm, self._QUERY)
        except BadSetting as error:
            self._failed(error)
            raise
        self.breaker.worked()
        self._remember({calm: vector})
        return vector

    def listen(self, older: float = 0.0) -> str:
        """Ask whether it answers, unless it was heard of in the last `older` seconds; the trouble, "" for none."""
        if time.monotonic() - self._heard >= older:
            self._heard = time.monotonic()
            try:
                self._ask(["size"], self._QUERY)
                self.breaker.worked()
            except BadSetting as error:
                self._failed(error)
        return self.trouble

    def _failed(self, error: BadSetting) -> None:
        self.breaker.failed()
        self._heard = time.monotonic()
        if not self._closed.is_set():
            self.trouble = error.sentence

    def remember(self, questions: Sequence[str]) -> None:
        """Ask for these questions in one request; `query` knows them then."""
        vectors = self._patiently([self._before["query"] + q for q in questions])
        self._remember(dict(zip(questions, vectors, strict=True)))

    def close(self) -> None:
        self._closed.set()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._line.close()

    def _remember(self, new: Mapping[str, F32]) -> None:
        with self._gate:
            self._known.update(new)
            while len(self._known) > self._REMEMBERED:
                self._known.popitem(last=False)

    def _batches(self, texts: Sequence[str]) -> list[list[str]]:
        batches: list[list[str]] = []
        size = 0
        for text in texts:
            tokens = _about_tokens(text)
            if not batches or len(batches[-1]) >= self._most or size + tokens > self._TOKENS:
                batches.append([])
                size = 0
            batches[-1].append(text)
            size += tokens
        return batches

    def _patiently(self, texts: list[str]) -> F32:
        """Vectors of `texts`; asked for again where that may help, in smaller parts where they are too many."""
        wait, longest = self._WAIT
        for left in reversed(range(self._TRIES)):
            try:
                return self._ask(texts, self._PASSAGES)
            except Refused as error:
                if error.too_much or (error.late and len(texts) > 1):
                    return self._in_parts(texts)
                if not left or not error.again:
                    self.trouble = error.sentence
                    raise
                rest = min(longest, error.after if error.after is not None else wait * (0.5 + random.random()))
                if self._closed.wait(rest):
                    raise
                wait *= 2
        raise AssertionError

    def _in_parts(self, texts: list[str]) -> F32:
        if len(texts) == 1:
            return self._whole(texts[0], self._PASSAGES)[None]
        half = len(texts) // 2
        self._most = max(1, min(self._most, half))
        return np.concatenate([self._patiently(texts[:half]), self._patiently(texts[half:])])

    def _whole(self, text: str, timeout: float) -> F32:
        """The vector of a text; of one that is too long the mean of its halves'."""
        try:
            return self._ask([text], timeout)[0]
        except Refused as error:
            if not error.too_much or len(text) < 128:
                raise
        half = len(text) // 2
        both = self._whole(text[:half], timeout) + self._whole(text[half:], timeout)
        return both / max(float(np.linalg.norm(both)), 1e-12)

    def _ask(self, texts: list[str], timeout: float) -> F32:
        body: dict[str, Any] = {"model": self._model, "input": texts, "encoding_format": "float"}
        if self._asked_dimensions:
            body["dimensions"] = self._asked_dimensions
        what = f"The embedding endpoint at {self._line.server.place}"
        answer = self._line.ask(body, timeout)
        try:
            items = list(answer["data"])
            places = [int(item.get("index", at)) for at, item in enumerate(items)]
            rows = [_vector(item["embedding"]) for item in items]
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            raise Refused(f"{what} does not answer like /v1/embeddings.", 1) from None
        if sorted(places) != list(range(len(texts))):
            raise Refused(f"{what} answered with a wrong number of vectors.", 1)
        wanted = self.dim or self._asked_dimensions or len(rows[0])
        if any(len(row) != wanted for row in rows) or not wanted:
            told = f"{len(rows[0])} numbers a vector where {wanted} were expected"
            error = Refused(f"{what} answers with {told}. Check the model and its dimensions.", 1)
            error.other_size = bool(self.dim)
            raise error
        vectors = np.zeros((len(texts), wanted), np.float32)
        vectors[places] = rows
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(vectors).all() or not (lengths > 0).all():
            raise Refused(f"{what} answers with vectors that are no numbers.", 1)
        self.trouble, self._heard = "", time.monotonic()
        return (vectors / lengths).astype(np.float32)


def address_of(where: str, operation: str) -> str:
    """The whole address of `operation` ("embeddings", "rerank") below `where`."""
    plain = where.rstrip("/")
    return plain if plain.endswith(f"/{operation}") else f"{plain}/{operation}"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _vector(value: Any) -> F32:
    """Numbers, or float32 in base64, as some servers send them whatever they are asked for."""
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float32)
    row = np.asarray(value, np.float32)
    if row.ndim != 1:
        raise ValueError
    return row


def _mark(before: Mapping[str, str], known: tuple[str, str]) -> str:
    """Vectors of other prefixes are other vectors."""
    stated = (before["query"], before["passage"])
    return "" if stated == known else f"-{hashlib.sha256(repr(stated).encode()).hexdigest()[:6]}"


def _about_tokens(text: str) -> int:
    wide = sum(c > "\u2e80" for c in text)
    return wide + (len(text) - wide) // 3 + 1


def _seconds(after: str) -> float | None:
    """What Retry-After says: seconds, or a date."""
    if after.strip().isdecimal():
        return float(after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(after).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
