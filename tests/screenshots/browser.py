"""Chromium, for pictures."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.support.chromium import MISSING, PATH

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def chromium_path() -> str:
    """Return where Chromium is, or end the program."""
    if PATH is None:
        sys.exit(MISSING)
    return PATH


@contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium, and end it."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield chromium
        chromium.close()
