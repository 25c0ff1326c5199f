"""Sending one event to one endpoint: signed, once, within ten seconds. Reads no database."""

import base64
import hashlib
import hmac
import http.client
import logging
import secrets
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import override
from urllib.parse import urlsplit

import certifi

from portal import __version__
from portal.core.bounded_http import connected, response_class, seconds_left
from portal.webhooks.addresses import ForbiddenAddressError, resolved

PREFIX = "whsec_"
SECRET_BYTES = 32

SECONDS = 10.0
"""Seconds for one delivery: name, connection, TLS, request and the whole answer."""

MAX_ANSWER_BYTES = 64 * 1024
MAX_HEADER_BYTES = 64 * 1024

MAX_KEPT_CHARACTERS = 2000
"""Characters of an answer that the delivery log keeps."""

GONE = 410

NOT_PUBLIC = "This address is not public: no host of this name is reached from the internet."
"""What a tenant reads of inner addresses, whether they exist or not."""

logger = logging.getLogger("portal.webhooks")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is sent, and where; `secrets` are those that sign now, the newest first."""

    url: str
    event_id: str
    body: str
    secrets: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of it: a status code, or 0 with the reason why there is none.

    `retry_after` is how many seconds the receiver asked to wait; `headers` are those of the
    request, one a line.
    """

    code: int = 0
    text: str = ""
    error: str = ""
    milliseconds: int = 0
    headers: str = ""
    retry_after: int = 0

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has taken the event: a status of 2xx, within SECONDS.

        The status decides, as Standard Webhooks has it: a body that is cut off changes nothing.
        """
        return 200 <= self.code < 300 and not self.error


def new_secret() -> str:
    """Return a new secret as Standard Webhooks writes it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(secret: str, event_id: str, timestamp: int, body: str) -> str:
    """Return the signature (`v1`) of Standard Webhooks 1.0.0."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{event_id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def send(request: Request) -> Answer:
    """Send the event once, and return what came of it; never raises for what a receiver does."""
    begun = time.monotonic()
    error, code, text, retry_after = "", 0, "", 0
    headers = headers_of(request, int(time.time()))
    try:
        code, text, retry_after = _conversation(request, headers, begun + SECONDS)
    except ForbiddenAddressError as forbidden:
        logger.warning("A webhook was not delivered: %s", forbidden)
        error = NOT_PUBLIC
    except TimeoutError:
        error = f"No complete response within {SECONDS:.0f} seconds."
    except (OSError, ValueError, http.client.HTTPException) as failure:
        error = _in_words(failure)
    if 300 <= code < 400:
        error = "Redirects are not followed: enter the final address."
    return Answer(
        code=code,
        text=text,
        error=printable(error)[:300],
        milliseconds=round((time.monotonic() - begun) * 1000),
        headers="\n".join(f"{name}: {value}" for name, value in headers.items()),
        retry_after=retry_after,
    )


def _in_words(failure: Exception) -> str:
    """Return a sentence for people; an unknown name is told like an inner one."""
    match failure:
        case socket.gaierror():
            return NOT_PUBLIC
        case ssl.SSLCertVerificationError():
            return f"The certificate is not valid: {failure.verify_message.rstrip('.')}."
        case ssl.SSLError():
            return "The receiver does not speak TLS 1.2 or later on this port."
        case ConnectionRefusedError():
            return "The receiver refused the connection: nothing listens on this port."
        case ConnectionError():
            return "The receiver closed the connection before it had answered."
        case http.client.HTTPException():
            return "The response is not valid HTTP."
        case ValueError():
            return "The address is not valid."
        case _:
            return "The receiver could not be reached."


def headers_of(request: Request, timestamp: int) -> dict[str, str]:
    """Return the headers of the request; each secret that signs now gives a signature."""
    signatures: Iterable[str] = (
        signature(secret, request.event_id, timestamp, request.body) for secret in request.secrets
    )
    return {
        "Content-Type": "application/json",
        "User-Agent": f"License-Portal/{__version__} (webhooks)",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "webhook-id": request.event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def printable(text: str) -> str:
    """Return foreign text without what no page and no column can hold."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _conversation(
    request: Request, headers: dict[str, str], ends_at: float
) -> tuple[int, str, int]:
    parts = urlsplit(request.url)
    connection = _Connection(parts.hostname or "", parts.port or 443, ends_at)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", path, body=request.body.encode(), headers=headers)
        response = connection.getresponse()
        # Never decompressed, whatever its Content-Encoding says.
        try:
            content = response.read(MAX_ANSWER_BYTES)
        except (ConnectionError, http.client.IncompleteRead):
            content = b""  # the status decides
        text = printable(content.decode("utf-8", "replace"))[:MAX_KEPT_CHARACTERS]
        wait = response.headers.get("Retry-After", "")
        is_number = wait.isascii() and wait.isdigit() and len(wait) < 7
        return response.status, text, int(wait) if is_number else 0
    finally:
        connection.close()


class _Connection(http.client.HTTPSConnection):
    """Connects to the addresses that were judged; TLS is for the name. Knows no proxy."""

    def __init__(self, host: str, port: int, ends_at: float) -> None:
        super().__init__(host, port, context=_context())
        self._ends_at = ends_at
        self.response_class = response_class(ends_at, MAX_HEADER_BYTES + MAX_ANSWER_BYTES)

    @override
    def connect(self) -> None:
        addresses = resolved(self.host, self.port, seconds_left(self._ends_at))
        plain = connected(addresses, self._ends_at)
        try:
            self.sock = _context().wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
        self.sock.settimeout(seconds_left(self._ends_at))


@cache
def _context() -> ssl.SSLContext:
    """Return TLS that trusts Mozilla's authorities and those of this machine."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context
