"""The client's address: the one function that limits, logs and sign-in all ask."""

import ipaddress
from collections.abc import Sequence

from django.conf import settings
from django.http import HttpRequest

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(request: HttpRequest) -> str:
    """Return the address of the client as text.

    X-Forwarded-For is read from right to left for as long as the sender is a trusted proxy
    (setting TRUSTED_PROXIES, none by default): what stands left of the first stranger is that
    stranger's own claim and counts for nothing.
    """
    proxies: Sequence[Network] = settings.TRUSTED_PROXIES
    address: str = request.META.get("REMOTE_ADDR", "")
    if not proxies:
        return address
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    while hops and _is_trusted(address, proxies):
        hop = hops.pop()
        if _parsed(hop) is None:
            break
        address = hop
    return address


def _is_trusted(address: str, proxies: Sequence[Network]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in proxies)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None
