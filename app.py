"""The web server: Streamlit's pages, the health route, the headers, and the Coach's beginning and end.

Started by `python -m coach_core serve`, by `streamlit run app.py` or by `uvicorn app:app` (one worker: two
break uploads), from any folder. Invariant: nothing that a page shows or a model writes can make the
browser load from, or send to, another host.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from streamlit import config, file_util

from coach_core.errors import CoachError
from coach_core.ui import shared

ROOT = Path(__file__).resolve().parent
_log = logging.getLogger("coach_core")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


def _inline_script_hashes() -> str:
    """The hashes of Streamlit's own inline scripts, so that no other inline script runs."""
    html = (Path(file_util.get_static_dir()) / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    return " ".join(f"'sha256-{digest}'" for digest in digests)


CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        # blob: is how Streamlit imports the script of a component; wasm is how it reads tables.
        f"script-src 'self' blob: 'wasm-unsafe-eval' {_inline_script_hashes()}",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data: blob:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), payment=(), usb=()",
}


class SafeHeaders:
    """Adds HEADERS to each answer, and lets fonts and pictures be kept by the browser for a day."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if scope["path"].startswith("/app/static/"):
                    headers["Cache-Control"] = "public, max-age=86400"
            await send(message)

        await self.app(scope, receive, send_with_headers)


async def healthz(_request: Request) -> JSONResponse:
    """200 when the database answers, else 503 with the sentence."""
    try:
        await anyio.to_thread.run_sync(lambda: shared.coach().profiles())
    except CoachError as error:
        return JSONResponse({"status": "error", "error": error.kind, "text": error.sentence}, status_code=503)
    return JSONResponse({"status": "ok"})


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncGenerator[dict[str, Any] | None]:
    try:
        await anyio.to_thread.run_sync(shared.coach)
    except CoachError as error:
        # The pages say the same sentence, and try again each time one is opened.
        _log.error("%s", error.sentence)
    try:
        yield None
    finally:
        shared.close_coach()


def on_script_error(error: Exception) -> bool:
    """What no page expected: the log gets the traceback, the person gets a sentence."""
    if isinstance(error, CoachError):
        shared.show_error(error)
        return True
    _log.error("A page failed", exc_info=error)
    shared.show_error(CoachError())
    return True


if config._main_script_path is None:  # pyright: ignore[reportPrivateUsage]
    # Under uvicorn, Streamlit would look for .streamlit/ beside ui/main.py instead of here.
    config._main_script_path = str(Path(__file__).resolve())  # pyright: ignore[reportPrivateUsage]

app = st.App(
    ROOT / "coach_core" / "ui" / "main.py",
    routes=[
        Route("/healthz", healthz),
        Mount("/app/static", StaticFiles(directory=ROOT / "static"), name="static-files"),
    ],
    middleware=[Middleware(SafeHeaders)],
    lifespan=lifespan,
    on_script_error=on_script_error,
)
