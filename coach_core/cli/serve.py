"""`serve`: the app in the browser.

Invariant: it listens on this machine only, unless the operator says in so many words that others may come
in: there are no passwords, so whoever reaches the address may act as any profile.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from coach_core.cli import shell
from coach_core.errors import BadSetting

APP = Path(__file__).resolve().parents[2] / "app.py"


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on. [default: COACH_HOST or 127.0.0.1]")] = "",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port. [default: COACH_PORT or 8501]", show_default=False)
    ] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow an address that others can reach. There are no passwords.")
    ] = False,
) -> None:
    """Serve the app in the browser, on this machine. Ctrl-C stops it."""
    settings = shell.load_settings(host=host, port=port)
    if not _loopback(settings.host):
        _let_in(settings.host, allow_remote)
    _free(settings.host, settings.port)
    # The server's process reads the settings again; what was said here must win there too.
    os.environ |= {"COACH_HOST": settings.host, "COACH_PORT": str(settings.port)}
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    shell.say(f"Coach is served at http://{shown}:{settings.port} (Ctrl-C stops it). Data: {settings.home}")
    arguments = {
        "server.address": settings.host,
        "server.port": settings.port,
        "server.headless": "true",
        # The browser turns away what is over this without a word; what is under it and too large gets a sentence.
        "server.maxUploadSize": 4 * settings.upload_mb,
        "logger.level": settings.log_level.lower(),
    }
    os.chdir(APP.parent)  # where Streamlit looks for .streamlit/
    os.execv(
        sys.executable,
        [sys.executable, "-m", "streamlit", "run", str(APP), *(f"--{key}={value}" for key, value in arguments.items())],
    )


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _let_in(host: str, allowed: bool) -> None:
    if not allowed:
        raise BadSetting(
            f"{host} can be reached from other machines, and the app has no passwords: anybody there could act "
            "as the owner. Leave the address out, or say --allow-remote behind a proxy that asks who comes."
        )
    shell.say(
        f"WARNING: listening on {host}. The app has no passwords: whoever reaches this address can read and "
        "change everything as any profile. Put a proxy in front that asks who comes."
    )


def _free(host: str, port: int) -> None:
    """Streamlit itself would only say so in its log."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise BadSetting(
            f"{host}:{port} cannot be listened on ({error.strerror}). Choose another port with --port."
        ) from None
