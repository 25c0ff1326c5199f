"""Pictures of every page of the demonstration: `make screenshots`.

They land in var/screenshots, with an index.html. Pages are found by following links, as owners of
tenants with names in English, German and Japanese, without and with 1,000 subscriptions, as a
viewer, an operator, and without signing in; a subscription is looked at in every state. Besides,
there are the links of mails, the pages of errors, and what opens when something is pressed. The few
pictures that README.md shows are drawn first, of the demonstration as it is.
"""

import argparse
import asyncio
import base64
import hmac
import json
import re
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable
from functools import partial
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from playwright.async_api import Browser, BrowserContext, Error, Page, Route, async_playwright

from tests.screenshots.browser import ARGUMENTS, chromium_path
from tests.screenshots.png import smaller
from tests.support.demonstration import Demonstration, kill
from tests.support.repository import ROOT

OUT = ROOT / "var" / "screenshots"
DOCS = ROOT / "docs"
HEIGHT = 900
LINKS = {
    "SUPPORT_EMAIL": "support@vendor.example",
    "STATUS_URL": "https://status.vendor.example",
    "TERMS_URL": "https://vendor.example/terms",
    "PRIVACY_URL": "https://vendor.example/privacy",
}
"""What `make run` sets too."""
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
OPERATORS = [
    *FEW,
    View("light-768", "light", 768, SCREEN),
    View("dark-1920", "dark", 1920, SCREEN),
]
ALSO_PRINTED = re.compile(r"/(subscriptions|logs|identifiers)/")
"""Pages that are looked at on paper and in forced colours too."""


class Person(NamedTuple):
    """Who looks: the email address of the account, where the links begin, and how far they go.

    `views` are the ways to look: few for who sees hardly a page of a kind of its own. The links of
    mails come first; a session holds what the last one opened, so they are drawn one by one. Who
    `is_halfway` has given the password and no code yet.
    """

    email: str | None
    begins: list[str]
    most: int
    views: list[View] = VIEWS
    is_halfway: bool = False


ADMIN = [
    "/admin/subscriptions/subscription/import/",
    "/admin/search/?q=contoso",
    "/admin/licenses/licensekey/find/",
    "/admin/subscriptions/subscription/?q=nothing",
    "/admin/subscriptions/subscription/?state=wrong",
    "/admin/no-such-page/",
]
PASSWORD = "correct horse battery staple"
PEOPLE = {
    "nobody": Person(
        None,
        [
            *("/accounts/login/", "/results/revoked/", "/verify/", "/no-such-page/"),
            *("/invitations/accept/", "/accounts/signup/complete/", "/accounts/email/stop/"),
            *("/objections/", "/notifications/stop/wrong/", "/accounts/confirm-email/"),
        ],
        40,
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
    "mails": Person(None, [], 7),
    "errors": Person(None, [], 11),
    "viewer": Person("viewer@contoso.example", ["/subscriptions/", "/tenant/invite/"], 14, FEW),
    "halfway": Person("engineer@contoso.example", ["/accounts/2fa/authenticate/"], 1, FEW, True),
    "engineer": Person(
        "engineer@contoso.example",
        [
            "/accounts/2fa/",
            "/accounts/2fa/totp/deactivate/",
            "/accounts/2fa/recovery-codes/generate/",
        ],
        6,
        FEW,
    ),
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
        VIEWS,
    ),
    "operator": Person("operator@operator.example", ["/admin/", *ADMIN], 80, OPERATORS),
}
ONCE = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=/)\d+(?=/)|primary|secondary|(?<=/results/)\w+"
)
"""Parts of addresses that name one of many: one page of a kind is enough."""
EVERY = re.compile(r"/subscriptions/[0-9a-f-]+/")
"""Pages of which each is looked at."""
LEFT_OUT = re.compile(r"^/$|/(static|download|logout|public)|\.(csv|zip)|/jsi18n/|/password_change")

type Step = str | tuple[str, str]
"""What to press (a selector), or where to write what (a file's contents where it takes one)."""

CSV = """tenant,plan,name,starts_at
Contoso Ltd,smb-yearly,Warehouse scanners,2026-01-01
Nowhere,smb-yearly,Kiosk fleet,2026-01-01
Contoso Ltd,smb-weekly,Build farm 2,tomorrow
"""
"""Rows of which only the first can be imported."""


class Scene(NamedTuple):
    """What a page shows after some steps; `title` is the heading or the path of the page."""

    person: str
    title: str
    name: str
    steps: list[Step]


SUBMIT = "main button[type=submit]"
IN_DIALOG = "dialog button[type=submit]"
SCENES = [
    Scene(
        "nobody",
        "/accounts/login/",
        "refused",
        [("#id_login", "nobody@nowhere.example"), ("#id_password", "wrong"), SUBMIT],
    ),
    Scene("nobody", "/verify/", "not a key", [("main textarea", "eyJhbGciOi"), SUBMIT]),
    Scene("owner", "Subscriptions", "all chosen", ["[data-choose-all]"]),
    Scene("owner", "Subscriptions", "profile menu", [".tools .menu > summary"]),
    Scene("owner", "Shop analytics", "verdict", ["#check-primary"]),
    Scene("owner", "Shop analytics", "claims", ["#claims-primary"]),
    Scene("owner", "Shop analytics", "reset", ["#reset-primary"]),
    Scene("owner", "Shop analytics", "delete", ["#delete"]),
    Scene(
        "owner",
        "Shop analytics",
        "not deleted",
        ["#delete", ("dialog [name=confirmation]", " "), IN_DIALOG],
    ),
    Scene("owner", "Shop analytics", "rename", ["#rename"]),
    Scene("owner", "Field tools", "stop the old key", ["#end-overlap-primary"]),
    Scene("owner", "Release automation", "generate", ["#generate"]),
    Scene(
        "owner",
        "Release automation",
        "not generated",
        ["#generate", ("dialog [name=holder_name]", " "), IN_DIALOG],
    ),
    Scene("owner", "Release automation", "check a key", ["#check-presented"]),
    Scene("owner", "/tenant/", "invite", ["a[href$='/tenant/invite/']"]),
    Scene("engineer", "/accounts/2fa/recovery-codes/generate/", "made", [SUBMIT]),
    Scene(
        "operator",
        ADMIN[0],
        "dry run",
        [("[name=file]", CSV), ("[name=reason]", "Bought"), SUBMIT],
    ),
]


class Drawn(NamedTuple):
    """A page, or a scene of one: `file` is what the names of its pictures begin with."""

    path: str
    heading: str
    file: str
    steps: list[Step]


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


async def sign_in(context: BrowserContext, account: dict[str, Any], *, is_halfway: bool) -> None:
    """Sign in as a person would; halfway without the code."""
    page = await context.new_page()
    await page.goto("/accounts/login/")
    await page.get_by_label("Email").fill(account["email"])
    await page.get_by_label("Password", exact=True).fill(account["password"])
    await page.get_by_role("button", name="Sign in", exact=True).click()
    if account.get("totp_secret"):
        await page.locator("input[name=code]").fill(code(account["totp_secret"]))
        if not is_halfway:
            await page.locator("input[name=code]").press("Enter")
    if not is_halfway:
        await page.wait_for_url(lambda url: "/accounts/" not in url)
    await page.close()


async def found(
    page: Page, person: Person, links: Iterable[str] = ()
) -> AsyncIterator[tuple[str, str]]:
    """Yield path and heading of every page that links lead to, nearest first."""
    first = {*links, *person.begins}
    ahead, known = [*links, *person.begins], {*first}
    kinds: set[str] = set()
    taken = 0
    while ahead and taken < person.most:
        path = ahead.pop(0)
        kind = path if EVERY.fullmatch(path) else ONCE.sub("*", path)
        if kind in kinds:
            continue
        kinds.add(kind)
        try:
            answer = await page.goto(path, wait_until="domcontentloaded")
        except Error as error:
            if "Download is starting" in error.message:
                continue
            raise
        if answer is None or "html" not in answer.headers.get("content-type", ""):
            continue
        if path not in first and path != (shown := urlsplit(page.url).path) and shown in known:
            continue  # it leads to a page that is drawn anyway
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


async def play(page: Page, steps: list[Step]) -> None:
    """Do the steps, and wait for what they bring about."""
    for step in steps:
        selector, text = step if isinstance(step, tuple) else (step, None)
        target = page.locator(selector).first
        if text is None:
            await target.click()
            await page.wait_for_load_state("networkidle")
        elif await target.get_attribute("type") == "file":
            await target.set_input_files(
                {"name": "table.csv", "mimeType": "text/csv", "buffer": text.encode()}
            )
        else:
            await target.fill(text)


WHOLE = """document.querySelector("dialog[open]") ? 0 : document.documentElement.scrollHeight"""
"""The height of the page, of which a dialog covers what is seen."""


async def take(page: Page, drawn: Drawn, views: list[View]) -> None:
    """Write a picture of the page for each of the views, which are in the order of their themes."""
    theme = ""
    for view in views:
        if view.theme != theme:
            theme = view.theme
            await page.set_viewport_size({"width": 1280, "height": HEIGHT})
            await show(page, drawn.path, theme)
            await play(page, drawn.steps)
        media: dict[str, Any] = {**view.media, "color_scheme": theme}
        await page.emulate_media(**media)
        await page.set_viewport_size({"width": view.width, "height": HEIGHT})
        # In one piece: what `full_page` puts together has the same part several times now and then.
        whole = await page.evaluate(WHOLE)
        await page.set_viewport_size({"width": view.width, "height": max(whole, HEIGHT)})
        await page.screenshot(path=OUT / f"{drawn.file}-{view.name}.jpeg", type="jpeg", quality=85)


def gallery(pages: dict[str, list[Drawn]]) -> str:
    """Return index.html: every picture, by person."""
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Every page</title><style>',
        "body{font:14px system-ui;margin:1rem}section>div{display:flex;gap:.5rem;overflow-x:auto}",
        "img{height:24rem;border:1px solid #aaa;object-fit:cover;object-position:top}</style>",
    ]
    for person, shown in pages.items():
        parts.append(f"<h1>{escape(person)}: {len(shown)} pages</h1>")
        for path, heading, name, _ in shown:
            parts.append(f"<section><h2>{escape(heading)} <code>{escape(path)}</code></h2><div>")
            files = (f"{name}-{view.name}.jpeg" for view in views_of(path, PEOPLE[person]))
            parts += [f'<a href="{f}"><img loading="lazy" src="{f}" alt="{f}"></a>' for f in files]
            parts.append("</div></section>")
    return "\n".join(parts)


class Studio:
    """One browser with a session for each person."""

    def __init__(self, chromium: Browser, portal: Demonstration) -> None:
        self.chromium = chromium
        self.portal = portal
        self.free = asyncio.Semaphore(AT_ONCE)
        self.sessions: dict[str, BrowserContext] = {}
        self.faults: list[str] = []

    async def session(self, name: str) -> BrowserContext:
        """Return the browser's session of the person, who signs in once: a code works once."""
        if name not in self.sessions:
            person = PEOPLE[name]
            self.sessions[name] = await self.chromium.new_context(
                base_url=self.portal.url,
                locale="en-GB",
                timezone_id="Europe/Berlin",
                reduced_motion="reduce",
            )
            if person.email is not None:
                ours = {account["email"]: account for account in self.portal.accounts}
                made = {"email": person.email, "password": PASSWORD}
                account = ours.get(person.email, made)
                await sign_in(self.sessions[name], account, is_halfway=person.is_halfway)
        return self.sessions[name]

    async def draw_docs(self) -> None:
        """Draw what README.md shows."""
        for name in dict.fromkeys(shown.person for shown in COMMITTED):
            context = await self.session(name)
            wanted = {shown for shown in COMMITTED if shown.person == name}
            explorer = await context.new_page()
            async for path, heading in found(explorer, PEOPLE[name]):
                wanted -= await commit(context, name, path, heading)
                if not wanted:
                    break
            await explorer.close()

    async def draw(self, name: str, links: list[str], errors: dict[str, str]) -> list[Drawn]:
        """Draw every page that the person sees, and return them."""
        context, person = await self.session(name), PEOPLE[name]
        for path, html in errors.items():
            await context.route(f"**{path}", partial(_answer, html))
        explorer = await context.new_page()
        pages: list[Drawn] = []
        async for path, heading in found(explorer, person, [*links, *errors]):
            scenes = [s for s in SCENES if s.person == name and s.title in {heading, path}]
            for title, steps in (
                (heading, []),
                *((f"{heading}: {scene.name}", scene.steps) for scene in scenes),
            ):
                pages.append(Drawn(path, title, f"{name}-{len(pages):03}", steps))
        await explorer.close()
        print(f"{name}: {len(pages)} pages", flush=True)
        free = asyncio.Semaphore(1) if links else self.free

        async def one(drawn: Drawn) -> None:
            async with free:
                page = await context.new_page()
                try:
                    await take(page, drawn, views_of(drawn.path, person))
                except Error as error:  # the others are drawn nevertheless
                    self.faults.append(f"{drawn.path} {drawn.heading}: {error.message}")
                await page.close()
            print(f"{drawn.file}  {drawn.path}  {drawn.heading}", flush=True)

        await asyncio.gather(*(one(drawn) for drawn in pages))
        return pages


async def _answer(html: str, route: Route) -> None:
    await route.fulfill(body=html, content_type="text/html; charset=utf-8")


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


async def draw_all(
    portal: Demonstration, people: list[str], *, only_docs: bool
) -> dict[str, list[Drawn]]:
    """Draw what README.md shows, then what these people see, in one browser."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        studio = Studio(chromium, portal)
        if only_docs or {shown.person for shown in COMMITTED} <= {*people}:
            await studio.draw_docs()
        if only_docs:
            people, made = [], {}
        else:
            made = await asyncio.to_thread(rows_of, portal)
        drawn = await asyncio.gather(
            *(
                studio.draw(
                    name, made["links"].get(name, []), made["errors"] if name == "errors" else {}
                )
                for name in people
            )
        )
        await chromium.close()
        for fault in studio.faults:
            print(f"Not drawn: {fault}", file=sys.stderr)
    return dict(zip(people, drawn, strict=True))


def rows_of(portal: Demonstration) -> dict[str, Any]:
    """Make the rows besides the demonstration's, and return what `rows.make` printed."""
    status, out, err = portal.run(
        "manage.py", "shell", "-c", "from tests.screenshots import rows; rows.make()"
    )
    if status:
        sys.exit(err)
    made: dict[str, Any] = json.loads(out.splitlines()[-1])
    return made


def main() -> None:
    """Start a demonstration of its own, and draw it."""
    parser = argparse.ArgumentParser(prog="tests.screenshots")
    parser.add_argument("--only-docs", action="store_true", help="only what README.md shows")
    parser.add_argument("people", nargs="*", metavar="PERSON", help=f"of {', '.join(PEOPLE)}")
    asked = parser.parse_args()
    people = list(dict.fromkeys(asked.people or PEOPLE))
    if unknown := {*people} - PEOPLE.keys():
        parser.error(f"Nobody is called {', '.join(unknown)}.")
    OUT.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with TemporaryDirectory() as name:
        portal = Demonstration(Path(name))
        portal.environment |= LINKS
        print("Making a demonstration ...", flush=True)
        portal.prepare()
        process = portal.start("manage.py", "demo")
        for output in (process.stdout, process.stderr):  # a pipe that nobody reads fills up
            assert output is not None
            threading.Thread(target=output.read, daemon=True).start()
        try:
            while not portal.answers("/healthz/ready"):
                if process.poll() is not None or time.monotonic() > begun + 120:
                    sys.exit("The demonstration does not start: try `make run`.")
                time.sleep(0.2)
            pages = asyncio.run(draw_all(portal, people, only_docs=asked.only_docs))
        finally:
            kill(process)
    if pages:
        (OUT / "index.html").write_text(gallery(pages), encoding="utf-8")
        seconds = round(time.monotonic() - begun)
        print(f"{sum(map(len, pages.values()))} pages in {seconds} s: {OUT / 'index.html'}")


if __name__ == "__main__":
    main()
