"""Pictures of every page of the demonstration: `make screenshots`.

They land in var/screenshots, with an index.html. Pages are found by following links, as owners of
tenants with names in English, German and Japanese, without and with 1,000 subscriptions, as a
viewer, an operator, and without signing in; a subscription is looked at in every state. The few
pictures that README.md shows are drawn anew too.
"""

import argparse
import asyncio
import base64
import hmac
import re
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.screenshots.browser import ARGUMENTS, chromium_path
from tests.screenshots.png import smaller
from tests.support.demonstration import Demonstration, kill
from tests.support.repository import ROOT

OUT = ROOT / "var" / "screenshots"
DOCS = ROOT / "docs"
HEIGHT = 900
AT_ONCE = 4
"""Pages that the browser draws at a time: two cores are busy then."""


class View(NamedTuple):
    """A way to look at a page: `media` is what Chromium is told to emulate besides."""

    name: str
    theme: str
    width: int
    media: dict[str, str]


SCREEN = {"media": "screen", "forced_colors": "none"}
PAPER = View("print", "light", 794, {"media": "print", "forced_colors": "none"})  # A4 at 96 dpi
FORCED = View("forced", "dark", 1280, {"media": "screen", "forced_colors": "active"})
FEW = [View("light-1280", "light", 1280, SCREEN), View("dark-320", "dark", 320, SCREEN)]
VIEWS = [
    *(View(f"light-{width}", "light", width, SCREEN) for width in (320, 768, 1280, 1920)),
    *(View(f"dark-{width}", "dark", width, SCREEN) for width in (320, 1280)),
]
ALSO_PRINTED = re.compile(r"/(subscriptions|logs|identifiers)/")
"""Pages that are looked at on paper and in forced colours too."""


class Person(NamedTuple):
    """Who looks: the email address of the account, where the links begin, and how far they go.

    `views` are the ways to look: few for who sees hardly a page of a kind of its own.
    """

    email: str | None
    begins: list[str]
    most: int
    views: list[View] = VIEWS


PASSWORD = "correct horse battery staple"
PEOPLE = {
    "nobody": Person(
        None, ["/accounts/login/", "/results/revoked/", "/verify/", "/no-such-page/"], 30
    ),
    "owner": Person(
        "owner@contoso.example",
        [
            *(
                "/subscriptions/",
                "/logs/",
                "/identifiers/",
                "/profile/",
                "/accounts/reauthenticate/",
            ),
            *("/tenant/", "/tenant/tokens/", "/tenant/webhooks/", "/tenant/close/"),
        ],
        70,
    ),
    "viewer": Person("viewer@contoso.example", ["/subscriptions/", "/tenant/invite/"], 12, FEW),
    "german": Person("owner@fabrikam.example", ["/subscriptions/", "/tenant/", "/logs/"], 8, FEW),
    "japanese": Person("owner@kitakaze.example", ["/subscriptions/", "/tenant/", "/logs/"], 8, FEW),
    "none": Person(
        "owner@none.example",
        ["/subscriptions/", "/identifiers/", "/logs/", "/tenant/tokens/", "/tenant/webhooks/"],
        5,
        FEW,
    ),
    "thousand": Person(
        "owner@thousand.example",
        ["/subscriptions/", "/identifiers/", "/subscriptions/?page=9"],
        3,
        FEW,
    ),
    "operator": Person("operator@operator.example", ["/admin/"], 45, FEW),
}
ROWS = """
from django.utils import timezone
from portal.tenants.models import Role
from subscriptions.models import Plan, State, Subscription
from tests.support.accounts import make_member
from tests.support.factories import make_tenant

plan = Plan.objects.get(code="isvu-monthly")
for name, count in (("none", 0), ("thousand", 1000)):
    tenant = make_tenant(name=f"Tenant with {name}")
    make_member(tenant=tenant, role=Role.OWNER, email=f"owner@{name}.example")
    Subscription.objects.bulk_create(
        Subscription(
            tenant=tenant,
            plan=plan,
            name=f"Prüfstandsüberwachung Nordrhein-Westfalen {number}",
            labels="production, Villingen-Schwenningen" if number % 7 == 0 else "",
            state=State.PENDING if number % 3 else State.ACTIVE,
            activated_at=None if number % 3 else timezone.now(),
            beneficiary_tenant_id=tenant.pk,
            starts_at=timezone.now(),
        )
        for number in range(count)
    )
"""
"""What makes the tenants without and with 1,000 subscriptions."""
ONCE = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=/)\d+(?=/)|primary|secondary|(?<=/results/)\w+"
)
"""Parts of addresses that name one of many: one page of a kind is enough."""
EVERY = re.compile(r"/subscriptions/[0-9a-f-]+/")
"""Pages of which each is looked at."""
LEFT_OUT = re.compile(
    r"/(static|download|logs/export|logout|public)|\.(csv|zip)|/jsi18n/|/password_change"
)


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


async def sign_in(context: BrowserContext, account: dict[str, Any]) -> None:
    """Sign in as a person would."""
    page = await context.new_page()
    await page.goto("/accounts/login/")
    await page.get_by_label("Email").fill(account["email"])
    await page.get_by_label("Password", exact=True).fill(account["password"])
    await page.get_by_role("button", name="Sign in", exact=True).click()
    if account.get("totp_secret"):
        await page.locator("input[name=code]").fill(code(account["totp_secret"]))
        await page.locator("input[name=code]").press("Enter")
    await page.wait_for_url(lambda url: "/accounts/" not in url)
    await page.close()


async def found(page: Page, person: Person) -> AsyncIterator[tuple[str, str]]:
    """Yield path and heading of every page that links lead to, nearest first."""
    ahead, known = [*person.begins], set(person.begins)
    kinds: set[str] = set()
    taken = 0
    while ahead and taken < person.most:
        path = ahead.pop(0)
        kind = path if EVERY.fullmatch(path) else ONCE.sub("*", path)
        if kind in kinds:
            continue
        kinds.add(kind)
        answer = await page.goto(path, wait_until="domcontentloaded")
        if answer is None or "html" not in answer.headers.get("content-type", ""):
            continue
        taken += 1
        heading = page.locator("h1").first
        yield path, await heading.inner_text() if await heading.count() else path
        for link in await page.eval_on_selector_all("a[href]", "all => all.map((a) => a.href)"):
            parts = urlsplit(urljoin(page.url, link))
            is_ours = parts.netloc == urlsplit(page.url).netloc
            if is_ours and not LEFT_OUT.search(parts.path) and parts.path not in known:
                known.add(parts.path)
                ahead.append(parts.path)


async def show(page: Page, path: str, theme: Any) -> None:
    """Load the page in a theme, on a screen."""
    media: dict[str, Any] = {**SCREEN, "color_scheme": theme}
    await page.emulate_media(**media)
    await page.goto(path)
    await page.evaluate("document.fonts.ready")


def views_of(path: str, person: Person) -> list[View]:
    """Return how a page of a person is looked at."""
    also = [PAPER, FORCED] if person.views is VIEWS and ALSO_PRINTED.match(path) else []
    return sorted([*person.views, *also], key=lambda view: view.theme)


async def take(page: Page, path: str, name: str, views: list[View]) -> None:
    """Write a picture of the page for each of the views, which are in the order of their themes."""
    theme = ""
    for view in views:
        if view.theme != theme:
            theme = view.theme
            await show(page, path, theme)
        media: dict[str, Any] = {**view.media, "color_scheme": theme}
        await page.emulate_media(**media)
        await page.set_viewport_size({"width": view.width, "height": HEIGHT})
        # In one piece: what `full_page` puts together has the same part several times now and then.
        whole = await page.evaluate("document.documentElement.scrollHeight")
        await page.set_viewport_size({"width": view.width, "height": max(whole, HEIGHT)})
        await page.screenshot(path=OUT / f"{name}-{view.name}.jpeg", type="jpeg", quality=85)


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
            files = (f"{name}-{view.name}.jpeg" for view in views_of(path, PEOPLE[person]))
            parts += [f'<a href="{f}"><img loading="lazy" src="{f}" alt="{f}"></a>' for f in files]
            parts.append("</div></section>")
    return "\n".join(parts)


async def draw(
    chromium: Browser, portal: Demonstration, name: str, free: asyncio.Semaphore, *, only_docs: bool
) -> list[tuple[str, str, str]]:
    """Draw every page that the person sees; return path, heading and file name of each."""
    person = PEOPLE[name]
    context = await chromium.new_context(
        base_url=portal.url, locale="en-GB", timezone_id="Europe/Berlin", reduced_motion="reduce"
    )
    if person.email is not None:
        ours = {account["email"]: account for account in portal.accounts}
        made = {"email": person.email, "password": PASSWORD}
        await sign_in(context, ours.get(person.email, made))
    wanted = {shown for shown in COMMITTED if shown.person == name}
    explorer = await context.new_page()
    pages: list[tuple[str, str, str]] = []
    async for path, heading in found(explorer, person):
        pages.append((path, heading, f"{name}-{len(pages):03}"))
        wanted -= await commit(context, name, path, heading)
        if only_docs and not wanted:
            break
    await explorer.close()
    print(f"{name}: {len(pages)} pages", flush=True)

    async def one(path: str, heading: str, file: str) -> None:
        async with free:
            page = await context.new_page()
            await take(page, path, file, views_of(path, person))
            await page.close()
        print(f"{file}  {path}  {heading}", flush=True)

    if not only_docs:
        await asyncio.gather(*(one(*page) for page in pages))
    await context.close()
    return pages


async def commit(context: BrowserContext, person: str, path: str, heading: str) -> set[Shown]:
    """Draw the pictures that README.md shows of this page, and return which they are."""
    drawn = {each for each in COMMITTED if each.person == person and each.title in {heading, path}}
    for shown in drawn:
        page = await context.new_page()
        await show(page, path, shown.theme)
        await page.set_viewport_size({"width": shown.width, "height": HEIGHT})
        picture = await page.screenshot(full_page=shown.width > SMALL)
        (DOCS / shown.file).write_bytes(smaller(picture))
        await page.close()
    return drawn


SMALL = 768
"""Widths up to this are shown as one screen, not as the whole page."""


async def draw_all(portal: Demonstration, people: list[str], *, only_docs: bool) -> dict[str, Any]:
    """Draw what these people see, in one browser."""
    free = asyncio.Semaphore(AT_ONCE)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        names = list(dict.fromkeys(people))
        drawn = await asyncio.gather(
            *(draw(chromium, portal, name, free, only_docs=only_docs) for name in names)
        )
        await chromium.close()
    return dict(zip(names, drawn, strict=True))


def main() -> None:
    """Start a demonstration of its own, and draw it."""
    parser = argparse.ArgumentParser(prog="tests.screenshots")
    parser.add_argument("--only-docs", action="store_true", help="only what README.md shows")
    parser.add_argument("people", nargs="*", metavar="PERSON", help=f"of {', '.join(PEOPLE)}")
    asked = parser.parse_args()
    only_docs, people = asked.only_docs, asked.people or list(PEOPLE)
    if unknown := {*people} - PEOPLE.keys():
        parser.error(f"Nobody is called {', '.join(unknown)}.")
    if only_docs:
        people = [shown.person for shown in COMMITTED]
    OUT.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with TemporaryDirectory() as name:
        portal = Demonstration(Path(name))
        print("Making a demonstration ...", flush=True)
        portal.prepare()
        if not only_docs:  # they would fill the figures that README.md shows
            status, _, err = portal.run("manage.py", "shell", "-c", ROWS)
            if status:
                sys.exit(err)
        process = portal.start("manage.py", "demo")
        for output in (process.stdout, process.stderr):  # a pipe that nobody reads fills up
            assert output is not None
            threading.Thread(target=output.read, daemon=True).start()
        try:
            while not portal.answers("/healthz/ready"):
                if process.poll() is not None or time.monotonic() > begun + 120:
                    sys.exit("The demonstration does not start: try `make run`.")
                time.sleep(0.2)
            pages = asyncio.run(draw_all(portal, people, only_docs=only_docs))
        finally:
            kill(process)
    if not only_docs:
        (OUT / "index.html").write_text(gallery(pages), encoding="utf-8")
        seconds = round(time.monotonic() - begun)
        print(f"{sum(map(len, pages.values()))} pages in {seconds} s: {OUT / 'index.html'}")


if __name__ == "__main__":
    main()
