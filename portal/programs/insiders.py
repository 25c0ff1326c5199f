"""Who may read details of this node: who asks on its machine, and who has METRICS_TOKEN."""

import hmac

from django.conf import settings
from django.http import HttpRequest

from portal.programs.client_address import parsed

FORWARDED = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
)
"""Headers of which a proxy sets one at least: who asks through it is somebody else."""


def is_insider(request: HttpRequest) -> bool:
    """Return whether the request comes from this machine directly, or with METRICS_TOKEN."""
    return _is_from_here(request) or has_metrics_token(request)


def has_metrics_token(request: HttpRequest) -> bool:
    """Return whether the bearer token is METRICS_TOKEN, compared in constant time (RFC 6750)."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.METRICS_TOKEN
    same = hmac.compare_digest(given.strip().encode(), wanted.encode())
    return bool(wanted) and scheme.lower() == "bearer" and same


def _is_from_here(request: HttpRequest) -> bool:
    peer = parsed(request.META.get("REMOTE_ADDR", ""))
    is_direct = not any(name in request.META for name in FORWARDED)
    return is_direct and peer is not None and peer.is_loopback
