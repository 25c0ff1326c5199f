"""Whole answers to programs, as the front sends them without Django's response."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.csp import build_policy

from portal.programs.middleware import CONTENT_POLICY

type Header = tuple[bytes, bytes]


class Answer(NamedTuple):
    """Status, headers and body of an answer; the headers that all programs get come on top."""

    status: int
    headers: list[Header]
    body: bytes

    @classmethod
    def of(cls, response: HttpResponse) -> Answer:
        """Return what Django's response says."""
        return cls(response.status_code, encoded(response.items()), response.content)


type FastPath = Callable[[HttpRequest], Answer | None]
"""Answers a request without Django's layers; None leaves it to a thread that has them all."""


def encoded(headers: Iterable[tuple[str, str]]) -> list[Header]:
    """Return headers as bytes: names in lower case, and Latin-1 (RFC 9110 section 5.5)."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def for_pages() -> list[Header]:
    """Return the headers of a page that is made without Django's layers."""
    policy: Any = settings.SECURE_CSP
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": build_policy(policy),
        "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
    }
    return encoded(headers.items())


def for_programs() -> list[Header]:
    """Return the headers that `ProgramMiddleware` gives to every answer."""
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": CONTENT_POLICY}
    return encoded(headers.items())
