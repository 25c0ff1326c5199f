"""Limits on how often one client address may do something.

Nothing that a stranger can put into a request is ever what a limit hangs on: a limit on a key or
an account would let anybody stop its owner. Only the address counts, and of IPv6 its /64, which
is what one customer gets.
"""

import ipaddress
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from django.core.cache import cache
from django.http import HttpRequest
from redis.exceptions import RedisError

from portal.programs.client_address import client_address

logger = logging.getLogger("portal.limits")

WINDOW_SECONDS = 60
"""Seconds in which a limit counts; windows begin at full minutes."""


@dataclass(frozen=True)
class Limit:
    """At most `most` times in a minute for one client; 0 stands for no limit."""

    name: str
    most: int

    def exceeded(self, request: HttpRequest) -> int:
        """Count this request; return 0, or in how many seconds the client may come again.

        Counts are shared through CACHE_URL between processes. While that cache is away nobody
        is limited: a throttled terminal does not start.
        """
        if not self.most:
            return 0
        now = time.time()
        window = int(now // WINDOW_SECONDS)
        name = f"limit:{self.name}:{window}:{client(client_address(request))}"
        try:
            count = _count(name)
        except RedisError as error:
            logger.warning("Nobody is limited, the cache is away: %s", type(error).__name__)
            return 0
        return 0 if count <= self.most else max(1, int((window + 1) * WINDOW_SECONDS - now) + 1)


@lru_cache(maxsize=1024)
def client(address: str) -> str:
    """Return what stands for one client: the address, of IPv6 its /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False).network_address)


def _count(name: str) -> int:
    with suppress(ValueError):  # It is the first of its window.
        return cache.incr(name)
    if cache.add(name, 1, timeout=2 * WINDOW_SECONDS):
        return 1
    return cache.incr(name)
