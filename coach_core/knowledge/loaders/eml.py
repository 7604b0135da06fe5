"""A saved message: who wrote to whom, what it says, and its attachments by their own loaders.

Invariant: an attachment that cannot be read costs itself alone; no message is opened inside a message
inside a message.
"""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Any, cast

from coach_core.errors import FileError, MislabelledFile
from coach_core.knowledge.loaders import Block, Loaded, dated, readable
from coach_core.knowledge.loaders import load as load_file
from coach_core.knowledge.loaders.html import plain_text
from coach_core.knowledge.loaders.outline import beneath

_TOLD = ("From", "To", "Cc", "Date", "Subject")
_KNOWN = {"from", "to", "date", "subject", "received", "message-id", "mime-version", "return-path"}
_MOST_ATTACHMENTS = 100


def load(data: bytes, name: str, depth: int = 0) -> Loaded:
    message = email.message_from_bytes(data.lstrip(), policy=email.policy.default)
    if not _KNOWN & {str(key).lower() for key in message.keys()}:  # noqa: SIM118
        raise MislabelledFile("The file is called .eml but is not a saved message. Rename it to what it is.")
    sent = dated.read(_header(message, "Date"))
    return Loaded(_header(message, "Subject"), tuple(_message(message, depth)), dated=sent)


def _message(message: EmailMessage, depth: int) -> list[Block]:
    subject = _header(message, "Subject")
    head = "\n".join(f"{key}: {said}" for key in _TOLD if (said := _header(message, key)))
    blocks = [Block(head, subject), *(Block(text, subject) for text in _body(message))]
    for part in list(message.iter_attachments())[:_MOST_ATTACHMENTS] if message.is_multipart() else []:
        blocks += _attachment(part, subject, depth)
    return blocks


def _header(message: EmailMessage, key: str) -> str:
    try:
        return " ".join(str(message.get(key, "")).split())
    except Exception:  # the library raises what it likes on headers that break its grammar
        return ""


def _body(message: EmailMessage) -> list[str]:
    """The plain version, else the words of the other."""
    for kind in ("plain", "html"):
        part: Any = message.get_body(preferencelist=(kind,))
        text = _content(part) if part is not None else ""
        said = plain_text(text) if kind == "html" else text
        if said.strip():
            lines = said.replace("\r\n", "\n").split("\n")
            return [p for p in "\n".join(line.strip() for line in lines).split("\n\n") if p.strip()]
    return []


def _content(part: Any) -> str:
    try:
        return str(part.get_content())
    except (KeyError, LookupError, ValueError):
        return bytes(part.get_payload(decode=True) or b"").decode("utf-8", "replace")


def _attachment(part: EmailMessage, within: str, depth: int) -> list[Block]:
    if part.get_content_type() == "message/rfc822":
        inner: Any = part.get_payload(0)
        return _message(inner, depth + 1) if depth == 0 else []
    called = part.get_filename() or ""
    if not readable(called) or called.lower().endswith((".eml", ".zip")):
        return []
    try:
        loaded = load_file(bytes(cast("bytes", part.get_payload(decode=True)) or b""), called)
    except FileError:
        return []
    return list(beneath(within, loaded))
