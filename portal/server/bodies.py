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

LOOK_SECONDS = 1
"""Seconds between two looks at who waits for the first part of a body."""

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
    begun = asyncio.get_running_loop().time()
    part, has_more = _part(await _first(receive))
    parts, size = [part], len(part)
    if has_more and size <= limit:
        try:
            async with asyncio.timeout_at(begun + _earned(size)) as deadline:
                while has_more and size <= limit:
                    part, has_more = _part(await receive())
                    parts.append(part)
                    size += len(part)
                    deadline.reschedule(begun + _earned(size))
        except TimeoutError as error:
            raise TooSlow from error
    if size > limit:
        raise TooLarge
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _part(message: dict[str, Any]) -> tuple[bytes, bool]:
    """Return a part of a body, and whether more of it follows."""
    if message["type"] != "http.request":
        raise Cut
    return message["body"], message["more_body"]


def _earned(size: int) -> float:
    """Return the seconds that a body gets of which so much has arrived."""
    return min(MAX_SECONDS, GRACE_SECONDS + size / MIN_RATE)


class _Waiting:
    """Who waits for the first part of a body, and since when (the loop's time), oldest first.

    One timer ends all that wait too long: one for each would take as long as the rest of `read`,
    since the first part mostly is the whole body, and has arrived.
    """

    def __init__(self) -> None:
        self.since: dict[asyncio.Task[Any], float] = {}
        self.looking: asyncio.AbstractEventLoop | None = None

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel those that wait too long, and look again while others wait."""
        for task, since in list(self.since.items()):
            if loop.time() - since < GRACE_SECONDS:
                break
            del self.since[task]
            task.cancel()
        self.looking = loop if self.since else None
        if self.since:
            loop.call_later(LOOK_SECONDS, self.look, loop)


_waiting = _Waiting()


async def _first(receive: Receive) -> dict[str, Any]:
    """Return the first part of a body; raise TooSlow where it does not come."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    _waiting.since[task] = loop.time()
    if _waiting.looking is not loop:
        _waiting.looking = loop
        loop.call_later(LOOK_SECONDS, _waiting.look, loop)
    try:
        return await receive()
    except asyncio.CancelledError:
        if task in _waiting.since:
            raise  # not by `look`: the server ends it
        task.uncancel()
        raise TooSlow from None
    finally:
        _waiting.since.pop(task, None)


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
