"""Real exchanges of the peer, put down for tests that run without it: `python -m tests.peers.record`.

Writes tests/cassettes/llama_stack.jsonl, one exchange a line in the format of the recorded traffic. The
bodies that are sent stand here word by word, so that a change of an adapter does not change the record.
"""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from tests.peers.peer import SMALL_MODEL, TOLD_MODEL, Peer, running
from tests.peers.tap import Exchange
from tests.peers.told import Call

OUT = Path(__file__).resolve().parents[1] / "cassettes" / "llama_stack.jsonl"
TOOLS = [
    {
        "type": "function",
        "name": "look_up",
        "description": "Looks a word up",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
        "strict": False,
    }
]


class Scenes:
    """Each method is one file of the record: what is asked in turn."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        limits = httpx2.Limits(max_keepalive_connections=0)  # the peer drops lines that it has refused something on
        self.client = httpx2.Client(base_url=peer.url, timeout=60.0, limits=limits)

    def ask(self, text: str | list[Any], **fields: Any) -> dict[str, Any]:
        """A streamed response; the last thing its server said."""
        told = [{"role": "user", "content": [{"type": "input_text", "text": text}]}] if isinstance(text, str) else text
        body = {"model": TOLD_MODEL, "input": told, "store": True, "instructions": "Be kind.", "stream": True, **fields}
        return self.post("responses", **body)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """The document that came back, or the last event."""
        said = [line.removeprefix("data:") for line in self.client.post(path, json=body).text.splitlines() if line]
        return json.loads([s for s in said if "[DONE]" not in s][-1])

    def text(self) -> None:
        self.ask("Say hello.", model=SMALL_MODEL, max_output_tokens=16)

    def chat(self) -> None:
        messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Say hello."}]
        body = {"stream": True, "stream_options": {"include_usage": True}}
        self.post("chat/completions", model=SMALL_MODEL, messages=messages, max_tokens=16, **body)
        self.peer.told.says([Call("look_up", {"word": "nap"}), Call("look_up", {"word": "sleep"})])
        tools = [{"type": "function", "function": {k: v for k, v in TOOLS[0].items() if k not in {"type", "strict"}}}]
        asked = [{"role": "user", "content": "What is a nap?"}]
        self.post("chat/completions", model=TOLD_MODEL, messages=asked, tools=tools, **body)
        self.post("chat/completions", model=SMALL_MODEL, messages=[{"role": "user", "content": "word " * 1500}], **body)

    def previous_response(self) -> None:
        self.peer.told.says("Hello Ann.", "Ann.")
        first = self.ask("My name is Ann.")["response"]["id"]
        self.ask("What is my name?", previous_response_id=first)
        self.client.delete(f"responses/{first}")
        self.ask("What was my name?", previous_response_id=first)

    def conversation(self) -> None:
        self.peer.told.says("Hello Ann.", "Ann.")
        kept = self.post("conversations", metadata={"made_by": "coach"})["id"]
        self.ask("My name is Ann.", conversation=kept)
        self.ask("What is my name?", conversation=kept)
        self.client.get(f"conversations/{kept}/items")
        self.client.delete(f"conversations/{kept}")
        self.ask("What was my name?", conversation=kept)
        self.ask("What was my name?", conversation="conv_of_another_server")

    def tools(self) -> None:
        self.peer.told.says([Call("look_up", {"word": "nap"}), Call("look_up", {"word": "sleep"})], "A nap is short.")
        made = self.ask("What is a nap?", tools=TOOLS)["response"]
        calls = [item["call_id"] for item in made["output"]]
        results = [{"type": "function_call_output", "call_id": c, "output": "short"} for c in calls]
        self.ask(results, tools=TOOLS, previous_response_id=made["id"])

    def file_search(self) -> None:
        text = b"# Sleep\nAdults need seven to nine hours of sleep a night.\n"
        sent = {"file": ("sleep.md", text, "text/markdown")}
        file = self.client.post("files", data={"purpose": "assistants"}, files=sent).json()["id"]
        store = self.post("vector_stores", name="persona")["id"]
        self.post(f"vector_stores/{store}/files", file_id=file)
        marked = ["Seven to nine hours ", f"<|{file[:12]}", f"{file[12:]}|>", "."]
        self.peer.told.says([Call("file_search", {"query": "hours of sleep"})], marked)
        include = ["file_search_call.results"]
        self.ask("How long?", tools=[{"type": "file_search", "vector_store_ids": [store]}], include=include)
        self.peer.told.says([Call("file_search", {"query": "hours of sleep"})], "I do not know.")
        self.ask("How long?", tools=[{"type": "file_search", "vector_store_ids": ["vs_gone"]}], include=include)
        self.client.get("vector_stores/vs_gone")

    def refusals(self) -> None:
        self.ask("Hello.", model="nobody/knows")
        self.ask("word " * 1500, model=SMALL_MODEL)
        self.ask("Hello.", store=False, include=["reasoning.encrypted_content"])
        self.ask("Hello.", background=True)


def main() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), port) as peer:
        lines = list(_recorded(peer))
    OUT.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"{len(lines)} exchanges in {OUT}")


def _recorded(peer: Peer) -> Iterator[str]:
    scenes = Scenes(peer)
    for name in [n for n in vars(Scenes) if n not in {"ask", "post"} and not n.startswith("_")]:
        peer.forget()
        getattr(scenes, name)()
        for number, exchange in enumerate(peer.tap.seen):
            yield json.dumps(_line(name, number, exchange), ensure_ascii=False)


def _line(scene: str, number: int, exchange: Exchange) -> dict[str, Any]:
    kind = exchange.headers.get("content-type", "")
    path = exchange.path.split("/")[2]
    return {
        "source": "llama-stack",
        "file": scene,
        "i": number,
        "api": path,
        "method": exchange.method,
        "host": "127.0.0.1",
        "path": exchange.path,
        "openai_beta": None,
        "request_body": exchange.request.decode("utf-8", "replace"),
        "status": exchange.status,
        "response_headers": {"content-type": kind},
        "sse": "event-stream" in kind,
        "response_body": exchange.response.decode("utf-8"),
    }


if __name__ == "__main__":
    main()
