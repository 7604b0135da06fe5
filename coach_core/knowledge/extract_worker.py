"""The child process that reads files: run as a script by extract.py.

Invariant: it lives no longer than its parent, which holds the other end of stdin: when that closes, by a clean
stop or by kill -9, this process ends at once, whatever it is reading. (PR_SET_PDEATHSIG would fire when the
*thread* that started the child ends.) A file is a line of JSON and its bytes on stdin; the answer is a line with
a length and so many bytes of JSON on stdout, before it lines with a + and how many pages of how many are read.
It never writes a file, and is nice to the app beside it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

_ROOT = Path(__file__).resolve().parents[2]
_NICE = 5
_TELL = 0.4  # seconds between two words of how far a file is


def main() -> int:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what native code prints is no answer
    orders = os.fdopen(os.dup(0), "rb")
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    _prepare()
    while line := orders.readline():
        order: dict[str, Any] = json.loads(line)
        data = orders.read(order["size"])
        if len(data) < order["size"]:
            break
        _pages_told(answers)
        _bound(order["seconds"], order["memory"])
        _answer(answers, _read(data, order))
    return 0


def _prepare() -> None:
    """Import from the checkout, without the package's own __init__: the search and the store are of no use here."""
    sys.path.insert(0, str(_ROOT))
    package = ModuleType("coach_core.knowledge")
    package.__path__ = [str(Path(__file__).parent)]
    sys.modules["coach_core.knowledge"] = package
    if hasattr(os, "nice"):
        os.nice(_NICE)


def _read(data: bytes, order: dict[str, Any]) -> Any:
    """The file's text, or with a `page` in the order that page as a picture."""
    from coach_core.errors import CoachError, DamagedFile
    from coach_core.knowledge import extract, picture

    try:
        if "page" in order:
            return extract.told(picture.picture(data, order["page"], order["text"]))
        return extract.told(extract.extract(data, order["name"]))
    except CoachError as error:
        return extract.told(error)
    except MemoryError:
        return extract.told(extract.too_much())
    except Exception:  # what cuts the text met what it does not expect
        return extract.told(DamagedFile())


def _pages_told(answers: BinaryIO) -> None:
    """Say now and then how many pages are read."""
    import time

    from coach_core.knowledge import loaders

    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _TELL:
            last = time.monotonic()
            answers.write(b"+%d/%d\n" % (done, total))
            answers.flush()

    loaders.on_page = tell


def _answer(answers: BinaryIO, value: Any) -> None:
    said = json.dumps(value).encode()
    answers.write(b"%d\n" % len(said))
    answers.write(said)
    answers.flush()


def _bound(seconds: float, memory: int) -> None:
    """So much more processor time, and so much memory in all."""
    try:
        import resource
    except ImportError:  # not on Windows; the parent's clock holds there
        return
    spent = resource.getrusage(resource.RUSAGE_SELF)
    until = int(spent.ru_utime + spent.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ValueError, OSError):  # macOS knows no such bound
        pass
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with_parent(parent: int) -> None:
    """Ends the process when stdin's other end closes or another parent has taken over."""
    import select
    import time

    poll = select.poll() if hasattr(select, "poll") else None
    if poll is not None:
        poll.register(0, 0)  # of the end alone, not of orders that come
    while os.getppid() == parent:
        if poll is None:
            time.sleep(1.0)
        elif poll.poll(1000):
            break
    _die()


def _die() -> None:
    """With what was started from here."""
    import signal

    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
