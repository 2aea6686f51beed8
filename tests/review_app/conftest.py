"""A real server over a real ledger and store, and a real browser. One of each; every test brings its own project."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from schemas.settings import ROOT, Settings
from schemas.spec import ImageSpec
from storage.database import migrate, open_database
from storage.ledger import Ledger
from storage.objects import Store, open_store
from tests.browser import FLAGS, chromium_path
from tests.review_app.stocked import stock


def without_prefect() -> dict[str, str]:
    """The environment of a machine without a Prefect server; the tests of flows have one open in this process."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}


@dataclass
class House:
    """The review app as a process, on a port of its own."""

    settings: Settings
    ledger: Ledger
    store: Store
    environment: dict[str, str]
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(default_factory=Path)
    folder: Path | None = None
    """Where it is started; this process's, if none is named."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        self.log = self.settings.home / "review.log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "review_app", "--port", str(self.port)],
            env=without_prefect() | {"PYTHONPATH": str(ROOT)} | self.environment,
            cwd=self.folder,
            stdout=self.log.open("ab"),
            stderr=subprocess.STDOUT,
        )
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def a_house(home: Path) -> House:
    home.mkdir(parents=True, exist_ok=True)
    settings = Settings(home=home)
    engine = open_database(settings.database)
    migrate(engine)
    return House(settings, Ledger(engine), open_store(settings), {"DAILIES_HOME": str(home.resolve())})


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = a_house(tmp_path_factory.mktemp("house"))
    made.environment |= {"DAILIES_ROLES": '{"Lea": "lead"}', "DAILIES_ROLES_WITHOUT_SIGN_IN": "true"}
    made.start()
    yield made
    made.kill()
    log = made.log.read_text()
    assert "Traceback" not in log, log


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for one file. Playwright's event loop counts as running in this thread as long as it is open, and
    Prefect, whose tests a worker may run next, then takes every call of its for an asynchronous one."""
    path = chromium_path()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield launched
        launched.close()


Visit = Callable[..., Page]
expect.set_options(timeout=60_000)


@pytest.fixture
def visit(house: House, browser: Browser) -> Iterator[Visit]:
    """visit(path, who="Noor") -> a page of that reviewer's own browser. Errors in the page fail the test."""
    contexts: list[Any] = []
    errors: list[str] = []

    def go(path: str = "", *, who: str = "Noor", at: House | None = None, **options: Any) -> Page:
        url = (at or house).url
        context = browser.new_context(viewport={"width": 1366, "height": 768}, **options)
        contexts.append(context)
        if who:
            context.add_cookies([{"name": "dailies_reviewer", "value": quote(who), "url": url}])
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{url}/{path}")
        return page

    yield go
    for context in contexts:
        context.close()
    assert not errors, errors


@pytest.fixture
def stocked(house: House, request: pytest.FixtureRequest) -> Callable[..., list[ImageSpec]]:
    """stocked(n, ...) -> specs that wait, in a project that is named after the test."""

    def go(images: int = 8, **fields: Any) -> list[ImageSpec]:
        fields = {"project": request.node.name} | fields
        return stock(house.ledger, house.store, images=images, size=96, **fields)

    return go


@pytest.fixture
def inbox(visit: Visit, request: pytest.FixtureRequest) -> Visit:
    """The Inbox of this test's project, its first image painted."""

    def go(who: str = "Noor", **options: Any) -> Page:
        page = visit(f"?project={quote(request.node.name)}", who=who, **options)
        page.wait_for_selector(".stage[data-painted]")
        return page

    return go


def on_screen(page: Page) -> str:
    return str(page.get_attribute(".stage", "data-image"))


def saved(page: Page) -> None:
    """Waits until the server has answered everything."""
    expect(page.locator(".saved")).to_have_text("all saved", timeout=60_000)
