"""Pictures of every page of the demonstration: `make screenshots`.

They land in var/screenshots, with an index.html. Pages are found by following links, as an
owner, a viewer, an operator, and without signing in; a subscription is looked at in every state.
The few pictures that README.md shows are drawn anew too.
"""

import argparse
import base64
import hmac
import re
import struct
import sys
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Browser, BrowserContext, Page

from tests.screenshots.browser import browser
from tests.screenshots.png import smaller
from tests.support.demonstration import Demonstration, kill
from tests.support.repository import ROOT

OUT = ROOT / "var" / "screenshots"
DOCS = ROOT / "docs"
WIDTHS = (320, 768, 1280, 1920)
HEIGHT = 900
THEMES = ("light", "dark")

PEOPLE = {
    # the email address of the account, and where the links begin
    "nobody": (None, ["/accounts/login/", "/results/revoked/", "/verify/", "/no-such-page/"]),
    "owner": (
        "owner@contoso.example",
        ["/subscriptions/", "/profile/", "/accounts/reauthenticate/"],
    ),
    "viewer": ("viewer@contoso.example", ["/subscriptions/", "/tenant/invite/"]),
    "operator": ("operator@operator.example", ["/admin/"]),
}
ONCE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=/)\d+(?=/)|primary|secondary")
"""Parts of addresses that name one of many: one page of a kind is enough."""
EVERY = re.compile(r"/subscriptions/[0-9a-f-]+/|/results/\w+/")
"""Pages of which each is looked at."""
LEFT_OUT = re.compile(
    r"/(static|download|export|logout|public)|\.(csv|zip)|/jsi18n/|/password_change"
)
MOST = 120
"""Pages for one person."""


class Shown(NamedTuple):
    """A picture that README.md shows; `title` is the heading or the path of its page."""

    file: str
    person: str
    title: str
    width: int
    theme: str


COMMITTED = [
    Shown("screenshot.png", "owner", "Shop analytics", 1280, "light"),
    Shown("screenshot-list.png", "owner", "Subscriptions", 1280, "light"),
    Shown("screenshot-phone.png", "owner", "Shop analytics", 390, "dark"),
    Shown("screenshot-admin.png", "operator", "/admin/", 1280, "light"),
]


def code(secret: str) -> str:
    """Return what an authenticator app shows now (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", int(time.time()) // 30), "sha1")
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 15)
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06}"


def sign_in(context: BrowserContext, account: dict[str, Any]) -> None:
    """Sign in as a person would."""
    page = context.new_page()
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(account["email"])
    page.get_by_label("Password", exact=True).fill(account["password"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    if account.get("totp_secret"):
        page.locator("input[name=code]").fill(code(account["totp_secret"]))
        page.locator("input[name=code]").press("Enter")
    page.wait_for_url(lambda url: "/accounts/" not in url)
    page.close()


def found(page: Page, begins: list[str]) -> Iterator[tuple[str, str]]:
    """Yield path and heading of every page that links lead to, nearest first."""
    ahead, known = [*begins], set(begins)
    kinds: set[str] = set()
    taken = 0
    while ahead and taken < MOST:
        path = ahead.pop(0)
        kind = path if EVERY.fullmatch(path) else ONCE.sub("*", path)
        if kind in kinds:
            continue
        kinds.add(kind)
        answer = page.goto(path)
        if answer is None or "html" not in answer.headers.get("content-type", ""):
            continue
        taken += 1
        yield path, page.locator("h1").first.inner_text() if page.locator("h1").count() else path
        for link in page.eval_on_selector_all("a[href]", "all => all.map((a) => a.href)"):
            parts = urlsplit(urljoin(page.url, link))
            is_ours = parts.netloc == urlsplit(page.url).netloc
            if is_ours and not LEFT_OUT.search(parts.path) and parts.path not in known:
                known.add(parts.path)
                ahead.append(parts.path)


def show(page: Page, path: str, theme: Any) -> None:
    """Load the page in a theme."""
    page.emulate_media(color_scheme=theme)
    page.goto(path)
    page.evaluate("document.fonts.ready")


def take(page: Page, width: int, *, full: bool = True) -> bytes:
    """Return a picture of the page that is shown."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    return page.screenshot(full_page=full)


def gallery(pages: dict[str, list[tuple[str, str, str]]]) -> str:
    """Return index.html: `pages` has path, heading and name of the files, by person."""
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Every page</title><style>',
        "body{font:14px system-ui;margin:1rem}section>div{display:flex;gap:.5rem;overflow-x:auto}",
        "img{height:24rem;border:1px solid #aaa;object-fit:cover;object-position:top}</style>",
    ]
    for person, shown in pages.items():
        parts.append(f"<h1>{escape(person)}: {len(shown)} pages</h1>")
        for path, heading, name in shown:
            parts.append(f"<section><h2>{escape(heading)} <code>{escape(path)}</code></h2><div>")
            files = (f"{name}-{theme}-{width}.png" for theme in THEMES for width in WIDTHS)
            parts += [f'<a href="{f}"><img loading="lazy" src="{f}" alt="{f}"></a>' for f in files]
            parts.append("</div></section>")
    return "\n".join(parts)


def draw(chromium: Browser, portal: Demonstration, person: str, *, only_docs: bool) -> list[Any]:
    """Draw every page that the person sees; return path, heading and file name of each."""
    account, begins = PEOPLE[person]
    context = chromium.new_context(
        base_url=portal.url, locale="en-GB", timezone_id="Europe/Berlin", reduced_motion="reduce"
    )
    if account is not None:
        sign_in(context, next(a for a in portal.accounts if a["email"] == account))
    wanted = [shown for shown in COMMITTED if shown.person == person]
    explorer, page = context.new_page(), context.new_page()
    pages = []
    for number, (path, heading) in enumerate(found(explorer, begins)):
        for shown in [each for each in wanted if each.title in {heading, path}]:
            wanted.remove(shown)
            show(page, path, shown.theme)
            picture = take(page, shown.width, full=shown.width > WIDTHS[1])
            (DOCS / shown.file).write_bytes(smaller(picture))
        if only_docs:
            if not wanted:
                break
            continue
        name = f"{person}-{number:03}"
        for theme in THEMES:
            show(page, path, theme)
            for width in WIDTHS:
                (OUT / f"{name}-{theme}-{width}.png").write_bytes(take(page, width))
        pages.append((path, heading, name))
    context.close()
    return pages


def main() -> None:
    """Start a demonstration of its own, and draw it."""
    parser = argparse.ArgumentParser(prog="tests.screenshots")
    parser.add_argument("--only-docs", action="store_true", help="only what README.md shows")
    only_docs = parser.parse_args().only_docs
    OUT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name, browser() as chromium:
        portal = Demonstration(Path(name))
        process = portal.start("manage.py", "demo")
        try:
            end = time.monotonic() + 120
            while not portal.answers("/healthz/ready"):
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit("The demonstration does not start: try `make run`.")
                time.sleep(0.2)
            people = {shown.person for shown in COMMITTED} if only_docs else PEOPLE
            pages = {who: draw(chromium, portal, who, only_docs=only_docs) for who in people}
        finally:
            kill(process)
    if not only_docs:
        (OUT / "index.html").write_text(gallery(pages), encoding="utf-8")
        print(f"{sum(map(len, pages.values()))} pages: {OUT / 'index.html'}")


if __name__ == "__main__":
    main()
