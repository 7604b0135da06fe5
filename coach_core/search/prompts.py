"""What a model wants to read before a question and before a passage, by its name.

Invariant: only what a model's own card says; a model that is not named here is given the text alone.
"""

from __future__ import annotations

import re

_FOR_SEARCH = "Represent this sentence for searching relevant passages: "
_TASK = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
#: pattern of the name -> (before a question, before a passage); the first that fits
_KNOWN = (
    (r"e5.*instruct", f"{_TASK} ", ""),
    (r"(?:^|[^a-z0-9])e5(?:[^a-z0-9]|$)", "query: ", "passage: "),
    (r"nomic-embed", "search_query: ", "search_document: "),
    (r"arctic-embed.*(?:v2|2\.0)", "query: ", ""),
    (r"arctic-embed|mxbai-embed|bge-(?:small|base|large)-en|bge_(?:small|base|large)_en", _FOR_SEARCH, ""),
    (r"embedding-?gemma", "task: search result | query: ", "title: none | text: "),
    (r"qwen3-embedding", _TASK, ""),
)


def known(name: str) -> tuple[str, str]:
    """(before a question, before a passage) of the model called `name`."""
    calm = name.lower()
    return next(((query, passage) for pattern, query, passage in _KNOWN if re.search(pattern, calm)), ("", ""))
