"""Addresses for mails and other things that are read outside of a page."""

from urllib.parse import urljoin

from django.conf import settings


def public_link(path: str) -> str:
    """Return the whole address of a path, built from PUBLIC_URL and never from a request's Host."""
    return urljoin(settings.PUBLIC_URL, path)
