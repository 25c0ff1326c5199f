"""What an answer over HTTP was: page or fragment, its heading, its messages and events."""

import json
from html.parser import HTMLParser
from typing import Any

from django.contrib.messages import get_messages

HTMX = {"HX-Request": "true"}
BOOSTED = HTMX | {"HX-Boosted": "true"}
RESTORED = HTMX | {"HX-History-Restore-Request": "true"}
WHOLE_PAGES = {"plain": {}, "boosted": BOOSTED, "restored": RESTORED}
"""Headers of the requests that get a whole page."""


class _Reader(HTMLParser):
    """Reads the first h1, the identifiers of elements, and whether it all is a whole page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.is_page, self.heading, self._inside = False, "", False
        self.ids: list[str] = []
        self.feed(html)

    def handle_decl(self, decl: str) -> None:
        self.is_page = True

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "h1" and not self.heading
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        self.heading += data if self._inside else ""


def shape(answer: Any) -> tuple[int, str, str]:
    """Return status, `page` or `fragment`, and the heading."""
    read = _Reader(answer.content.decode())
    return answer.status_code, "page" if read.is_page else "fragment", read.heading


def ids(answer: Any) -> list[str]:
    """Return the identifiers of all elements, in their order."""
    return _Reader(answer.content.decode()).ids


def messages_of(answer: Any) -> list[str]:
    """Return the messages that the next page will show."""
    return [str(message) for message in get_messages(answer.wsgi_request)]


def events(answer: Any) -> list[str]:
    """Return the events that HTMX fires."""
    return list(json.loads(answer["HX-Trigger"]))


def refusals(answer: Any) -> list[str]:
    """Return what the form says is wrong."""
    return [error for errors in answer.context["form"].errors.values() for error in errors]


def vary(answer: Any) -> set[str]:
    """Return the headers that the answer depends on, but the one that says how it is written."""
    return {word.strip() for word in answer["Vary"].split(",")} - {"Accept-Encoding"}
