"""Keeps what is meant for machines from a person: raw JSON, the syntax of tools, the instructions themselves.

Invariant: whether a text leaks depends on the text alone, not on the pieces it comes in. What was passed on and
what is still held are the text so far; ordinary prose is passed on at once. Data that was asked for (`asked`)
and marks that the person wrote are let through, syntax of a tool in a fence too where code was asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Literal

Leak = Literal["json", "tool", "prompt"]
HOLD_SECONDS = 1.5
HOLD_CHARACTERS = 200

#: What a model writes when it calls a tool in its text, or what its template leaves there. Every alternative ends
#: in one of _ENDS, so that a text is looked at again only when one of these has come.
_SYNTAX = re.compile(
    r"</?(?:tool_?calls?|tool_use|function_?calls?|antml:function_calls|tool_response|tools?_?result)\b[^<>\n]{0,80}>"
    r"|<(?:antml:)?(?:invoke|parameter)\s+name\s*=\s*[\"'][^\"'<>\n]{1,80}[\"']\s*>"
    r"|<function\s*=\s*[\"']?[\w.\-]{1,80}[\"']?\s{0,4}[>{]"
    r"|\[/?(?:TOOL_CALLS?|TOOL_RESULTS?|AVAILABLE_TOOLS)\]"
    r"|<\|(?:python_tag|channel|message|start|end|call|return|constrain|recipient|im_start|im_end|eom_id|eot_id"
    r"|start_header_id|tool_?calls?(?:_section)?(?:_begin|_end)?|tool_response|plugin|interpreter|action_start)\|>"
    r"|<[|｜]\s*(?:DSML|tool▁\w{1,40}(?:▁\w{1,20}){0,3}|begin▁of▁sentence|end▁of▁sentence|User|Assistant)\s*[|｜]>?"
    r"|\bto=functions\.\w{1,60}[\s<]{0,8}(?:<\|)?[\w|\s]{0,30}[>{:(]"
    r"|\bfunctions\.\w{1,60}(?::\d{1,4})?\s{0,4}\(\s{0,4}\{"
    r"|^[ \t]{0,8}Action\s?:[ \t]*[^\n]{1,120}\n\s{0,8}Action[ _]Input\s?:"
    r"|[\"'](?:name|tool|function|tool_name|action|recipient_name)[\"']\s{0,8}:\s{0,8}[\"'][\w.\-:/ ]{1,80}[\"']"
    r"\s{0,8},\s{0,8}[\"'](?:arguments|parameters|args|tool_input|action_input|input)[\"']\s{0,8}:"
    r"|[\"'](?:arguments|parameters|args|tool_input|action_input)[\"']\s{0,8}:\s{0,8}\{[^{}]{0,200}\}\s{0,8},\s{0,8}"
    r"[\"'](?:name|tool|function|tool_name|action)[\"']\s{0,8}:"
    r"|[\"'](?:tool_calls|function_call|tool_uses)[\"']\s{0,8}:",
    re.MULTILINE,
)
_ENDS = re.compile(r"[>\]:{(=|｜]")
_LOOK_BACK = 700  # no alternative is longer
#: A line that begins an object: raw JSON in an answer that was to be read.
_OBJECT = re.compile(r"^[ \t]{0,12}\[?\s{0,8}\{\s{0,12}([\"'])([^\"'\n]{1,80})\1\s{0,8}:", re.MULTILINE)
#: What a text that ends here may go on to be; it is held for so long.
_MAY_BECOME = re.compile(
    r"(?:<[|｜/]?[\w▁|｜:=. \"'-]{0,60}|\[/?[A-Z_]{0,16}"
    r"|(?:^|\n)[ \t]{0,8}[\[{][\s{]{0,12}(?:\"[^\"\n]{0,80}\"?\s{0,8})?"
    r"|(?:^|\n)[ \t]{0,8}Act(?:ion?)?|(?:^|\n)[ \t]{0,8}Action\s?(?::[^\n]{0,120}(?:\n[^\n]{0,20})?)?"
    r"|\bfunctions(?:\.[\w:]{0,60}\s{0,4}\(?\s{0,4})?|\bto=[\w.]{0,60})$"
)
_FENCE = re.compile(r"```[^\n`]{0,40}\n?")
#: What a whole answer of data, or of a call in a fence, begins with, as far as it has come.
_OPENING = re.compile(
    r"(?:`{1,2}|```(?:j(?:s(?:on?)?)?|t(?:o(?:o(?:l\w{0,6})?)?)?|x(?:ml?)?)?)?\Z"
    r"|(?:```(?:json|tool\w{0,6}|xml)?\s+)?(?:\Z|[{\[]\s*(?:[\"'{}\[\]]|\Z))"
)
#: Words by which a person asks for data or code, in the languages of the app.
_ASKS = re.compile(
    r"\b(?:jsonl?|yaml|xml|html|csv|python|javascript|typescript|sql|regex|api|payload|(?:function|tool) calls?|"
    r"(?<!dress )(?<!zip )(?<!post )code(?! of)|c[oó]digo|quelltext|quellcode|funktionsaufruf)\b"
    r"|代码|代碼|编程|كود|شيفرة|برمج",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“„«「](?:[^\"“”„«»「」]{8,400})[\"”“»」]")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
#: (characters of a piece of the instructions that is looked for, how far apart such pieces begin)
_PIECES = {False: (90, 15), True: (28, 4)}


#: Keys that an object which is a call begins with.
_CALLS = frozenset(
    {"name", "tool", "function", "tool_name", "action", "arguments", "parameters", "tool_calls", "function_call"}
)


class Leaked(Exception):
    """The text so far is no answer. `shown`: some of it was passed on."""

    def __init__(self, kind: Leak, shown: bool, text: str) -> None:
        super().__init__(kind)
        self.kind: Leak = kind
        self.shown, self.text = shown, text


class Instructions:
    """What a model was told and must not repeat, to be found again in a text; quotations in it may be said.

    `known` is what the person has or may be shown: the question, the passages.
    """

    def __init__(self, told: str, known: Iterable[str] = ()) -> None:
        plain = _plain(_QUOTED.sub(" … ", told))
        wide = len(_WIDE.findall(plain)) > len(plain) / 4
        self.size, step = _PIECES[wide]
        pieces = (plain[i : i + self.size] for i in range(0, max(0, len(plain) - self.size + 1), step))
        self._pieces = frozenset(p for p in pieces if "…" not in p)
        self._known = tuple(known)

    def within(self, plain: str) -> bool:
        """Whether a long piece of the instructions stands word for word in a text of letters and digits."""
        size = self.size
        found = (plain[i : i + size] for i in range(len(plain) - size + 1)) if self._pieces else ()
        return any(piece in self._pieces and piece not in self._may for piece in found)

    @cached_property
    def _may(self) -> str:
        return _plain(" ".join(self._known))


class Guard:
    """Takes an answer's text in pieces and gives back what may be shown; raises Leaked.

    `begun`: the text goes on from something, so that it begins in the middle. `asked` is what the person
    wrote: what asks for data or code gets it.
    """

    def __init__(self, instructions: Instructions, asked: str = "", *, begun: bool = False) -> None:
        self._instructions = instructions
        self._marks = asked
        self._data = bool(_ASKS.search(asked))
        self._begun = begun
        self._text = self._held = ""
        self._plain = ""  # the last of the text, as the instructions are compared with it
        self._shown = False

    @property
    def holds(self) -> bool:
        return bool(self._held)

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        looked = len(self._text)
        self._text += piece
        self._held += piece
        self._check(piece, looked)
        keep = self._kept_back()
        return self._pass(len(self._held) - keep)

    def release(self) -> str:
        """What is held, for it was held long enough; it may still be taken back."""
        return self._pass(len(self._held))

    def end(self) -> str:
        """The text is whole: what is still held, if it is no leak."""
        if self._is_data(self._text):
            raise self._leaked("json")
        return self.release()

    def _pass(self, count: int) -> str:
        shown, self._held = self._held[:count], self._held[count:]
        self._shown = self._shown or bool(shown.strip())
        return shown

    def _check(self, piece: str, looked: int) -> None:
        if _ENDS.search(piece):
            since = max(0, looked - _LOOK_BACK)
            found: list[tuple[int, Leak]] = [
                (m.end(), _kind(m)) for m in _OBJECT.finditer(self._text, since) if self._raw(m)
            ]
            for match in _SYNTAX.finditer(self._text, since):
                if not self._may_stand(match):
                    found.append((match.end(), "tool"))
            if found:
                raise self._leaked(min(found)[1])
        self._plain = self._plain[-self._instructions.size :] + _plain(piece)
        if self._instructions.within(self._plain):
            raise self._leaked("prompt")

    def _may_stand(self, found: re.Match[str]) -> bool:
        """Whether syntax of a tool is what the person asked about."""
        mark = found.group().strip()
        if mark in self._marks:
            return True
        return self._data and (self._fenced(found.start()) or self._in_code(found.start()))

    def _raw(self, found: re.Match[str]) -> bool:
        """Whether an object that begins a line was to be prose."""
        return not self._data and not self._fenced(found.start()) and (found.start() > 0 or not self._begun)

    def _fenced(self, place: int) -> bool:
        return self._text.count("```", 0, place) % 2 == 1

    def _in_code(self, place: int) -> bool:
        line = self._text.rfind("\n", 0, place) + 1
        return self._text.count("`", line, place) % 2 == 1

    def _is_data(self, text: str) -> bool:
        """Whether the whole text is data: JSON alone, bare or in one fence."""
        if self._data or self._begun:
            return False
        text = text.strip()
        if text.startswith("```") and text.endswith("```") and text.count("```") == 2:
            text = _FENCE.sub("", text, count=1).removesuffix("```").strip()
        if text[:1] not in {"{", "["}:
            return False
        try:
            value: Any = json.loads(text)
        except ValueError:
            return False
        return isinstance(value, dict) or (isinstance(value, list) and not _only_numbers(value))

    def _kept_back(self) -> int:
        """How many characters at the end of what is held must wait."""
        whole = self._text.strip()
        fresh = not (self._begun or self._data or self._shown)
        if fresh and whole and len(whole) < HOLD_CHARACTERS and _OPENING.match(whole):
            return len(self._held)
        tail = self._held[-HOLD_CHARACTERS:]
        found = _MAY_BECOME.search(tail)
        return len(tail) - found.start() if found else 0

    def _leaked(self, kind: Leak) -> Leaked:
        return Leaked(kind, self._shown, self._text)


def _kind(found: re.Match[str]) -> Leak:
    return "tool" if found[2] in _CALLS else "json"


def _plain(text: str) -> str:
    """Letters and digits in lower case: what is left of a text however it is set."""
    return "".join(c for c in text.casefold() if c.isalnum() or c == "…")


def _only_numbers(value: Sequence[Any]) -> bool:
    return bool(value) and all(isinstance(v, int | float) for v in value)
