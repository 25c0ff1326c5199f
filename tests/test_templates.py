"""What no template may hold: long lines, comparisons with words of the screen, inline code."""

import re
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).parent.parent / "templates"
MAX_LINE_LENGTH = 120
# A line of a mail's text is a paragraph of the mail: mail programs break it themselves.
PAGES = sorted(TEMPLATES.rglob("*.html"))
SCREENS = [path for path in PAGES if path.parent.name != "mail"]  # mails know no style sheets


def found(pattern: str, paths: list[Path]) -> list[str]:
    """Return `file:line: text` of everything that the pattern finds, over line ends too."""
    hits = []
    for path in paths:
        text = path.read_text("utf-8")
        for match in re.finditer(pattern, text, re.IGNORECASE | re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            hits.append(f"{path.relative_to(TEMPLATES)}:{line}: {match[0].strip()[:80]}")
    return hits


def test_a_line_fits_the_screen():
    assert found(rf"^.{{{MAX_LINE_LENGTH + 1},}}$", PAGES) == []


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"(?:_display|\.label)\b(?:\|\w+)*\s*(?:[!=]=|\b(?:not )?in\b)", id="left"),
        pytest.param(
            r"(?:[!=]=|{%\s*(?:el)?if\b[^%]*\b(?:not )?in)\s*[\w.]*(?:_display|\.label)\b",
            id="right",
        ),
    ],
)
def test_states_are_compared_by_value(pattern):
    assert found(pattern, PAGES) == []


@pytest.mark.parametrize(
    "pattern",
    [
        # Blocks of data are no scripts.
        pytest.param(
            r"<script(?![^>]*\s(?:src=|type=\"application/json\"))[^>]*>", id="inline script"
        ),
        pytest.param(r"<style[\s>]", id="inline style"),
        pytest.param(r"\sstyle\s*=", id="style attribute"),
        pytest.param(r"\son[a-z]+\s*=\s*[\"']", id="event attribute"),
        pytest.param(r"\shx-on\b", id="hx-on"),
        pytest.param(r"\bjavascript:|[\"']js:", id="script address"),
    ],
)
def test_pages_need_no_exception_from_the_content_security_policy(pattern):
    assert found(pattern, SCREENS) == []
