"""What a model writes can be drawn: held against a real Markdown parser on text made to break it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from coach_core.ui import shared
from coach_core.ui.markdown import JOINER, blocks, finished, safe, web_host

PARSER = MarkdownIt("commonmark", {"html": True}).enable("table")
PIECES = [
    *("`", "``", "```", "```\n", "~~~\n", "\n", "\n\n", "    ", "  ", "\t", "- ", "1. ", "> ", "# ", "|", "\n|-|\n"),
    *("![a](http://evil.example/x.png)", "![a](http://e", "[b](javascript:alert)", "[ok](https://ok.example/p)"),
    *('[t](https://u.example "x")', "<img src=http://e/x>", "<div>\n", "<http://auto.example>", "](http://e/y)"),
    *("[r]: http://def.example\n", "![r]", "[r]", "[x][r]", "\\", "$", "$$\n", "[1]", "[2]", "[", "]", "(", ")"),
    *("!", "![", "a", "word ", "http://bare.example/a ", ":red[x]", "[d](data:text/html,x)", "[p](//e.example)"),
]


def tokens(found: Sequence[Token]) -> Iterator[Token]:
    for token in found:
        yield token
        yield from tokens(token.children or [])


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_nothing_but_web_links_and_citations_gets_through(text: str) -> None:
    for token in tokens(PARSER.parse(safe(text, {1}, "m"))):
        assert token.type not in {"image", "html_block", "html_inline"}
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith(("http://", "https://", "#cite-m-1"))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300))
def test_any_text_can_be_made_safe_and_cut(text: str) -> None:
    safe(text, {1, 2}, "m")
    assert 0 <= finished(text) <= len(text)
    assert "".join("".join(blocks(text)).split()) == "".join(text.split())


def test_a_citation_becomes_a_link_and_an_unknown_one_stays_text() -> None:
    assert safe("So [1][3].", {1}, "m") == "So [\\[1\\]](#cite-m-1)\\[3\\]."


def test_a_link_shows_where_it_leads() -> None:
    assert safe("[guide](https://a.example/p)") == "[guide](https://a.example/p) (a.example)"
    assert safe("[a.example](https://a.example/p)") == "[a.example](https://a.example/p)"
    assert safe("[go](javascript:x)") == "go"


def test_pictures_become_words_and_money_no_formula() -> None:
    assert safe("![a cat](http://e.example/c.png)") == "(picture: a cat)"
    assert safe("$5 or $10") == "\\$5 or \\$10"


def test_names_of_icons_stay_names_and_times_stay_as_they_are() -> None:
    for shown in (safe("go :material/home: :smile: :+1: at 10:30:45 now"), shared.escape("go :material/home: :smile:")):
        assert not re.search(r":(material/home|smile|[+]1):", shown.replace("\\", ""))
        assert shown.replace("\\", "").replace(JOINER, "").startswith("go :material/home: :smile:")
    assert JOINER not in safe("at 10:30:45 now") + shared.escape("at 10:30:45: now")


def test_code_stays_code() -> None:
    fence = "```py\nx = a[1](2) < $3\n```"
    assert safe(fence, {1}, "m") == fence


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://a.example/x", "a.example"),
        ("http://127.0.0.1:80/", "127.0.0.1"),
        ("https://good.example@evil.example/", ""),
        ("ftp://a.example", ""),
        ("/settings", ""),
        ("https://[::1", ""),
    ],
)
def test_only_plain_web_addresses_count(url: str, host: str) -> None:
    assert web_host(url) == host


TEXT = "Intro\nmore\n\n1. one\n\n   more of one\n\n2. two\n\n```py\na\n\nb\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nE"


def test_lists_tables_and_fences_stay_whole() -> None:
    assert blocks(TEXT) == [
        "Intro\nmore",
        "1. one\n\n   more of one\n\n2. two",
        "```py\na\n\nb\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "E",
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["1. a\n", "\n", "b\n", "```\n", "- c\n", "  d\n", "12", "longer line "])).map("".join))
def test_what_was_frozen_while_it_grew_is_what_stands_at_the_end(text: str) -> None:
    whole, frozen, start = blocks(text), [], 0
    for end in range(len(text) + 1):
        cut = start + finished(text[start:end])
        frozen += blocks(text[start:cut])
        start = cut
    assert frozen == whole[: len(frozen)]
