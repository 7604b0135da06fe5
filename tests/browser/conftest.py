"""The real server on a port and a home of its own, and Chromium to look at it.

`app` is one server for all tests of a file: its scripted backend answers by what the question says (SCRIPT).
`page` is a fresh browser session; a console error, a refused load or a request to another host fails the test.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, expect, sync_playwright

from coach_core.settings import ROOT

expect.set_options(timeout=30_000)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SLOW = " ".join(f"word{n}" for n in range(60)) + " the end"
SCRIPT: dict[str, Any] = {
    "tokens_per_second": 1200,
    "rules": [
        {"match": "very slowly", "steps": [{"text": f"{word} ", "delay": 0.12} for word in SLOW.split()]},
        {"match": "slowly", "steps": [{"text": f"{word} ", "delay": 0.05} for word in SLOW.split()]},
        {"match": "passage", "steps": ["The library says so [1], and also [2]."]},
        {
            "match": "picture",
            "steps": [
                "![x](http://evil.example/p.png) and [here](https://good.example/a) <img src=http://evil.example/q>."
            ],
        },
        {
            "match": "web",
            "steps": [
                "Seven hours",
                {"citation": {"url": "https://health.example/sleep?a=1", "title": "Sleep", "text": "Seven or more."}},
                ". And light matters.",
                {"citation": {"url": "javascript:alert(1)", "title": "Odd"}},
            ],
        },
        {"match": "breaks off", "steps": ["The first half of it. ", {"error": "rate_limited"}]},
        {"match": "^long", "steps": ["{question}\n\n" + "Some words to read. " * 50]},
        {"match": "مرحبا", "steps": ["أهلا بك. ما الذي يشغلك اليوم؟"]},
    ],
    "steps": ["You asked: {question}"],
}


class App:
    """`python -m coach_core serve` with a home of its own; `stop` and `start` keep the port."""

    def __init__(self, home: Path, port: int, **environment: str) -> None:
        self.home, self.port = home, port
        self.url = f"http://127.0.0.1:{port}"
        script = home / "script.json"
        home.mkdir(parents=True, exist_ok=True)
        script.write_text(json.dumps(SCRIPT), encoding="utf-8")
        self._environment = os.environ | {
            "COACH_HOME": str(home),
            "COACH_BACKEND": "scripted",
            "COACH_SCRIPT": str(script),
            "COACH_EMBEDDER": "./nowhere",  # documents are found by their words alone, which is quick
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> None:
        """A command line in this home, beside the server."""
        command = [sys.executable, "-m", "coach_core", *arguments]
        subprocess.run(command, cwd=ROOT, env=self._environment, check=True, capture_output=True)

    def start(self) -> App:
        log = (self.home / "server.log").open("ab")
        command = [sys.executable, "-m", "coach_core", "serve", "--port", str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        until = time.monotonic() + 90
        while True:
            assert self._process.poll() is None, (self.home / "server.log").read_text()
            assert time.monotonic() < until, "the server did not come up"
            try:
                if httpx2.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return self
            except httpx2.HTTPError:
                time.sleep(0.1)

    def stop(self, *, kill: bool = False) -> None:
        if self._process is not None:
            self._process.kill() if kill else self._process.terminate()
            self._process.wait(30)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("served"), free_port()).start()
    yield app
    app.stop()


@pytest.fixture
def own_app(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[App]:
    """A server that this test may stop."""
    app = App(tmp_path / "served", free_port()).start()
    yield app
    app.stop()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine: install the package chromium, or name it in CHROMIUM")
    browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    trouble = watch(page)
    yield page
    assert not trouble


def watch(page: Page) -> list[str]:
    """What goes wrong on a page while it is used."""
    trouble: list[str] = []

    def console(message: Any) -> None:
        # Streamlit looks for its own base path by asking for it below the page's.
        expected = "404" in message.text or "ERR_CONNECTION_REFUSED" in message.text or "WebSocket" in message.text
        if message.type == "error" and not expected:
            trouble.append(message.text)

    def request(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            trouble.append(f"asked for {request.url}")

    page.on("console", console)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", request)
    return trouble


# -- what a person does --------------------------------------------------------------------------------


def open_chat(page: Page, app: App, path: str = "/chat") -> None:
    page.goto(app.url + path)
    expect(field(page)).to_be_enabled()


def field(page: Page) -> Locator:
    return page.get_by_test_id("stChatInputTextArea")


def ask(page: Page, text: str) -> None:
    field(page).fill(text)
    expect(page.get_by_test_id("stChatInputSubmitButton")).to_be_enabled()  # not while a file is on its way
    field(page).press("Enter")


def answers(page: Page) -> Locator:
    return page.locator('[class*="st-key-text-"]')


def finished(page: Page, count: int = 1) -> Locator:
    """The last answer, once `count` answers stand complete with their row of buttons."""
    expect(page.locator('[class*="st-key-again-"]')).to_have_count(count)
    expect(page.locator(".st-key-stop")).to_have_count(0)
    return answers(page).last
