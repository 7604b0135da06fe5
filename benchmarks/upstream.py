"""A model API for measuring: the Responses wire on loopback, as fast or slow as the question says.

Run as a process of its own, so that its work is not counted as ours: `python -m benchmarks.upstream PORT`.
A question may hold `chars=N` (length of the answer) and `rate=R` (characters a second; 0: at once).
`GET /last` gives the last request's body and when it had come whole, by the clock that all processes share.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

PIECE = 4  # characters an event, about a token
PARAGRAPH = (
    "Begin with the hour that is already yours and guard it before anything else is promised. Write down the "
    "three things that would make the week a good one, and give each a day and a length. What does not fit is "
    "not late, it is not chosen. At the end look back without blame: what helped, what got in the way, what is "
    "worth keeping?\n\n"
)
END = " Well begun."
last: dict[str, Any] = {}


def answer_of(question: str) -> tuple[str, float]:
    chars = re.search(r"chars=(\d+)", question)
    rate = re.search(r"rate=(\d+)", question)
    length = int(chars[1]) if chars else 40
    text = PARAGRAPH * (length // len(PARAGRAPH) + 1)
    return text[: max(length - len(END), 0)] + END, float(rate[1]) if rate else 0.0


def question_in(body: Any) -> str:
    """The last user text, whichever way the input is written."""
    texts = re.findall(r"(?:chars|rate)=\d+", json.dumps(body.get("input", "")))
    return " ".join(texts[-2:])


async def events(body: Any) -> AsyncIterator[bytes]:
    text, rate = answer_of(question_in(body))
    response: dict[str, Any] = {
        "id": f"resp_{time.monotonic_ns()}",
        "object": "response",
        "created_at": int(time.time()),
        "model": body.get("model", "measured"),
        "status": "in_progress",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    item: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    }
    number = 0

    def sse(kind: str, **fields: Any) -> bytes:
        nonlocal number
        number += 1
        data = json.dumps({"type": kind, "sequence_number": number, **fields})
        return f"event: {kind}\ndata: {data}\n\n".encode()

    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    yield sse("response.created", response=response)
    yield sse("response.output_item.added", output_index=0, item=item)
    yield sse("response.content_part.added", **place, part={"type": "output_text", "text": "", "annotations": []})
    began = time.monotonic()
    for at in range(0, len(text), PIECE):
        if rate and (wait := began + at / rate - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        yield sse("response.output_text.delta", **place, delta=text[at : at + PIECE], logprobs=[])
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {**item, "status": "completed", "content": [part]}
    yield sse("response.output_text.done", **place, text=text, logprobs=[])
    yield sse("response.output_item.done", output_index=0, item=item)
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": len(text) // PIECE,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 100 + len(text) // PIECE,
    }
    yield sse("response.completed", response={**response, "status": "completed", "output": [item], "usage": usage})


async def responses(request: Request) -> Response:
    raw = await request.body()
    came = time.monotonic_ns()
    body = json.loads(raw)
    last.update(body=body, came=came)
    return StreamingResponse(events(body), media_type="text/event-stream")


async def show_last(_request: Request) -> JSONResponse:
    return JSONResponse(last)


app = Starlette(
    routes=[Route("/v1/responses", responses, methods=["POST"]), Route("/last", show_last, methods=["GET"])]
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
