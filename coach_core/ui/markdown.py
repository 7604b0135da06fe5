"""A model's Markdown made safe to draw, and cut into blocks that can be drawn one by one.

Invariant: what `safe` returns has no image, no HTML and no link but to http(s), whose host is shown, or to
a citation of the same answer; whatever is not certain to be code is escaped. Only a fence that begins a
line at the left edge counts as certain: everywhere else parsers and this one could disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from urllib.parse import urlsplit

Cite = Callable[[int, int], str]
DOUBT = "The passage may not say this: open it to see why"
_NOWHERE = -1_000_000_000  # within a link's words, where no mark is counted
JOINER = "\u2060"  # invisible; parts "](" where escaping would be seen
#: Streamlit swaps these for pictures after escapes are gone; a time of day is none.
_SHORTCODE = re.compile(r":(?!\d\d?:)(?=[\w+/-]+:)")
_FENCE = re.compile(r" {0,3}(?:(`{3,})[^`\n]*|(~{3,})[^\n]*)$")
_LIST = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)")
_INLINE = re.compile(
    r"""
      (?P<escape>\\[!-/:-@\[-`{-~])
    | (?P<code>(?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`))
    | (?P<link>!?\[(?P<label>(?:[^\[\]\\\n`]|\\[!-/:-@\[-`{-~])*)\]
        \([ ]*<?(?P<url>(?:[^\s()<>\\]|\([^\s()<>\\]*\))+)>?(?:[ ]+(?:"[^"\n]*"|'[^'\n]*'))?[ ]*\))
    | (?P<cite>\[(?P<number>\d{1,3})\](?!\())
    | (?P<colon>:(?!//)(?=[\w:+\-/]*[:\[{]))
    | (?P<special>[<$\[\]`\\]|!(?=\[))
    """,
    re.VERBOSE,
)


def safe(text: str, cited: Collection[int] = (), anchor: str = "", doubted: Collection[int] = ()) -> str:
    """`text` to be drawn by st.markdown. `[n]` with n in `cited` links to #cite-{anchor}-n.

    One that stands at an offset in `doubted` says beside that its passage may not bear it.
    """

    def cite(number: int, at: int) -> str:
        if number not in cited:
            return f"\\[{number}\\]"
        if at in doubted:
            return f'[:orange[\\[{number}\\]]](#cite-{anchor}-{number} "{DOUBT}")'
        return f"[\\[{number}\\]](#cite-{anchor}-{number})"

    out: list[str] = []
    fence = ""
    begin = next_begin = 0
    for line in text.split("\n"):
        begin, next_begin = next_begin, next_begin + len(line) + 1
        mark = _FENCE.match(line)
        opens = mark and (mark[1] or mark[2])
        if fence:
            certain = not fence.startswith(" ")
            out.append(line if certain else _as_code(line))
            if _closes(line, fence.strip()):
                fence = ""
        elif opens:
            fence = (" " if line.startswith(" ") else "") + opens
            out.append(_as_code(line))
        else:
            out.append(_inline(line, cite, begin))
    return "\n".join(out)


def unswapped(text: str) -> str:
    """`text` whose :names: Streamlit leaves as they are: an unseen joiner stands in them."""
    return _SHORTCODE.sub(f":{JOINER}", text)


def _closes(line: str, fence: str) -> bool:
    return re.fullmatch(rf" {{0,3}}{fence}{fence[0]}*[ \t\r]*", line) is not None


def _inline(line: str, cite: Cite, begin: int = _NOWHERE) -> str:
    """One line outside of fences, escaped but for what is meant to be Markdown; `begin` is where it stands."""

    def one(match: re.Match[str]) -> str:
        whole = match.group()
        if match["escape"]:
            return whole
        if match["code"]:
            return _as_code(whole)
        if match["link"]:
            return _link(whole, match["label"], match["url"], cite)
        if match["cite"]:
            return cite(int(match["number"]), begin + match.start())
        return f"\\{whole}{JOINER if match['colon'] and _SHORTCODE.match(line, match.start()) else ''}"

    return _INLINE.sub(one, line)


def _link(whole: str, label: str, url: str, cite: Cite) -> str:
    """A link with its host behind it; without one when it is no web address; an image's words alone."""
    words = _inline(label, cite)
    host = web_host(url)
    if whole.startswith("!"):
        return f"(picture: {words})" if label.strip() else "(picture)"
    if not host:
        return words
    shown = "" if host in label else f" ({_inline(host, cite)})"
    return f"[{words or host}]({url}){shown}"


def web_host(url: str) -> str:
    """The host of an http(s) address, or ""."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    plain = re.fullmatch(r"[\w.\-]+", host) is not None and "@" not in parts.netloc
    return host if parts.scheme in {"http", "https"} and plain else ""


def _as_code(line: str) -> str:
    return line.replace("](", f"]{JOINER}(").replace("]:", f"]{JOINER}:").replace("][", f"]{JOINER}[")


# -- blocks --------------------------------------------------------------------------------------------


def blocks(text: str) -> list[str]:
    """The paragraphs, lists, tables and fences of `text`: drawn one by one they read as drawn at once."""
    return [text[start:end].rstrip("\n") for start, end in _spans(text)]


def placed(text: str) -> list[tuple[int, str]]:
    """The blocks, each with where it begins."""
    return [(start, text[start:end].rstrip("\n")) for start, end in _spans(text)]


def finished(text: str) -> int:
    """Where the last block begins: what stands before it will not change however the text goes on."""
    return max((start for start, _ in _spans(text, growing=True)), default=0)


def _spans(text: str, *, growing: bool = False) -> Iterator[tuple[int, int]]:
    """(start, end) of each block. While it grows, a last line too short to tell what it is decides nothing."""
    start: int | None = None
    at, fence, blank, listing = 0, "", False, False
    for line in text.splitlines(keepends=True):
        bare, here = line.rstrip("\r\n"), at
        at += len(line)
        if fence:
            fence = "" if _closes(bare, fence) else fence
            continue
        if not bare.strip():
            blank = True
            continue
        mark = _FENCE.match(bare)
        sure = not growing or line.endswith("\n") or len(bare) > 6
        goes_on = bare[0] in " \t" or (listing and _LIST.match(bare) is not None) or not sure
        if start is None:
            start, listing = here, _LIST.match(bare) is not None
        elif blank and not goes_on:
            yield start, here
            start, listing = here, _LIST.match(bare) is not None
        blank = False
        if mark and line.endswith("\n"):
            fence = mark[1] or mark[2]
    if start is not None:
        yield start, len(text)
