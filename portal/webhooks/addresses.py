"""To which addresses the portal delivers: no request of a stranger reaches an inner network.

A name is resolved once, all its addresses are judged, and the connection is made to these very
addresses: a name that leads elsewhere at a second look changes nothing.
"""

import ipaddress
import re
import socket
import threading
import time
from concurrent.futures import Future
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError

from portal.core.bounded_http import Address
from portal.core.names import validate_no_credential
from portal.core.refusal import Refused

MAX_CHARACTERS = 2000
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
RESERVED = (
    ipaddress.ip_network("192.88.99.0/24"),  # relays of 6to4, deprecated (RFC 7526)
    ipaddress.ip_network("3fff::/20"),  # documentation (RFC 9637)
)
ISATAP = (0x0000_5EFE, 0x0200_5EFE)
"""The first half of an interface identifier that embeds an IPv4 address (RFC 5214 6.1)."""
NOT_AN_ADDRESS = "This is not an address: write https://host/path."
HOST = re.compile(
    r"(?=.{1,254}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?"
)
NUMBER = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)\.?")
"""Hosts whose last part is a number: resolvers read them as IPv4 addresses, written otherwise."""
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
OWN_KEPT_FOR = 60
"""Seconds for which the addresses of the portal's own host are not looked up again."""

type IpAddress = IPv4Address | IPv6Address


class ForbiddenAddressError(Exception):
    """The host has an address that the portal does not connect to; the text says which."""


def refuse_unusable(url: str) -> str:
    """Return the address of an endpoint as it is stored.

    Raises Refused unless it is an absolute `https` address of printable ASCII without user and
    fragment, service token and license key, on port 443 or one that no service of a system has
    (1024 and above).
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # such as the port 65536
        host, port, parts = None, None, urlsplit("https:")
    sentence = ""
    if not url.lower().startswith("https:"):
        sentence = "The address must begin with https://."
    elif not url.isascii() or not url.isprintable() or {*url} & {" ", "\\"} or not host:
        sentence = NOT_AN_ADDRESS
    elif "@" in parts.netloc:
        sentence = "The address must not hold a user or password: the signature proves the sender."
    elif "#" in url:
        sentence = "Leave out what comes behind #: it is never sent."
    elif port is not None and port != 443 and port < 1024:
        sentence = "Use port 443, or one from 1024 on."
    elif len(url) > MAX_CHARACTERS:
        sentence = f"The address is longer than {MAX_CHARACTERS} characters."
    else:
        sentence = _why_never(host) or _credential_in(url)
    if sentence:
        raise Refused(sentence, field="url")
    return url


def _why_never(host: str) -> str:
    """Return why no connection is ever made to the host, "" where one may be."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "" if HOST.fullmatch(host) and not NUMBER.fullmatch(host) else NOT_AN_ADDRESS
    try:
        refuse_forbidden(host)
    except ForbiddenAddressError:
        return "This address is not public. Use one that is reached from the internet."
    return "" if "%" not in host else NOT_AN_ADDRESS


def _credential_in(url: str) -> str:
    """Return why the address is refused for what it holds, however it is encoded, or ""."""
    try:
        validate_no_credential(unquote(url))
    except ValidationError as error:
        return str(error.messages[0])
    return ""


def resolved(host: str, port: int, seconds: float) -> list[Address]:
    """Return the addresses of the host, all of which may be connected to.

    Raises ForbiddenAddressError when one may not, OSError or ValueError when the name is unknown or
    none, TimeoutError when it takes longer than these seconds. The resolver has no deadline of
    ours, so it is asked in a thread.
    """
    future: Future[list[Address]] = Future()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [address for *_, address in found]
            for address in addresses:
                refuse_forbidden(str(address[0]))
        except (OSError, ValueError, ForbiddenAddressError) as error:
            future.set_exception(error)
        else:
            future.set_result(addresses)

    threading.Thread(target=look_up, name="resolver", daemon=True).start()
    return future.result(timeout=seconds)


def refuse_forbidden(text: str) -> None:
    """Raise ForbiddenAddressError unless the IP address is public and none of the portal's own.

    WEBHOOK_ALLOWED_NETWORKS are admitted whatever they are, but for the portal's own addresses,
    of which those of the loopback may be allowed.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    inner = embedded(address) or address
    is_loopback = address.is_loopback or inner.is_loopback
    if not is_loopback and (_is_of_this_machine(address) or inner in _own()):
        raise ForbiddenAddressError(f"{text} is the portal's own address")
    allowed = settings.WEBHOOK_ALLOWED_NETWORKS
    if any(each in network for each in (address, inner) for network in allowed):
        return
    if not _is_public(inner):
        raise ForbiddenAddressError(f"{text} is not a public address")


def embedded(address: IpAddress) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for, if it does.

    IPv4-mapped and -compatible (RFC 4291 2.5.5), NAT64 (RFC 6052 2.1), 6to4 (RFC 3056 2), and
    Teredo (RFC 4380 4), of which the client's counts.
    """
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in NAT64 or int(address) >> 32 == 0:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def _is_public(address: IpAddress) -> bool:
    if isinstance(address, IPv6Address) and address not in GLOBAL_UNICAST:
        return False
    if any(address in network for network in RESERVED) or _is_isatap(address):
        return False
    return address.is_global and not address.is_multicast


def _is_isatap(address: IpAddress) -> bool:
    return address.version == 6 and (int(address) >> 32) & 0xFFFF_FFFF in ISATAP


def _is_of_this_machine(address: IpAddress) -> bool:
    """Return whether an interface of this machine has it: it would be the sender's address too."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 443))  # sends nothing
            return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]) == address
    except OSError:  # no route there, or no such family here
        return False


def _own() -> set[IpAddress]:
    """Return the addresses of the host in PUBLIC_URL.

    Raises ForbiddenAddressError while they are not known: any address may be one of them.
    """
    host = urlsplit(settings.PUBLIC_URL).hostname or ""
    return _addresses_of_portal(host, int(time.monotonic() // OWN_KEPT_FOR))


@lru_cache(maxsize=1)
def _addresses_of_portal(host: str, period: int) -> set[IpAddress]:  # noqa: ARG001 (ends the cache)
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ForbiddenAddressError("the addresses of PUBLIC_URL are not known") from error
    own = {ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found}
    return own | {inner for each in own if (inner := embedded(each))}
