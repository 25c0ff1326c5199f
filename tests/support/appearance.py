"""How pages are looked at: in both themes, wide and narrow, by axe-core."""

from typing import Literal

import pytest
from playwright.sync_api import Page

from tests.support.browser import axe, sideways_scroll

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def looks(page: Page) -> None:
    """Fail unless axe-core finds nothing on this page of the admin, in both themes."""
    for colours in THEMES:
        page.emulate_media(color_scheme=colours)
        page.evaluate(AWAIT_TRANSITIONS)
        axe(page)


AWAIT_TRANSITIONS = """async () => {
    const drawn = () => new Promise(requestAnimationFrame);
    const runs = (animation) => animation.playState === "running"
        && animation.effect.getComputedTiming().endTime < 10_000;
    for (await drawn(), await drawn(); document.getAnimations().some(runs);) await drawn();
}"""
"""Wait until the page is drawn and none of its colours changes any more."""


WITH_AND_WITHOUT = pytest.mark.parametrize(
    "javascript",
    [pytest.param(True, id="js"), pytest.param(False, id="no js", marks=pytest.mark.sweep)],
)
"""With scripts, and in `make test-all` once more without; the journey has both always."""

WIDE_LIGHT_AND_NARROW_DARK = pytest.mark.parametrize(
    ("colours", "width"), [("light", 1280), ("dark", 320)], ids=["wide light", "narrow dark"]
)
"""Contrast depends on the colours, and room on the width: each once."""

TARGET = 24


def faultless(page: Page, where: str) -> None:
    """Fail when something on this page, or the dialog on it, is not for everybody."""
    axe(page)
    assert (where, sideways_scroll(page)) == (where, 0)
    assert (where, wide_parts(page)) == (where, [])
    assert (where, small_targets(page)) == (where, [])


def wide_parts(page: Page) -> list[str]:
    """Return what reaches out of the window or the dialog, scrolling regions aside."""
    return page.evaluate("""() => {
        const root = document.querySelector("dialog[open]") ?? document.querySelector("main");
        const edge = root.matches("dialog")
            ? root.getBoundingClientRect().right : document.documentElement.clientWidth;
        const scrolls = (e) => e.closest(".token, .table-scroll, .sr-only");
        return [...root.querySelectorAll("*")]
            .filter((e) => e.checkVisibility() && !scrolls(e))
            .filter((e) => e.getBoundingClientRect().right > edge + 1)
            .map((e) => e.outerHTML.slice(0, 100));
    }""")


def small_targets(page: Page) -> list[str]:
    """Return the controls that are smaller than TARGET px.

    Links in a sentence may be, and boxes in a label, which is pressed instead.
    """
    return page.evaluate(
        """(target) => {
        const root = document.querySelector("dialog[open]") ?? document.body;
        const controls =
            "button, a.btn, summary, select, input:not([type=hidden]), label:has(> input)";
        return [...root.querySelectorAll(controls)]
            .filter((e) => e.checkVisibility() && !e.closest("label > *"))
            .filter((e) => Math.min(...["width", "height"].map(
                (side) => e.getBoundingClientRect()[side])) < target)
            .map((e) => e.outerHTML.slice(0, 100));
    }""",
        TARGET,
    )
