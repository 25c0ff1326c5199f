"""What the network says about a request: client address and scheme, through trusted proxies.

Limits, logs, sign-in and redirects all use this. Headers count only where TRUSTED_PROXIES (none by
default) holds the peer that sent them; `X-Forwarded-For` and `X-Forwarded-Proto` come first, and
`Forwarded` (RFC 7239) is read where a proxy sends it alone.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_CHARACTERS = 64
"""Characters of the longest text that is parsed as an address; valid ones have at most 57."""

_X_FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::\d{1,5})?")
_IPV4_AND_PORT = re.compile(r"([0-9.]+):\d{1,5}")
_PARAMETER = re.compile(
    r"""[\s;]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*(?:;|\Z)"""
)
_ESCAPED = re.compile(r"\\(.)")


def client_address(request: HttpRequest) -> str:
    """Return the address of the client as text, empty when the peer has none (a local socket).

    The hops are read from right to left for as long as the sender is a trusted proxy: what stands
    left of the first untrusted sender is that sender's own claim and does not count.
    """
    peer = request.META.get("REMOTE_ADDR", "")
    proxies: Sequence[Network] = settings.TRUSTED_PROXIES
    if not proxies:
        return _written(peer)
    address = parsed(peer)
    for hop in _hops(request):
        sender = parsed(hop.address)
        if sender is None or not _is_trusted(address, proxies):
            break
        address = sender
    return str(address or "")


def is_from_trusted_proxy(request: HttpRequest) -> bool:
    """Return whether TRUSTED_PROXIES holds the peer that sent this request."""
    return _is_trusted(parsed(request.META.get("REMOTE_ADDR", "")), settings.TRUSTED_PROXIES)


def forwarded_scheme(request: HttpRequest) -> str | None:
    """Return `https` or `http` as a trusted proxy says; None when none does.

    Of several values in X-Forwarded-Proto the last counts, which the nearest proxy wrote: those
    before it may be the client's own. Of Forwarded, the one that stands with the client's address.
    """
    proxies: Sequence[Network] = settings.TRUSTED_PROXIES
    if not proxies or not is_from_trusted_proxy(request):
        return None
    claimed = _listed(request, "HTTP_X_FORWARDED_PROTO")
    if claimed:
        return _scheme(claimed[-1])
    if _listed(request, _X_FORWARDED_FOR):
        return None
    scheme = None
    for hop in _hops(request):
        scheme = hop.scheme if hop.scheme is not None else scheme
        address = parsed(hop.address)
        if not _is_trusted(address, proxies):
            break
    return scheme


def parsed(text: str) -> Address | None:
    """Return the address that a server or proxy wrote, or None when there is none in it.

    With or without port, brackets (RFC 3986 3.2.2), quotes (RFC 7239 6) and zone (RFC 4007 11);
    an IPv4-mapped IPv6 address (RFC 4291 2.5.5.2) is the IPv4 address that it stands for.
    """
    return _parsed(text) if len(text) <= MAX_CHARACTERS else None


class _Hop(NamedTuple):
    """Who sent a request to a proxy, and by which scheme, as that proxy wrote it."""

    address: str
    scheme: str | None = None


def _hops(request: HttpRequest) -> Iterator[_Hop]:
    """Yield the hops, the one nearest to this server first."""
    listed = _listed(request, _X_FORWARDED_FOR)
    if listed:
        return map(_Hop, reversed(listed))
    return reversed(list(_forwarded(request.META.get("HTTP_FORWARDED", ""))))


def _listed(request: HttpRequest, header: str) -> list[str]:
    """Return the elements of a header; empty ones do not count (RFC 9110 5.6.1)."""
    return [part for part in request.META.get(header, "").split(",") if part.strip()]


def _forwarded(header: str) -> Iterator[_Hop]:
    """Yield the elements of a Forwarded header (RFC 7239 4); a malformed one names nobody."""
    for element in _elements(header):
        text, pairs, at = element.strip("; \t"), {}, 0
        if not text:
            continue
        while at < len(text) and (pair := _PARAMETER.match(text, at)):
            value = _ESCAPED.sub(r"\1", pair[2]) if pair[2].startswith('"') else pair[2]
            pairs[pair[1].lower()], at = value, pair.end()
        whole = at == len(text)
        yield _Hop(pairs.get("for", "") if whole else "", _scheme(pairs.get("proto", "")))


def _elements(header: str) -> Iterator[str]:
    """Yield what stands between the commas that are in no quoted string (RFC 9110 5.6.1)."""
    start, quoted, escaped = 0, False, False
    for place, character in enumerate(header):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            yield header[start:place]
            start = place + 1
    yield header[start:]


def _scheme(text: str) -> str | None:
    word = text.strip().strip('"').lower()
    return word if word in {"http", "https"} else None


def _is_trusted(address: Address | None, proxies: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in proxies)


@lru_cache(maxsize=4096)
def _written(peer: str) -> str:
    return str(parsed(peer) or "")


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Address | None:
    text = text.strip().strip('"').strip()
    found = _BRACKETED.fullmatch(text) or _IPV4_AND_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((found[1] if found else text).partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
