"""Pictures of every page for the README: `make screenshots`, or `python -m docs.screenshots [PATH ...]`.

A home of its own is filled with the welcome set, the documents given and a few real questions, then the real
server is opened in Chromium. Answers come from whatever backend the settings name; without a key they are
quotes from the documents.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Page, sync_playwright

from coach_core.coach import Coach
from coach_core.errors import CoachError
from coach_core.settings import ROOT, Settings

IMAGES = ROOT / "docs" / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"]
QUESTIONS = {
    "career": "How do I prepare for a job interview?",
    "business": "How do I make a budget?",
    "relationship": "What is active listening?",
    "general": "How can I stop procrastinating?",
    "health": "How much sleep do I need, and what helps me get it?",  # the last one is shown
}
UNKNOWN = ("Where do zebras graze in winter?", "How do I file my taxes in Portugal?")
VIEWS = {
    "knowledge-use": "knowledge?show=Use",
    "knowledge-questions": "knowledge?view=Questions+that+found+nothing",
}
PAGES = ("threads", "knowledge", "personas", "live_metrics", "settings")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m docs.screenshots", description=__doc__)
    parser.add_argument("documents", type=Path, nargs="*", help="more documents to show")
    parser.add_argument("--port", type=int, default=8599)
    chosen = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="screenshots-"))
    try:
        thread = fill(home, chosen.documents)
        with_server(home, chosen.port, thread)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def fill(home: Path, documents: list[Path]) -> str:
    """Take in, ask, rate; the id of the thread to show."""
    coach = Coach.from_settings(Settings.load(home=home), background=False)
    try:
        me, thread = coach.owner(), ""
        if documents:
            shelf = coach.create_collection(me, "Library", "What else the coaches read.")
            files = [f for d in documents for f in ([d] if d.is_file() else sorted(d.rglob("*"))) if f.is_file()]
            for file in files:
                try:
                    coach.ingest(me, shelf.id, file.name, file)
                except CoachError as error:
                    print(f"{file.name}: {error.sentence}", file=sys.stderr)
        coach.embed_now(me)
        for slug, question in QUESTIONS.items():
            made = coach.new_thread(me, coach.persona(me, slug).id)
            turn = coach.start(me, made.id, question)
            for _ in coach.tail(me, turn.id):
                pass
            coach.feedback(me, turn.answer_id, 1)
            thread = str(made.id)
        for question in UNKNOWN:
            asked = coach.new_thread(me, coach.persona(me, "career").id)
            for _ in coach.tail(me, coach.start(me, asked.id, question).id):
                pass
        return thread
    finally:
        coach.close()


def with_server(home: Path, port: int, thread: str) -> None:
    environment = os.environ | {"COACH_HOME": str(home)}
    command = [sys.executable, "-m", "coach_core", "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/healthz")
        take(url, thread)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def take(url: str, thread: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    chromium = next(p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n)))
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=FLAGS)
        for scheme, suffix, width, height in (("light", "", 1440, 900), ("dark", "-dark", 1440, 900)):
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=_scheme(scheme))
            page = context.new_page()
            shoot(page, f"{url}/chat?thread={thread}", f"chat{suffix}")
            for name in PAGES if not suffix else ():
                shoot(page, f"{url}/{name}", name)
            for name, link in VIEWS.items() if not suffix else ():
                shoot(page, f"{url}/{link}", name)
            context.close()
        context = browser.new_context(viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True)
        shoot(context.new_page(), f"{url}/chat?thread={thread}", "chat-phone")
        browser.close()


def shoot(page: Page, url: str, name: str) -> None:
    """Once the script has ended and two pictures in a row are the same."""
    page.goto(url)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=60_000)
    page.evaluate("document.fonts.ready")
    last, until = b"", time.monotonic() + 30
    while time.monotonic() < until:
        page.wait_for_timeout(700)
        picture = page.screenshot()
        if picture == last:
            break
        last = picture
    (IMAGES / f"{name}.png").write_bytes(last)
    print(f"docs/images/{name}.png", file=sys.stderr)


def wait_for(url: str, most: float = 120.0) -> None:
    until = time.monotonic() + most
    while time.monotonic() < until:
        try:
            if httpx2.get(url, timeout=2.0).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def _scheme(name: str) -> Any:
    return name


if __name__ == "__main__":
    main()
