"""HTTP by the bytes: what a client library would not send, and clients that are slow."""

import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from tests.support.server import LivePortal


def connect(portal: LivePortal, *, seconds: float = 20) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(portal.url).port or 0), timeout=seconds)


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode(
        "latin-1"
    )


def to_the_end(wire: socket.socket) -> bytes:
    """Return all that comes until the server hangs up."""
    parts = []
    while part := wire.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def one_answer(wire: socket.socket, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of one answer that has a length."""
    text = b""
    while b"\r\n\r\n" not in text:
        text += _some(wire)
    found, _, body = text.partition(b"\r\n\r\n")
    headers = headers_of(found)
    while has_body and len(body) < int(headers["content-length"]):
        body += _some(wire)
    return int(found.split(b" ", 2)[1]), headers, body


def headers_of(found: bytes) -> dict[str, str]:
    lines = found.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def ask(portal: LivePortal, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
    with connect(portal) as wire:
        for part in parts:
            wire.sendall(part)
        return one_answer(wire)


def in_chunks(body: bytes, size: int) -> Iterable[bytes]:
    """Yield a body in HTTP's chunks (RFC 9112 section 7.1)."""
    for start in range(0, len(body), size):
        part = body[start : start + size]
        yield f"{len(part):x}\r\n".encode() + part + b"\r\n"
    yield b"0\r\n\r\n"


def csrf_token(page: bytes) -> str:
    found = re.search(rb'csrfmiddlewaretoken" value="(\w+)"', page)
    assert found is not None
    return found[1].decode()


def _some(wire: socket.socket) -> bytes:
    part = wire.recv(65_536)
    assert part, "The server hung up before the answer was whole."
    return part
