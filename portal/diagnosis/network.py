"""The public address as others reach it: name, TLS, proxies, and the cache behind all nodes."""

import http.client
import json
import secrets
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache.backends.redis import RedisCache

from portal.diagnosis.findings import STEP_SECONDS, Finding, ok, reason, warning, wrong
from portal.programs.client_address import parsed
from portal.server import probe

MIN_DAYS = 3
NOTED_DAYS = 21
"""Days that a certificate is still valid; those of Let's Encrypt are renewed 30 days before."""

STRANGERS = {
    "X-Forwarded-For": "192.0.2.1",
    "Forwarded": "for=192.0.2.2",
    "X_Forwarded_For": "192.0.2.3",
}
"""Headers that a stranger might send, each with an address of its own (RFC 5737)."""

TOO_LARGE = 1024 * 1024 + 1
"""Bytes of a body that proxies refuse by default, or else the node. It is sent: Caddy shows no
answer while it waits for one that was announced."""

NODES_ASKED = 6
"""Requests that are sent to see whether several nodes answer."""

SHOWN_BYTES = 65_536

type Headers = Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """An answer of the public address."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def seen(self) -> dict[str, Any]:
        """Return what the node told of the request; empty where it was no node of ours."""
        try:
            told = json.loads(self.body)
        except ValueError:
            return {}
        return told if self.status == HTTPStatus.OK and isinstance(told, dict) else {}


def ask(
    path: str,
    *,
    method: str = "GET",
    headers: Headers | None = None,
    body: bytes | None = None,
    scheme: str = "",
) -> Answer:
    """Return the answer of the public address, by its own scheme or another. Raises OSError."""
    parts = urlsplit(settings.PUBLIC_URL)
    host = parts.hostname or ""
    client: http.client.HTTPConnection
    if (scheme or parts.scheme) == "https":
        client = http.client.HTTPSConnection(
            host, parts.port, timeout=STEP_SECONDS, context=ssl.create_default_context()
        )
    else:
        client = http.client.HTTPConnection(host, parts.port, timeout=STEP_SECONDS)
    try:
        client.connect()
        with suppress(ConnectionError, ssl.SSLEOFError):  # who refuses a body need not read it
            client.request(method, path, body, dict(headers or {}))
        answer = client.getresponse()
        return Answer(answer.status, answer.headers, answer.read(SHOWN_BYTES))
    except http.client.HTTPException as error:
        raise ConnectionError(f"no answer of HTTP ({type(error).__name__})") from error
    finally:
        client.close()


def address() -> Iterator[Finding]:
    """Look at the name, the certificate, HSTS, and where plain HTTP leads."""
    url, parts = settings.PUBLIC_URL, urlsplit(settings.PUBLIC_URL)
    try:
        days = _days_left(parts.hostname or "", parts.port or 443) if settings.HTTPS else None
        answer = ask("/healthz/live")
    except socket.gaierror as error:
        yield wrong(f"{url} has no address ({reason(error)}): set up its name in DNS.")
        return
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message
        yield wrong(f"The certificate of {url} does not count: {why}. Put a valid one in place.")
        return
    except OSError as error:
        yield wrong(
            f"{url} does not answer: {reason(error)}. Start the proxy, or let it be reached."
        )
        return
    if answer.status != HTTPStatus.OK:
        yield wrong(f"{url} answers {answer.status}, not as the portal: look at the proxy.")
        return
    if days is None:
        yield ok(f"{url} answers, by plain HTTP as the demonstration does.")
        return
    sentence = f"{url} answers; its certificate is valid for {days} days."
    if days < NOTED_DAYS:
        yield (wrong if days < MIN_DAYS else warning)(f"{sentence} Renew it.")
    else:
        yield ok(sentence)
    if "Strict-Transport-Security" not in answer.headers:
        yield wrong(
            "Strict-Transport-Security does not arrive: the portal does not see that requests come "
            "by HTTPS, or the proxy drops it."
        )
    if parts.port is None:
        yield from _plain_http()


def _days_left(host: str, port: int) -> int:
    context = ssl.create_default_context()
    with (
        socket.create_connection((host, port), STEP_SECONDS) as wire,
        context.wrap_socket(wire, server_hostname=host) as secure,
    ):
        certificate: Any = secure.getpeercert()
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    return (ends - datetime.now(UTC)).days


def _plain_http() -> Iterator[Finding]:
    try:
        answer = ask("/", scheme="http")
    except OSError:
        yield warning(
            "Plain HTTP (port 80) is not answered: whoever types the name gets an error. Let the "
            "proxy pass it to the nodes, which redirect to HTTPS."
        )
        return
    if not answer.headers.get("Location", "").startswith(f"{settings.PUBLIC_URL}/"):
        yield wrong(
            f"Plain HTTP is answered {answer.status} and not redirected to {settings.PUBLIC_URL}: "
            "let the proxy pass it to the nodes with X-Forwarded-Proto, or redirect it itself."
        )


def proxies() -> Iterator[Finding]:
    """See how the headers of proxies arrive, and whether a stranger's count."""
    yield from _too_wide()
    answers = [ask("/healthz/seen", headers=probe.proof({})) for _ in range(NODES_ASKED)]
    accepted = [answer.seen() for answer in answers if answer.seen()]
    if len(accepted) < NODES_ASKED:
        [status, *_] = sorted(answer.status for answer in answers if not answer.seen())
        which = "Some nodes do not accept" if accepted else "No node accepts"
        yield wrong(
            f"{which} what this process signs: {len(accepted)} of {NODES_ASKED} "
            f"requests to {settings.PUBLIC_URL} were accepted, others were answered {status}. "
            "Compare their SECRET_KEY, release, clock and database with those of this machine, and "
            "see that the proxy passes /healthz/seen on to the portal."
        )
    forged = ask("/healthz/seen", headers=STRANGERS | probe.proof({})).seen()
    if not accepted or not forged:
        return
    found = [*_arrived(accepted[0]), *_forged(forged)]
    yield from found
    if not found and len(accepted) == NODES_ASKED:
        yield ok(f"A client is seen as {accepted[0]['client']}, and a stranger cannot pose.")


def _too_wide() -> Iterator[Finding]:
    for network in settings.TRUSTED_PROXIES:
        if network.prefixlen == 0:
            yield wrong(f"TRUSTED_PROXIES believes everybody ({network}): name the proxies alone.")
        elif network.is_global and network.num_addresses > 1:
            yield warning(
                f"TRUSTED_PROXIES holds public addresses ({network}): name the proxies alone, "
                "unless all of these are."
            )


def _arrived(seen: dict[str, Any]) -> Iterator[Finding]:
    """Judge a request without headers of its own."""
    peer, is_forwarded = seen["peer"], bool(seen["x_forwarded_for"] or seen["forwarded"])
    if is_forwarded and not _is_trusted(peer):
        yield wrong(
            f"The proxy at {peer} is not believed: every client is taken for it, by limits and "
            f"logs. Set TRUSTED_PROXIES={peer}."
        )
    elif settings.HTTPS and not is_forwarded:
        yield wrong(
            f"The proxy at {peer} sends no X-Forwarded-For: every client is taken for it, by "
            "limits and logs. Let it set the header."
        )
    elif settings.HTTPS and not seen["is_secure"]:
        yield wrong(
            f"The proxy at {peer} does not say that clients use HTTPS, so that pages lead back to "
            "themselves. Let it set X-Forwarded-Proto."
        )
    if seen["host"] != urlsplit(settings.PUBLIC_URL).netloc:
        yield wrong(
            f"The proxy asks for the host {seen['host']}: let it pass on the client's Host header."
        )


def _forged(seen: dict[str, Any]) -> Iterator[Finding]:
    """Judge a request with the headers of STRANGERS."""
    senders = [part.strip() for part in seen["x_forwarded_for"].split(",") if part.strip()]
    for name, value in STRANGERS.items():
        if seen["client"] != value.removeprefix("for="):
            continue
        if len(senders) > 1 and _is_trusted(senders[-1]):
            yield warning(
                f"Whether {name} of a stranger counts cannot be seen from here, since this machine "
                f"is a trusted proxy itself ({senders[-1]}): run this on one that is none."
            )
        else:
            yield wrong(
                f"A stranger's {name} counts: who sends one is another client to limits and logs. "
                "Let the proxy replace it or append to it, and remove what it does not set."
            )


def _is_trusted(address_text: str) -> bool:
    found = parsed(address_text)
    return found is not None and any(found in network for network in settings.TRUSTED_PROXIES)


def terminals(*, provokes: bool = False) -> Iterator[Finding]:
    """See that a refusal of the proxy's own is JSON under /public/, which terminals understand.

    `provokes` makes a node answer what most proxies refuse, to see their 502.
    """
    sent = {"Content-Type": "application/json"}
    answers = [ask("/public/checklicense", method="POST", headers=sent, body=bytes(TOO_LARGE))]
    if provokes:
        answers.append(ask("/public/seen", headers=probe.proof({"breaks": True})))
    for answer in answers:
        kind = answer.headers.get_content_type()
        if kind != "application/json":
            yield wrong(
                f"Terminals get {answer.status} as {kind}, which crashes them: let the proxy say "
                "it in JSON under /public/."
            )
        elif answer.status != HTTPStatus.OK:
            yield ok(f"{answer.status} under /public/ is JSON.")
        else:
            yield ok("The proxy passes on what it might refuse, so its 502 was not seen.")


def shared_cache() -> Iterator[Finding]:
    """Write to the cache, read it by another connection, and let the nodes read it."""
    key, value = f"doctor-{secrets.token_hex(8)}", secrets.token_hex(8)
    if settings.CACHE_URL:
        writer, reader = _redis(), _redis()
        try:
            writer.set(key, value, timeout=30)
            found = reader.get(key)
        except Exception as error:  # noqa: BLE001 (redis's own errors, without loading it before)
            yield wrong(
                f"The cache at CACHE_URL does not answer: {reason(error)}. Start it, or correct "
                "CACHE_URL."
            )
            return
        if found != value:
            yield wrong(
                "The cache at CACHE_URL forgets what is written to it: give it memory, and no "
                "other user."
            )
            return
    try:
        question = probe.proof({"cache_key": key})
        seen = [ask("/healthz/seen", headers=question).seen() for _ in range(NODES_ASKED)]
    except OSError:
        seen = []
    nodes = {each["node"]: each["cached"] == value for each in seen if each}
    if not settings.CACHE_URL:
        yield _without_cache(len(nodes))
    elif blind := [node for node, reads in nodes.items() if not reads]:
        yield wrong(f"{blind[0]} does not read what is written here: give all one CACHE_URL.")
    else:
        yield ok(f"It is shared; processes that were asked: {len(nodes)}.")


def _redis() -> RedisCache:
    options = {"socket_connect_timeout": STEP_SECONDS, "socket_timeout": STEP_SECONDS}
    return RedisCache(settings.CACHE_URL, {"OPTIONS": options})


def _without_cache(processes: int) -> Finding:
    if processes > 1 and not settings.DEMONSTRATION:
        return wrong(
            f"{processes} processes answer and each counts limits for itself: set CACHE_URL."
        )
    return (
        ok("One process serves, and counts limits in its memory.")
        if processes < 2
        else ok("Several processes serve, as the demonstration may without a cache.")
    )
