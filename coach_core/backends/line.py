"""A line to a model's server that lets go at once: every wait of a request watches for cancel and time.

Invariant: inside `watch.held()` no network wait of this thread (name lookup, connect, TLS, headers, body)
and no pause before a retry outlasts `cancel` or the watch's deadline by more than TICK; it ends in
Cancelled or TimedOut, which neither httpx2 nor the SDK catches or retries; nor is more than MOST read.
Outside of it nothing changes.

A watcher thread that closes the socket would not do: close() does not wake a blocked recv, before the
headers there is no response to close, and a thread a stream costs more than a look at an event.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpcore2
import httpx2

from coach_core.backends import Request
from coach_core.errors import FirstTokenTimeout, MalformedStream, TimedOut, TokenTimeout

TICK = 0.1
MOST = 256 * 1024 * 1024  # bytes of one exchange, with all that is tried for it
_here = threading.local()


class Cancelled(Exception):
    """The person stopped the answer. Internal: it never leaves a backend."""


@dataclass(slots=True)
class Watch:
    """The clock of one stream: first token, then between tokens, and the whole. `sent` counts the requests
    for it up to the one that was taken, `served` is the model that the server says answers.
    `put_off` counts those since then that wait to be sent again; `aloud`: somebody can be told of such a wait."""

    request: Request
    cancel: threading.Event
    host: str
    began: float = field(default_factory=time.monotonic)
    sent: int = 0
    taken: int = 0
    put_off: int = 0
    aloud: bool = False
    served: str = ""
    _until: float = 0.0
    _why: TimedOut = field(default_factory=TimedOut)
    _between: TokenTimeout | None = None

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Nothing of the answer has come: the time to the first token counts, from when it was first asked."""
        seconds = self.request.first_token_timeout
        sentence = f"{self.host} did not begin to answer within {seconds:g} s. Try again."
        self._set(self.began + seconds - time.monotonic(), FirstTokenTimeout(sentence))

    def token(self) -> None:
        """Something of the answer has come: from now on the time between tokens counts."""
        if self._between is None:
            seconds = self.request.token_timeout
            sentence = f"{self.host} stopped in the middle of the answer for {seconds:g} s. "
            self._between = TokenTimeout(f"{sentence}What had arrived is kept; press Continue.")
        self._set(self.request.token_timeout, self._between)

    def only_whole(self) -> None:
        """The answer comes in one piece: only the time of the whole counts."""
        self._set(self.request.total_timeout, self._why)

    def look(self) -> float:
        """Seconds left; raises when there are none or when the answer was cancelled."""
        if self.cancel.is_set():
            raise Cancelled
        left = self._until - time.monotonic()
        if left <= 0:
            raise self._why
        return left

    def take(self, size: int) -> None:
        """So many bytes have come. A body without end is read by whoever wants an error's words, and fills memory."""
        self.taken += size
        if self.taken > MOST:
            raise MalformedStream(
                f"{self.host} sent more than any answer has. What had arrived is kept; press Continue."
            )

    def wait(self, seconds: float) -> None:
        """Sleep, unless cancel comes first or the time left is shorter."""
        left = self.look()
        self.cancel.wait(min(seconds, left))
        self.look()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Until the block ends, this thread's waits are watched."""
        before = current()
        _here.watch = self
        try:
            yield
        finally:
            _here.watch = before

    def _set(self, seconds: float, why: TimedOut) -> None:
        whole = self.began + self.request.total_timeout
        self._until = time.monotonic() + seconds
        self._why = why
        if whole <= self._until:
            self._until = whole
            self._why = TimedOut(
                "The answer took longer than it may and was stopped. What had arrived is kept; press Continue."
            )


def current() -> Watch | None:
    return getattr(_here, "watch", None)


def watched(client: httpx2.Client) -> httpx2.Client:
    """`client` with its network, proxies included, watched. httpx2 has no public way to set it."""
    parts: Any = client
    for transport in (parts._transport, *parts._mounts.values()):
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = _Network(pool._network_backend)
    return client


class _Network(httpcore2.NetworkBackend):
    def __init__(self, inner: httpcore2.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        return _Stream(_aside(lambda: self._inner.connect_tcp(*args, **kwargs)))

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        return _Stream(self._inner.connect_unix_socket(*args, **kwargs))

    def sleep(self, seconds: float) -> None:
        pause(seconds)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        watch = current()
        if watch is None:
            return self._inner.read(max_bytes, timeout)
        while True:
            left = watch.look()
            try:
                read = self._inner.read(max_bytes, min(TICK, left))
            except httpcore2.ReadTimeout:
                continue
            watch.take(len(read))
            return read

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        return _Stream(_aside(lambda: self._inner.start_tls(*args, **kwargs)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def pause(seconds: float) -> None:
    watch = current()
    if watch is None:
        time.sleep(seconds)
    else:
        watch.wait(seconds)


def _aside(make: Callable[[], httpcore2.NetworkStream]) -> httpcore2.NetworkStream:
    """`make` in a thread of its own, left behind (and closed once made) when the watch says so."""
    watch = current()
    if watch is None:
        return make()
    done = threading.Event()
    lock = threading.Lock()
    made: list[httpcore2.NetworkStream | BaseException] = []
    left = False

    def run() -> None:
        try:
            result: httpcore2.NetworkStream | BaseException = make()
        except BaseException as error:
            result = error
        with lock:
            made.append(result)
            if left and not isinstance(result, BaseException):
                result.close()
        done.set()

    threading.Thread(target=run, daemon=True, name="connect").start()
    try:
        while not done.wait(min(TICK, watch.look())):
            pass
    except BaseException:
        with lock:
            left = True
            if made and not isinstance(made[0], BaseException):
                made[0].close()
        raise
    if isinstance(made[0], BaseException):
        raise made[0]
    return made[0]
