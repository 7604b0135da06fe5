"""Addresses at which no model API answers: a closed port, a name nobody has, a certificate nobody trusts,
a program that speaks no HTTP. self_signed.pem was made for this and is used for nothing else.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

Place = Literal["a closed port", "no such name", "an untrusted certificate", "no HTTP"]
CERTIFICATE = Path(__file__).with_name("self_signed.pem")


@contextmanager
def nowhere(place: Place) -> Iterator[str]:
    """The base URL of such a place."""
    if place == "no such name":
        yield "http://models.invalid/v1"
    elif place == "a closed port":
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"
    elif place == "no HTTP":
        with _listening(lambda line: line.sendall(b"-ERR unknown command\r\n\r\n")) as port:
            yield f"http://127.0.0.1:{port}/v1"
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        with _listening(lambda line: context.wrap_socket(line, server_side=True).close()) as port:
            yield f"https://127.0.0.1:{port}/v1"


@contextmanager
def _listening(greet: Callable[[socket.socket], object]) -> Iterator[int]:
    def serve() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            with line, suppress(OSError):
                greet(line)
                line.recv(1 << 16)  # so that its end is no reset

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
