"""Files read in a child process: whatever they are, the app and the files after them are well."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from reportlab.pdfgen.canvas import Canvas

from coach_core import errors
from coach_core.knowledge import Knowledge, chunk, extract, loaders
from coach_core.knowledge.extract import Extractor

from .conftest import DATA

ROOT = Path(__file__).resolve().parents[2]
GOOD = ("headers.docx", (DATA / "headers.docx").read_bytes())


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    made = Extractor(seconds=20)
    yield made
    made.close()


def pages(count: int) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    for _ in range(count):
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as status:
        return status.read().rsplit(")", 1)[1].split()[0] != "Z"


def wait_until_gone(pid: int) -> None:
    until = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < until, "the child outlives its parent"
        threading.Event().wait(0.02)


@pytest.mark.parametrize("name", ["headers.docx", "counsel.csv", "budgeting.cnxml", "meditations-2.xhtml"])
def test_a_child_reads_what_would_be_read_here(name: str, extractor: Extractor) -> None:
    data = (DATA / name).read_bytes()
    found = extractor.read(data, name)
    assert found == extract.extract(data, name)
    text, starts = chunk.joined(found.loaded.blocks)
    assert list(found.chunks) == chunk.chunks(found.loaded.blocks, text, starts)


BAD = [
    ("x.docx", b"", errors.EmptyFile),
    ("x.key", b"words", errors.UnsupportedFile),
    ("x.pdf", b"%PDF-1.7 cut", errors.DamagedFile),
    ("x.pdf", b"plain words", errors.MislabelledFile),
    ("x.pdf", pages(1), errors.NoText),
    ("x.pdf", pages(5001), errors.FileTooLarge),
    ("x.json", b"[" * 200_000, errors.DamagedFile),
    ("x.html", b"<div>" * 10_000 + b"words", errors.DamagedFile),
    ("x.xml", b"<a>" * 20_000, errors.DamagedFile),
]


def test_each_bad_file_says_why_and_the_next_is_read(extractor: Extractor) -> None:
    for name, data, error in BAD:
        with pytest.raises(errors.FileError) as raised:
            extractor.read(data, name)
        assert type(raised.value) is error, (name, raised.value.sentence)
        assert raised.value.sentence.endswith(".")
        assert extractor.read(GOOD[1], GOOD[0]).chunks


def slow_kind(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Make the child run `code` instead of reading."""
    worker = (ROOT / "coach_core/knowledge/extract_worker.py").read_text()
    changed = worker.replace(
        '        return extract.told(extract.extract(data, order["name"]))', textwrap.indent(code, " " * 8)
    )
    assert changed != worker
    changed = changed.replace("Path(__file__).resolve().parents[2]", f"Path({str(ROOT)!r})")
    changed = changed.replace("str(Path(__file__).parent)", f"{str(ROOT / 'coach_core/knowledge')!r}")
    folder = Path(os.environ["PYTEST_WORKER_FOLDER"])
    (folder / "worker.py").write_text(changed)
    monkeypatch.setattr(extract, "_WORKER", folder / "worker.py")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_WORKER_FOLDER", str(tmp_path))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        pytest.param("threading.Event().wait()", errors.FileTooSlow, marks=pytest.mark.slow),
        ("while True: pass", errors.FileTooSlow),
        ("bytearray(5_000_000_000)", errors.FileTooLarge),
        ("os.abort()", errors.DamagedFile),
        pytest.param("os._exit(0)", errors.DamagedFile, marks=pytest.mark.slow),
        pytest.param("raise ValueError", errors.DamagedFile, marks=pytest.mark.slow),
    ],
)
def test_a_child_in_trouble_costs_its_file_alone(
    code: str, error: type[errors.FileError], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_kind(monkeypatch, code)
    bounded = Extractor(seconds=3 if error is errors.FileTooSlow else 30)
    monkeypatch.setattr(extract, "_START", 0.0)
    try:
        with pytest.raises(errors.FileError) as raised:
            bounded.read(GOOD[1], GOOD[0])
        assert type(raised.value) is error, raised.value.sentence
        monkeypatch.undo()
        if bounded.pids():  # it goes on after what it could catch, here with the changed worker
            bounded.close()
        assert bounded.read(GOOD[1], GOOD[0]).chunks
    finally:
        bounded.close()


@pytest.mark.slow
def test_children_end_with_close_and_come_again() -> None:
    made = Extractor()
    assert made.pids() == []
    made.read(GOOD[1], GOOD[0])
    (pid,) = made.pids()
    made.read(GOOD[1], GOOD[0])
    assert made.pids() == [pid], "it stays warm"
    made.close()
    wait_until_gone(pid)
    assert made.read(GOOD[1], GOOD[0]).chunks
    made.close()


def test_a_child_that_was_killed_is_replaced(extractor: Extractor) -> None:
    extractor.read(GOOD[1], GOOD[0])
    for pid in extractor.pids():
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)
    assert extractor.read(GOOD[1], GOOD[0]).chunks


@pytest.mark.slow
@pytest.mark.parametrize("busy", [False, True])
def test_children_die_with_a_killed_parent(busy: bool, tmp_path: Path) -> None:
    code = f"""
        import sys, threading
        sys.path.insert(0, {str(ROOT)!r})
        from coach_core.knowledge import extract
        made = extract.Extractor()
        made.read(open({str(DATA / "headers.docx")!r}, "rb").read(), "x.docx")
        if {busy}:
            threading.Thread(target=made.read, args=(b'["' + b'x ' * 12_000_000 + b'"]', "x.json"), daemon=True).start()
            while not made._busy: pass
        print(made.pids()[0], flush=True)
        threading.Event().wait()
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
        wait_until_gone(pid)


def test_a_child_knows_no_keys(extractor: Extractor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    made = Extractor()
    made.read(GOOD[1], GOOD[0])
    with open(f"/proc/{made.pids()[0]}/environ", "rb") as environ:
        assert b"sk-secret" not in environ.read()
    made.close()


def test_two_files_are_read_at_once_and_a_third_waits() -> None:
    made = Extractor()
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(made.read(GOOD[1], GOOD[0]))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 5 and 1 <= len(made.pids()) <= 2
    made.close()


def test_a_little_text_needs_no_child() -> None:
    made = Extractor()
    assert made.read(b"# Rest\n\nSleep well.", "x.md").loaded.title == "Rest"
    assert made.pids() == []


def test_a_bad_file_leaves_nothing_in_the_collection(knowledge: Knowledge) -> None:
    collection = knowledge.create_collection("Files")
    for name, data, error in BAD[:5]:
        with pytest.raises(error):
            knowledge.add(collection.id, name, data)
    document = knowledge.add(collection.id, "../..\\pl\x00an\x1b.docx", GOOD[1])
    assert document.name == "plan.docx"
    assert [d.name for d in knowledge.documents(collection.id)] == ["plan.docx"]
    knowledge.close()


def test_a_bomb_in_any_kind_is_refused(extractor: Extractor) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("word/document.xml", b"0" * 400_000_000)
    with pytest.raises(errors.FileTooLarge):
        extractor.read(out.getvalue(), "x.docx")
    assert loaders.kind_of("x.docx") == "docx"
