"""What one row of the fault table is made of: a fault, how a server plays it, and what comes of it.

The rows stand in faults_of_http.py and faults_of_streams.py, the whole table in faults.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.backends.fake_api import Piece, Reply
from tests.backends.nowhere import Place
from tests.backends.voices import HEARD, PIECES, TEXT, Frame, Voice, write

WIRES: Mapping[str, str] = {
    "openai_responses": "Responses",
    "openai_chat": "Chat Completions",
    "openai_assistants": "Assistants",
    "local": "Local model",
}
APIS = ("openai_responses", "openai_chat", "openai_assistants")
PAGE = b"<!doctype html>\n<html><title>Welcome</title>\n<p>data: none</p></html>\n"
HASTE = {"first_token_timeout": 0.7, "token_timeout": 0.3}
TWICE = "".join(piece * 2 for piece in PIECES)
Serve = Callable[[Voice], Sequence[Reply]]


@dataclass(frozen=True)
class Outcome:
    """What comes of it: the `error`'s kind, or "" where the answer ends by itself for the reason `finish`; the
    text that is `kept`; how often the question was sent; the `sentence` under the answer ("{host}" is the
    server); the seconds that the error says to `wait`; whether a tool is `called`."""

    error: str = ""
    sentence: str = ""
    kept: str = TEXT
    requests: int = 1
    wait: float | None = None
    finish: str = "stop"
    called: bool = False


@dataclass(frozen=True)
class Fault:
    """`serve` gives the server's replies, one a request and the last again and again, or a place where there
    is no server. `but` holds the wires where something else comes of it; `keeps` is what the run comes to where
    it goes on at the server."""

    name: str
    says: str
    serve: Serve | Place
    outcome: Outcome
    but: Mapping[str, Outcome] = field(default_factory=dict)
    wires: Sequence[str] = tuple(WIRES)
    times: Mapping[str, float] = field(default_factory=dict)
    tools: bool = False
    keeps: Literal["answer", "call", "nothing"] = "answer"

    def on(self, wire: str) -> Outcome:
        return self.but.get(wire, self.outcome)


def ends(requests: int = 1, **fields: Any) -> Outcome:
    return Outcome(requests=requests, **fields)


def fails(error: str, sentence: str, requests: int = 1, kept: str = "", wait: float | None = None) -> Outcome:
    return Outcome(error, sentence, kept, requests, wait, finish="")


# -- what servers do --------------------------------------------------------------------------------


def always(reply: Reply) -> Serve:
    return lambda voice: [reply]


def plays(pieces: Callable[[Voice], Sequence[Piece]], **how: Any) -> Serve:
    return lambda voice: [Reply(pieces(voice), **how)]


def passes(*replies: Reply) -> Serve:
    """Trouble that is over by the next request."""
    return lambda voice: [*replies, Reply(all_of(voice))]


def all_of(voice: Voice) -> list[Piece]:
    return voice.lines(voice.frames, over=True)


def heard(voice: Voice, *then: Piece) -> list[Piece]:
    """The first words, and then what goes wrong."""
    return [*voice.lines(voice.heard), *then]


def amid(*pieces: Piece) -> Serve:
    """What stands between the first words and the rest."""
    return plays(lambda v: heard(v, *pieces, *v.lines([*v.words[HEARD:], *v.end], over=True)))


def body(voice: Voice) -> bytes:
    return b"".join(p for p in all_of(voice) if isinstance(p, bytes))


def half(voice: Voice) -> bytes:
    """The next word's event, but for its last bytes."""
    return write(voice.words[HEARD])[:-9]


def before_each(noise: bytes) -> Serve:
    return plays(lambda v: [part for piece in all_of(v) for part in (noise, piece)])


def slowly(frames: Callable[[Voice], Sequence[Frame]]) -> Serve:
    """Three pauses within: together too long, each of them not."""

    def pieces(voice: Voice) -> Iterator[Piece]:
        for number, piece in enumerate(voice.lines(frames(voice), over=True)):
            yield piece
            if 0 <= number - len(voice.begin) < 3:
                yield "pause"

    return plays(lambda voice: list(pieces(voice)))


def without(value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {k: without(v, names) for k, v in value.items() if k not in names}
    return [without(v, names) for v in value] if isinstance(value, list) else value


def padded(voice: Voice) -> list[Piece]:
    """Every event twice, with padding at random as its vendor adds it."""
    told = [(name, {**value, "obfuscation": f"x{number:04}"}) for number, (name, value) in enumerate(voice.frames)]
    return [piece for frame in told for piece in [write(frame)] * 2]


# -- what people read --------------------------------------------------------------------------------

TRY, GO_ON = "Try again.", "What had arrived is kept; press Continue."
BUSY = "{host} is overloaded. Try again in a moment."
OWN = "{host} had an error of its own."
USED_UP = "{host} says that the quota is used up. Check the plan and billing of the key."
