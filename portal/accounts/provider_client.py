"""What the portal asks identity providers: their description, their keys, and a token for a code.

A provider is a foreign server that may be slow, broken or malicious. Every failure is raised as a
`ProviderError`, whose text is for the process log. Only DNS lookups have no deadline of ours: the
resolver limits them.
"""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, override
from urllib.parse import parse_qsl, urlsplit

import jwt
import requests
import urllib3
from allauth.socialaccount.models import SocialApp
from cryptography.exceptions import UnsupportedAlgorithm
from django.conf import settings
from django.utils.crypto import constant_time_compare
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from portal.core.bounded_http import connected, response_class, seconds_left

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""Signatures with a public key only: with a shared secret the portal could sign for itself."""

CLOCK_SKEW_SECONDS = 30
"""Seconds by which the clock of a provider may differ from ours."""

MAX_BYTES = 1 << 20
"""Bytes of one answer, headers included."""

MAX_ENDPOINT_CHARACTERS = 2000

PARAMETERS = {
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "grant_type",
    "max_age",
    "nonce",
    "prompt",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
}
"""What we send to endpoints, whose own query may hold none of it (RFC 6749 3.1 and 3.2)."""

AT_ONCE = 1
"""Conversations of one process at a time: its other threads must be free for others."""

WAITING = 1
"""Requests of one process that wait for a conversation to end; more are refused at once."""

WAIT_SECONDS = 0.5
"""Seconds for which they wait."""

KEPT_SECONDS = 600
"""Seconds for which a provider's description and its keys are used again."""

FAILURE_KEPT_SECONDS = 10
"""Seconds for which a provider that did not describe itself is not asked again."""

UNKNOWN_KEY_SECONDS = 60
"""Least seconds between two requests for keys because a token names an unknown one."""

MALFORMED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,  # of requests too
    RuntimeError,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    http.client.HTTPException,
    jwt.PyJWTError,
    urllib3.exceptions.HTTPError,
)
"""What is raised when an answer is malformed or does not arrive."""


class ProviderError(Exception):
    """Why a provider could not be asked, or why its answer does not hold."""


class ProvidersBusyError(ProviderError):
    """The process already has as many conversations as it may have."""


_slots = threading.BoundedSemaphore(AT_ONCE)
_places_to_wait = threading.BoundedSemaphore(WAITING)

_descriptions: dict[str, tuple[float, dict[str, Any] | str]] = {}
"""By issuer: when (Unix time), and the description or why there is none."""

_keys: dict[str, tuple[float, list[dict[str, Any]]]] = {}
"""By address of the keys: when (Unix time), and the published keys (RFC 7517)."""


class ProviderClient:
    """Asks one provider, within `settings.IDENTITY_PROVIDER_SECONDS` for each request of ours."""

    def __init__(self, app: SocialApp) -> None:
        self._app = app
        self._issuer: str = app.settings["server_url"]
        self._session: requests.Session | None = None

    def description(self) -> dict[str, Any]:
        """Return the provider's metadata (OpenID Connect Discovery 1.0, 3), checked.

        Raises ProviderError.
        """
        found = self._kept()
        if found is not None:
            return found
        with self._conversation():
            found = self._kept()  # of the conversation that this one waited for
            if found is not None:
                return found
            try:
                found = self._describe()
            except ProviderError as error:
                _descriptions[self._issuer] = time.time(), str(error)
                raise
        _descriptions[self._issuer] = time.time(), found
        return found

    def _kept(self) -> dict[str, Any] | None:
        """Return the description that is kept. Raises the ProviderError that is kept instead."""
        at, kept = _descriptions.get(self._issuer, (0.0, ""))
        age = time.time() - at
        if isinstance(kept, dict):
            return kept if 0 <= age < KEPT_SECONDS else None
        if kept and 0 <= age < FAILURE_KEPT_SECONDS:
            raise ProviderError(kept)
        return None

    def claims(self, *, code: str, verifier: str, redirect_uri: str, nonce: str) -> dict[str, Any]:
        """Return the claims of the ID token for an authorization code.

        They are validated as OpenID Connect Core 1.0, 3.1.3.7 says, always with the signature.
        Raises ProviderError.
        """
        with self._conversation():
            token = self._id_token(code, verifier, redirect_uri)
            with _foreign("the ID token does not hold"):
                claims = self._decoded(token)
                _check_claims(claims, client_id=self._app.client_id, nonce=nonce)
        return claims

    @contextmanager
    def _conversation(self) -> Iterator[None]:
        """Take one of the AT_ONCE slots and a session with a deadline, unless already taken."""
        if self._session is not None:
            yield
            return
        if not _take_slot():
            raise ProvidersBusyError("another conversation with a provider is under way")
        try:
            with bounded_session() as self._session:
                yield
        finally:
            self._session = None
            _slots.release()

    def _describe(self) -> dict[str, Any]:
        found = self._asked("GET", f"{self._issuer}/.well-known/openid-configuration")
        with _foreign("the description is malformed"):
            if found["issuer"].rstrip("/") != self._issuer:
                raise ProviderError("the description names another issuer")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                if not self._is_endpoint(found[name]):
                    raise ProviderError(f"the description has no {name} that can be used")
            methods = found.get("token_endpoint_auth_methods_supported", [])
            if not isinstance(methods, list):
                raise ProviderError("the description is malformed")
        return found

    def _is_endpoint(self, url: str) -> bool:
        """Return whether the address is absolute and, unless the issuer has none, uses TLS.

        It is printable ASCII, names no user, has no fragment, and none of PARAMETERS in its query.
        Raises ValueError for a wrong port.
        """
        parts = urlsplit(url)
        own = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        return (
            url.isascii()
            and url.isprintable()
            and len(url) <= MAX_ENDPOINT_CHARACTERS
            and not {" ", "#"} & {*url}
            and parts.scheme in {"https", urlsplit(self._issuer).scheme}
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and parts.port != 0
            and own.isdisjoint(PARAMETERS)
        )

    def _id_token(self, code: str, verifier: str, redirect_uri: str) -> str:
        """Return the ID token for the code (OpenID Connect Core 1.0, 3.1.3; RFC 7636 4.5)."""
        description = self.description()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        credentials = self._app.client_id, self._app.secret
        methods = description.get("token_endpoint_auth_methods_supported", [])
        auth = None
        if "client_secret_post" not in methods and "client_secret_basic" in methods:
            auth = HTTPBasicAuth(*credentials)
        else:
            form |= dict(zip(("client_id", "client_secret"), credentials, strict=True))
        answer = self._asked("POST", description["token_endpoint"], data=form, auth=auth)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderError("the answer to the code has no ID token")
        return token

    def _decoded(self, token: str) -> dict[str, Any]:
        kid = jwt.get_unverified_header(token).get("kid")
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(self._key(kid)),
            algorithms=ALGORITHMS,
            audience=self._app.client_id,
            issuer=self.description()["issuer"],
            leeway=CLOCK_SKEW_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
        return claims

    def _key(self, kid: object) -> dict[str, Any]:
        """Return the one published key with this identifier; None matches any key."""
        address = self.description()["jwks_uri"]
        at, keys = _keys.get(address, (0.0, []))
        age = time.time() - at
        found = [key for key in keys if kid is None or key.get("kid") == kid]
        if not 0 <= age < (KEPT_SECONDS if found else UNKNOWN_KEY_SECONDS):
            keys = self._published(address)
            _keys[address] = time.time(), keys
            found = [key for key in keys if kid is None or key.get("kid") == kid]
        if len(found) != 1:
            raise ProviderError("no published key has the identifier that the ID token names")
        return found[0]

    def _published(self, address: str) -> list[dict[str, Any]]:
        keys = self._asked("GET", address).get("keys")
        if not isinstance(keys, list):
            raise ProviderError("the published keys are malformed")
        return [key for key in keys if isinstance(key, dict) and key.get("use") in {None, "sig"}]

    def _asked(self, method: str, url: str, **sent: Any) -> dict[str, Any]:
        """Return the JSON object that the provider answers with."""
        assert self._session is not None, "inside a conversation"
        where = f"{method} {urlsplit(url)._replace(query='').geturl()}"
        with _foreign(f"no answer to {where}"):
            response = self._session.request(method, url, **sent)
        with _foreign(f"the answer to {where} is malformed, status {response.status_code}"):
            content = json.loads(response.content)
            if response.status_code not in {200, 201}:
                error = str(content["error"])[:100]
                raise ProviderError(f"{where} is answered {response.status_code}, {error}")
            if not isinstance(content, dict):
                raise TypeError(type(content).__name__)
        return content


def _take_slot() -> bool:
    """Return whether one of the slots is taken now."""
    if _slots.acquire(blocking=False):
        return True
    if not _places_to_wait.acquire(blocking=False):
        return False
    try:
        return _slots.acquire(timeout=WAIT_SECONDS)
    finally:
        _places_to_wait.release()


def bounded_session() -> requests.Session:
    """Return a session whose deadline runs from now, with MAX_BYTES and without redirects."""
    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"
    adapter = _BoundedAdapter(time.monotonic() + settings.IDENTITY_PROVIDER_SECONDS)
    for scheme in ("https://", "http://"):
        session.mount(scheme, adapter)
    return session


def _check_claims(claims: dict[str, Any], *, client_id: str, nonce: str) -> None:
    """Raise ProviderError for what PyJWT leaves to us (OpenID Connect Core 1.0, 2 and 3.1.3.7)."""
    audience, party = claims["aud"], claims.get("azp")
    is_for_several = isinstance(audience, list) and len(audience) > 1
    if party != client_id and (is_for_several or party is not None):
        raise ProviderError("the ID token is for another party")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise ProviderError("the ID token names no subject")
    if not constant_time_compare(claims["nonce"], nonce):
        raise ProviderError("the ID token belongs to another request")
    if "auth_time" in claims:
        at = claims["auth_time"]
        if isinstance(at, bool) or not isinstance(at, int | float):
            raise ProviderError("the ID token has an auth_time that is no number")
        if not at <= time.time() + CLOCK_SKEW_SECONDS:  # NaN is refused too
            raise ProviderError("the ID token has an auth_time in the future")


@contextmanager
def _foreign(problem: str) -> Iterator[None]:
    """Raise ProviderError when what a provider sent cannot be read."""
    try:
        yield
    except MALFORMED as error:
        raise ProviderError(f"{problem} ({type(error).__name__})") from error


class _BoundedAdapter(HTTPAdapter):
    """Sends requests that end at `ends_at` (`time.monotonic()`), whatever the server does."""

    def __init__(self, ends_at: float) -> None:
        self._pools = _pools(ends_at)
        self._ends_at = ends_at
        super().__init__(max_retries=0)

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    @override
    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager

    @override
    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """Raises RequestException for redirects too (a 307 takes the client secret along)."""
        kwargs["timeout"] = seconds_left(self._ends_at)
        response = super().send(request, *args, **kwargs)
        if 300 <= response.status_code < 400:
            response.close()
            raise requests.TooManyRedirects("Providers answer themselves.")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()  # MAX_BYTES is counted before decompression
            raise requests.exceptions.ContentDecodingError("This encoding was not asked for.")
        return response


def _pools(ends_at: float) -> dict[str, Any]:
    """Return urllib3's pools, by scheme, with connections that end at `ends_at`."""

    class Bounded:
        response_class: Any = response_class(ends_at, MAX_BYTES)

        def _new_conn(self) -> socket.socket:
            return _connected(self, ends_at)

    class Plain(Bounded, HTTPConnection): ...

    class Tls(Bounded, HTTPSConnection): ...

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _connected(connection: Any, ends_at: float) -> socket.socket:
    found = socket.getaddrinfo(connection._dns_host, connection.port, type=socket.SOCK_STREAM)
    addresses = [address for *_, address in found]
    return connected(addresses, ends_at, socket_options=connection.socket_options)
