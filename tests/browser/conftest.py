"""Fixtures of tests that look at the page with a real browser."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.process.programs import (
    ANY_PORTS,
    SANDBOX,
    STOP_SECONDS,
    Program,
    isolated,
)

CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "open-sesame-open-sesame"
PACKAGE = "marketdata.ingestion.v1"
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000


@dataclass(frozen=True)
class Server:
    """A server with simulated vendors."""

    http: str
    sandbox: str
    program: Program

    @property
    def url(self) -> str:
        return f"http://{self.http}/"

    def call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make a call, as an operator."""
        return posted(
            f"{self.url}{PACKAGE}.{method}", body, Authorization=f"Bearer {TOKEN}"
        )

    def fault(self, vendor: str, fault: str, **options: Any) -> None:
        """Let a simulated vendor fail."""
        posted(f"http://{self.sandbox}/control/{vendor}", {"fault": fault, **options})

    def mend(self) -> None:
        """Let all vendors be well again."""
        posted(f"http://{self.sandbox}/control/reset", {})


def posted(url: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    """Post some JSON, and return what is answered."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(  # noqa: S310
        url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    )
    with opener.open(request, timeout=STOP_SECONDS * 4) as reply:
        text = reply.read()
    return json.loads(text) if text else {}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """
    Keep one browser; each test has a window of its own, with nothing in it.

    It has an event loop running as long as it lives, beside which no other test's can.
    """
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Server]:
    """Serve with simulated vendors, and with an operator."""
    del browser  # without one, nothing need be started
    environment = isolated(tmp_path_factory.mktemp("user"))
    environment |= {
        "INGESTION_HTTP__OPERATOR_TOKEN": TOKEN,
        "INGESTION_PROVIDERS__YAHOO__PLAN": "unmetered",
        "INGESTION_SANDBOX__YAHOO_PER_SECOND": "1000",
    }
    with Program(["serve", *ANY_PORTS, "--sandbox"], environment) as program:
        sandbox = program.line(SANDBOX)[1]
        _, http = program.addresses()
        yield Server(http, sandbox, program)


Open = Callable[..., Page]


def _is_wanted(text: str) -> bool:
    """Return whether it tells of what tests do: refuse calls, and stop servers."""
    return text.startswith(
        (
            "Failed to load resource: the server responded with",
            "Failed to load resource: net::ERR_CONNECTION_REFUSED",
            "Failed to load resource: net::ERR_INCOMPLETE_CHUNKED_ENCODING",
        )
    )


@pytest.fixture
def opened(browser: Browser, server: Server) -> Iterator[Open]:
    """Return what opens the page; whatever it complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(
        *, width: int = 1280, scheme: Any = "light", url: str = server.url
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on(
            "console",
            lambda said: (
                complaints.append(f"{said.type}: {said.text}")
                if said.type in {"error", "warning"} and not _is_wanted(said.text)
                else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                complaints.append(f"asked elsewhere: {request.url}")
                if not request.url.startswith((url, "data:"))
                else None
            ),
        )
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(opened: Open) -> Page:
    """Open the page on a wide screen."""
    return opened()
