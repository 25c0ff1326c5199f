"""A small identity provider: OpenID Connect over HTTP on this machine, with real signatures."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT_ID, CLIENT_SECRET = "portal", "s3cret: of the portal"
DESCRIPTION = "/.well-known/openid-configuration"


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class IdentityServer:
    """Signs in whoever `person` says, without asking; remembers what it was asked.

    `person` are claims of the ID token. `asks` is whether it obeys `max_age=0`, by an `auth_time`
    of now; else its `auth_time` is an hour ago. `claims` are put over the claims of the ID token
    (None takes one away), and `key` may be another one than it publishes.

    `instead` holds, by path, what it answers in place of the right thing: a value as JSON, or a
    function of the request's handler that answers as it likes (below). `asked` are the paths that
    it was asked for, `kid` the identifier of the key.
    """

    def __init__(self, word: str = "company") -> None:
        self.word = word
        self.instead: dict[str, Any] = {}
        self.asked: list[str] = []
        self.kid = "1"
        self.is_over = threading.Event()
        self.person: dict[str, Any] = {"sub": "ada", "email": "ada@id.example", "name": "Ada"}
        self.asks = True
        self.claims: dict[str, Any] = {}
        self.requests: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        self.key = self._published = _rsa_key()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://localhost:{self._server.server_port}/realm"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def as_setting(self) -> dict[str, Any]:
        """What portal.settings makes of the environment for this provider."""
        return {
            "provider_id": self.word,
            "name": self.word.capitalize(),
            "client_id": CLIENT_ID,
            "secret": CLIENT_SECRET,
            "settings": {"server_url": self.issuer, "oauth_pkce_enabled": True},
        }

    @property
    def as_environment(self) -> dict[str, str]:
        """The variables with which a process of the portal knows this provider."""
        return {
            "OIDC_PROVIDERS": "company",
            "OIDC_COMPANY_ISSUER": self.issuer,
            "OIDC_COMPANY_CLIENT_ID": CLIENT_ID,
            "OIDC_COMPANY_CLIENT_SECRET": CLIENT_SECRET,
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser goes next: back to the portal with a code."""
        self.requests.append(query)
        code = secrets.token_urlsafe()
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Return the tokens for a code (RFC 6749 4.1.3, RFC 7636 4.6), once; None refuses."""
        query = self._codes.pop(form.get("code", ""), None)
        proven = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proven).rstrip(b"=").decode()
        sent = form.get("client_id"), form.get("client_secret"), form.get("redirect_uri")
        if query is None or sent != (CLIENT_ID, CLIENT_SECRET, query["redirect_uri"]):
            return None
        if challenge != query["code_challenge"]:
            return None
        return {"access_token": "opaque", "token_type": "Bearer", "id_token": self._signed(query)}

    def _signed(self, query: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": query["nonce"],
            "auth_time": now if self.asks and query.get("max_age") == "0" else now - 3600,
            **self.person,
            **self.claims,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self.key, "RS256", headers={"kid": self.kid})

    def describe(self) -> dict[str, Any]:
        """Return the provider's description of itself (OpenID Connect Discovery 1.0, 4.2)."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def keys(self) -> dict[str, Any]:
        """Return the published keys."""
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._published.public_key()))
        return {"keys": [public | {"kid": self.kid, "use": "sig", "alg": "RS256"}]}

    def misbehaves(self, handler: Any) -> bool:
        """Answer as `instead` says and return True, if it says anything about this path."""
        path = urlsplit(handler.path).path.removeprefix("/realm")
        self.asked.append(path)
        if path not in self.instead:
            return False
        answer = self.instead[path]
        handler.is_over, handler.close_connection = self.is_over, True
        with suppress(OSError):  # who asked does not wait for the end
            if callable(answer):
                answer(handler)
            else:
                answering(200, json.dumps(answer).encode())(handler)
        return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if server.misbehaves(self):
                    return
                match parts.path.removeprefix("/realm"):
                    case "/.well-known/openid-configuration":
                        self._json(server.describe())
                    case "/keys":
                        self._json(server.keys())
                    case "/authorize":
                        self.send_response(302)
                        self.send_header("Location", server.authorize(dict(parse_qsl(parts.query))))
                        self.end_headers()
                    case _:
                        self.send_error(404)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if server.misbehaves(self):
                    return
                form = {name: values[0] for name, values in parse_qs(body).items()}
                tokens = server.token(form)
                self._json(tokens or {"error": "invalid_grant"}, 200 if tokens else 400)

            def _json(self, content: dict[str, Any], status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(content).encode())

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


def answering(status: int, body: bytes = b"", **headers: str) -> Callable[[Any], None]:
    """Answer with this status, body and headers (`_` stands for `-`)."""

    def answer(handler: Any) -> None:
        handler.send_response(status)
        for name, value in {"Content_Type": "application/json", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def dripping(start: bytes) -> Callable[[Any], None]:
    """Answer with `start`, then a byte at a time for as long as somebody listens."""

    def answer(handler: Any) -> None:
        handler.wfile.write(start)
        while not handler.is_over.wait(0.02):
            handler.wfile.write(b" ")

    return answer


def hanging(handler: Any) -> None:
    """Answer nothing until the provider is over."""
    handler.is_over.wait()


def closing(handler: Any) -> None:
    """Close the connection without an answer."""


def endless(handler: Any) -> None:
    """Answer with more than anybody needs, for as long as somebody listens."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while not handler.is_over.is_set():
        handler.wfile.write(b" " * 65536)
