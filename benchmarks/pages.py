"""A browser without a window: speaks Streamlit's wire over a websocket, asks on the chat page, counts bytes.

Invariant: it sends what the browser sends (a rerun with widget states) and counts every byte that the
server sends to the page. What it does not do is paint.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

QUIET = 0.6


@dataclass
class Asked:
    """What one question cost and when it was seen, in seconds from sending it."""

    first_text: float = 0.0
    last_text: float = 0.0
    done: float = 0.0
    bytes: int = 0
    messages: int = 0
    error: str = ""


@dataclass
class Page:
    """One session of the chat page."""

    url: str
    query: str = ""
    socket: ClientConnection | None = None
    input_id: str = ""
    page_hash: str = ""
    received: int = 0
    messages: int = 0
    running: bool = False
    errors: list[str] = field(default_factory=list)

    async def open(self) -> None:
        """Load the page until its script has ended and the input is there."""
        self.socket = await connect(
            f"{self.url}/_stcore/stream",
            subprotocols=["streamlit"],
            max_size=None,
            compression=None,  # type: ignore[list-item]
        )
        await self._rerun({})
        while not (self.input_id and not self.running):
            await self._next(60.0)

    async def ask(self, text: str, expect: str, most: float = 240.0) -> Asked:
        """Send `text` and follow the page until `expect`, the answer's last words, has been shown and the
        script has come to rest."""
        asked, began = Asked(), time.monotonic()
        bytes_before, messages_before = self.received, self.messages
        await self._rerun({self.input_id: text})
        shown = False
        while time.monotonic() - began < most:
            try:
                message = await self._next(QUIET if shown and not self.running else most)
            except TimeoutError:
                break
            words = _texts(message)
            if any("Begin with the hour" in w for w in words) and not asked.first_text:
                asked.first_text = time.monotonic() - began
            if not shown and any(expect in w for w in words):
                shown = True
                asked.last_text = time.monotonic() - began
            asked.done = time.monotonic() - began
        asked.bytes = self.received - bytes_before
        asked.messages = self.messages - messages_before
        asked.error = "; ".join(self.errors) or ("" if shown else "the answer's end was not shown")
        return asked

    async def watch(self, text: str, enough: Callable[[str], bool], most: float = 60.0) -> str:
        """Send `text` and look on until a painted text is `enough`; that text."""
        await self._rerun({self.input_id: text})
        until = time.monotonic() + most
        while time.monotonic() < until:
            for words in _texts(await self._next(most)):
                if enough(words):
                    return words
        raise TimeoutError("the page did not show it")

    async def close(self) -> None:
        if self.socket is not None:
            await self.socket.close()

    async def _rerun(self, widgets: dict[str, str]) -> None:
        assert self.socket is not None
        message = BackMsg()
        client = message.rerun_script
        client.query_string = self.query
        client.page_name = "chat" if self.query and not self.page_hash else ""
        client.page_script_hash = self.page_hash
        for widget, text in widgets.items():
            state = client.widget_states.widgets.add()
            state.id = widget
            state.chat_input_value.data = text
        self.running = True
        await self.socket.send(message.SerializeToString())

    async def _next(self, timeout: float) -> ForwardMsg:
        assert self.socket is not None
        raw = await asyncio.wait_for(self.socket.recv(), timeout)
        assert isinstance(raw, bytes)
        self.received += len(raw)
        self.messages += 1
        message = ForwardMsg()
        message.ParseFromString(raw)
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.running = True
            self.page_hash = message.new_session.page_script_hash
        elif kind == "script_finished":
            self.running = False
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element
            if element.WhichOneof("type") == "chat_input":
                self.input_id = element.chat_input.id
            elif element.WhichOneof("type") == "exception":
                self.errors.append(element.exception.message[:200])
        return message


def _texts(message: ForwardMsg) -> list[str]:
    if message.WhichOneof("type") != "delta" or message.delta.WhichOneof("type") != "new_element":
        return []
    element = message.delta.new_element
    kind = element.WhichOneof("type")
    if kind == "markdown":
        return [element.markdown.body]
    if kind == "html":
        return [element.html.body]
    return []
