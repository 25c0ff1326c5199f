"""Connections to foreign servers that end at a moment, whatever the server does.

Time-outs of sockets apply to each read: a server that sends one byte a second would never time
out. Moments are `time.monotonic()`.
"""

import http.client
import io
import socket
import time
from collections.abc import Sequence
from typing import Any, override

from urllib3.util.connection import create_connection

type Address = tuple[Any, ...]
"""An address as `socket.getaddrinfo` gives it: IP address and port first."""


def seconds_left(ends_at: float) -> float:
    """Return the seconds until then. Raises TimeoutError when it is past."""
    seconds = ends_at - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("The whole conversation took too long.")
    return seconds


def connected(
    addresses: Sequence[Address], ends_at: float, *, socket_options: Any = None
) -> socket.socket:
    """Return a socket to the first of the addresses that answers; they share the time left.

    Raises OSError when none does.
    """
    for others, address in zip(reversed(range(len(addresses))), addresses, strict=True):
        try:
            connection = create_connection(
                (str(address[0]), int(address[1])),
                seconds_left(ends_at) / (others + 1),
                socket_options=socket_options,
            )
        except OSError:
            if not others:
                raise
            continue
        connection.settimeout(seconds_left(ends_at))
        return connection
    raise OSError("The host has no address.")


def response_class(ends_at: float, max_bytes: int) -> type[http.client.HTTPResponse]:
    """Return answers that are read until then, and to `max_bytes`, headers included."""

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self.fp = io.BufferedReader(_Reader(self.fp.detach(), sock, ends_at, max_bytes))

    return Response


class _Reader(io.RawIOBase):
    """Reads `max_bytes` of a socket at most, and until `ends_at`."""

    def __init__(self, raw: Any, sock: socket.socket, ends_at: float, max_bytes: int) -> None:
        self._raw, self._socket, self._ends_at = raw, sock, ends_at
        self._bytes_left = max_bytes

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(seconds_left(self._ends_at))
        read: int | None = self._raw.readinto(buffer)
        self._bytes_left -= read or 0
        if self._bytes_left < 0:
            raise OSError("The answer is too long.")
        return read

    @override
    def close(self) -> None:
        self._raw.close()
        super().close()
