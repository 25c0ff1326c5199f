"""Reading a request's body from the network: bounded in bytes and in time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

type Receive = Callable[[], Awaitable[dict[str, Any]]]

MAX_SECONDS = 30
"""Seconds in which a body has to arrive whole."""

GRACE_SECONDS = 5
"""Seconds before MIN_RATE is asked for."""

MIN_RATE = 500
"""Bytes a second that a body makes on average; a slower one is given up."""

DROPPED_BYTES = 1024 * 1024
"""Bytes of a refused body that are read and dropped, so that the client reads the answer."""

DROPPED_SECONDS = 2
"""Seconds for which a refused body is read and dropped."""


class TooLarge(Exception):
    """The body is longer than its limit."""


class TooSlow(Exception):
    """The body did not arrive in time."""


class Cut(Exception):
    """The client ended the connection, or broke the framing, within the body."""


async def read(receive: Receive, announced: str | None, limit: int) -> bytes:
    """Return the body of a request, with or without a Content-Length (`announced`).

    Raises TooLarge, before anything is read where the length says so; TooSlow; Cut.
    """
    if announced is not None and int(announced) > limit:
        raise TooLarge
    loop = asyncio.get_running_loop()
    begun = loop.time()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout_at(begun + GRACE_SECONDS) as deadline:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Cut
                part = message["body"]
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise TooLarge
                if not message["more_body"]:
                    return parts[0] if len(parts) == 1 else b"".join(parts)
                earned = min(MAX_SECONDS, GRACE_SECONDS + size / MIN_RATE)
                deadline.reschedule(begun + earned)
    except TimeoutError as error:
        raise TooSlow from error


async def drop_rest(receive: Receive) -> None:
    """Read and drop what still comes of a refused body, for a while."""
    dropped = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DROPPED_SECONDS):
            while dropped < DROPPED_BYTES:
                message = await receive()
                dropped += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
