"""The child process that serves a GGUF: `python -m coach_core.backends.local_server`.

Invariant: it lives no longer than its parent. The parent holds the other end of stdin; when that closes,
by a clean stop or by kill -9, this process ends. (PR_SET_PDEATHSIG would fire when the *thread* that
started the child ends, which here is a turn's thread.) The first line of stdin is the order, so that
the key stands neither in arguments nor in the environment; the one line on stdout is the answer.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Any

#: Tokens of a prompt read in one go. In between the server hears that a question was taken back, and the other
#: slot has its turn; with llama.cpp's 2,048 it was deaf for ten seconds. Reading is as fast on a processor.
_BATCH = 128


def main() -> int:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the native code prints goes to the log, not into the answer
    order: Mapping[str, Any] = json.loads(sys.stdin.readline() or "{}")
    if not order:
        return 2
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    try:
        server = _serve(order)
    except Exception as error:  # the native code raises what it likes
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answer, flush=True)
        return 1
    print(json.dumps({"address": server.listening_address}), file=answer, flush=True)
    threading.Event().wait()
    return 0


def _serve(order: Mapping[str, Any]) -> Any:
    xllamacpp: Any = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = order["path"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    params.n_ctx = order["context"]
    params.n_batch = params.n_ubatch = _BATCH
    params.n_parallel = 2
    params.kv_unified = True  # either slot may use the whole context
    params.ui = False
    params.endpoint_slots = False
    params.model_alias = {order["alias"]}
    return xllamacpp.Server(params)


def _end_with_parent(parent: int) -> None:
    """Ends the process at once when stdin closes or another parent has taken over."""
    import select

    while os.getppid() == parent:
        readable, _, _ = select.select([sys.stdin.fileno()], [], [], 1.0)
        if readable and not os.read(sys.stdin.fileno(), 1024):
            break
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
