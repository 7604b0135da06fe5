"""llama-stack in its own Python: `.venv-peer/bin/python tests/peers/serve.py CONFIG PORT`.

Invariant: it lives no longer than who started it, however that ended: the other end of stdin is held there.
"""

from __future__ import annotations

import os
import sys
import threading


def main(config: str, port: str) -> None:
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    from llama_stack.cli.llama import main as llama

    sys.argv = ["llama", "stack", "run", config, "--port", port]
    llama()


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
