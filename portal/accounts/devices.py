"""Browsers that have signed in before: a stranger's guesses do not lock them out.

Attempts at sign-in are counted by network address and account. People behind one address share
the count, so a browser that has signed in to an account gets a count of its own for it, by a
signed cookie (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
"""

import secrets
from datetime import timedelta
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from portal.accounts.models import User

COOKIE = f"{settings.COOKIE_PREFIX}known_device"
SALT = "portal.devices"
MAX_AGE = timedelta(days=180)
MAX_ACCOUNTS = 5
"""Accounts for which one browser is known; the oldest is forgotten first."""


def known_device(request: HttpRequest, email: str) -> str | None:
    """Return the identifier of the browser when it has signed in to the account, else None."""
    device = _read(request)
    return str(device["id"]) if _account(email) in device["accounts"] else None


def remember_device(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Note in an HttpOnly cookie that this browser has signed in to the account."""
    device, account = _read(request), _account(user.email)
    others = [other for other in device["accounts"] if other != account]
    device["accounts"] = [*others, account][-MAX_ACCOUNTS:]
    response.set_cookie(
        COOKIE,
        signing.dumps(device, salt=SALT),
        max_age=MAX_AGE,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
        path="/" if settings.COOKIE_PREFIX else "/accounts/",  # __Host- needs the root
    )


def _read(request: HttpRequest) -> dict[str, Any]:
    try:
        device: dict[str, Any] = signing.loads(
            request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=MAX_AGE
        )
    except signing.BadSignature:
        return {"id": secrets.token_urlsafe(16), "accounts": []}
    return device


def _account(email: str) -> str:
    """Return a name for the account that does not reveal its address in the cookie."""
    return sha256(f"{settings.SECRET_KEY}:{email.lower()}".encode()).hexdigest()[:32]
