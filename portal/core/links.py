"""Addresses for mails and other things that are read outside of a page."""

from urllib.parse import urljoin

from django.conf import settings


def support_link() -> str:
    """Return where customers ask for help, as a page or a `mailto:`; empty where nothing is set."""
    return settings.SUPPORT_URL or (settings.SUPPORT_EMAIL and f"mailto:{settings.SUPPORT_EMAIL}")


def support_shown() -> str:
    """Return where customers ask for help as people write it; empty where nothing is set."""
    return settings.SUPPORT_URL.partition("://")[2].rstrip("/") or settings.SUPPORT_EMAIL


def public_link(path: str) -> str:
    """Return the whole address of a path, built from PUBLIC_URL and never from a request's Host."""
    return urljoin(settings.PUBLIC_URL, path)
