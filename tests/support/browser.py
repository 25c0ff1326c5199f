"""A real browser: Debian's Chromium, driven by Playwright, that forgives nothing."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.conf import settings
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    sync_playwright,
)

from portal.accounts.models import User
from tests.support.accounts import sign_in
from tests.support.chromium import MISSING, PATH, SHELL
from tests.support.server import LivePortal

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    # A page that asks for a foreign host fails its test; nothing leaves this machine either.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
PATIENCE_MS = 10_000


class Watch:
    """Collects what a page must not do: foreign requests, errors, missing files."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.faults: list[str] = []
        self.allowed: list[str] = []

    def allow(self, pattern: str) -> None:
        """Expect a fault whose text the regular expression finds."""
        self.allowed.append(pattern)

    def over(self, context: BrowserContext) -> None:
        """Listen to every page of the context."""
        context.on("request", self._request)
        context.on("response", self._response)
        context.on("console", self._console)
        context.on("weberror", lambda error: self._fault(f"page error: {error.error}"))

    def must_be_clean(self) -> None:
        """Fail the test when something was wrong."""
        if self.faults:
            pytest.fail("The browser saw:\n- " + "\n- ".join(self.faults), pytrace=False)

    def _fault(self, text: str) -> None:
        if not any(re.search(pattern, text) for pattern in self.allowed):
            self.faults.append(text)

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != self.host:
            self._fault(f"request to a foreign host: {request.url}")

    def _response(self, response: Response) -> None:
        # Refusals (403, 404, 422) are answers to a document or a fetch; files must be there.
        is_answer = response.request.resource_type in {"document", "fetch", "xhr"}
        if response.status >= (500 if is_answer else 400):
            self._fault(f"answer {response.status}: {response.url}")

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium reports each answer of 400 and more here too: `_response` judges those.
        is_status = message.text.startswith("Failed to load resource: the server responded")
        if message.type == "error" and not is_status:
            self._fault(f"console: {message.text} ({message.location.get('url', '')})")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if PATH is None:
        pytest.fail(MISSING, pytrace=False)
    arguments = ARGUMENTS if SHELL else (*ARGUMENTS, "--headless=new")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PATH, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def watch(live_portal: LivePortal) -> Watch:
    """Return what sees the faults of this test's pages; `watch.allow(...)` expects one."""
    return Watch(urlsplit(live_portal.url).netloc)


@pytest.fixture
def open_page(
    chromium: Browser, live_portal: LivePortal, watch: Watch
) -> Iterator[Callable[..., Page]]:
    """Return `open_page(javascript=True, colours="light", width=1280, user=None, at=None)`.

    Every call is a browser of its own (cookies); addresses may be given without the host.
    """
    contexts: list[BrowserContext] = []

    def opened(
        *,
        javascript: bool = True,
        colours: Literal["light", "dark"] = "light",
        width: int = 1280,
        user: User | None = None,
        **options: Any,
    ) -> Page:
        at = options.pop("at", None)
        context = chromium.new_context(
            base_url=options.pop("base_url", live_portal.url),
            java_script_enabled=javascript,
            color_scheme=colours,
            viewport={"width": width, "height": 900 if width > 600 else 640},
            reduced_motion="reduce",
            locale="en-US",
            timezone_id=options.pop("timezone_id", "UTC"),
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        watch.over(context)
        if user is not None:
            sign_in_browser(context, user, live_portal.url, at=at)
        return context.new_page()

    yield opened
    for context in contexts:
        context.close()
    watch.must_be_clean()


@pytest.fixture
def page(open_page: Callable[..., Page], request: pytest.FixtureRequest) -> Page:
    """A page for `@pytest.mark.parametrize("page", [{"javascript": False}], indirect=True)`."""
    return open_page(**getattr(request, "param", {}))


def sign_in_browser(context: BrowserContext, user: User, url: str, **options: Any) -> None:
    """Give the browser a session as `sign_in` makes it, without a form and its rate limit."""
    client = sign_in(Client(), user, **options)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": url}])


def axe(page: Page, *, without: tuple[str, ...] = ()) -> None:
    """Fail unless axe-core finds nothing on the page; `without` names rules to leave out.

    Needs a page with JavaScript. Its script comes through the debugger: the page's Content
    Security Policy stays as it is.
    """
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate(
        "options => axe.run(document, options)",
        {
            "resultTypes": ["violations"],
            "rules": {rule: {"enabled": False} for rule in without},
        },
    )["violations"]
    if found:
        lines = [f"axe-core on {page.url}:"]
        for violation in found:
            lines.append(f"- {violation['id']} ({violation['impact']}): {violation['help']}")
            for node in violation["nodes"]:
                why = node["failureSummary"].replace("\n", "\n      ")
                lines.append(f"    {' '.join(map(str, node['target']))}\n      {why}")
        pytest.fail("\n".join(lines), pytrace=False)


def sideways_scroll(page: Page) -> int:
    """Return by how many pixels the page is wider than its window (0 is right)."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
