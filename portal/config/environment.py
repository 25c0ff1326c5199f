"""Typed readers of environment variables: every setting of the portal comes through here.

A reader never guesses. A wrong or missing value is collected with its hint, and `finish()`
refuses to start with all of them at once, so that an operator mends a deployment in one go.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dj_database_url
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from portal.config.kept_secrets import KeptSecrets

TRUE = {"1", "true", "yes", "on"}


FALSE = {"0", "false", "no", "off", ""}


class Environment:
    """Reads variables from a mapping and remembers what was wrong with them."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.mistakes: list[str] = []
        self.asked: set[str] = set()

    def text(self, name: str, default: str | None = None) -> str:
        """Return the variable as it stands; without a default it must be set."""
        self.asked.add(name)
        value = self.variables.get(name, "").strip()
        if value:
            return value
        if default is None:
            self._mistake(name, "is not set.")
            return ""
        return default

    def boolean(self, name: str, *, default: bool) -> bool:
        """Return true for 1/true/yes/on and false for 0/false/no/off."""
        value = self.text(name, str(default)).lower()
        if value not in TRUE | FALSE:
            self._mistake(name, "must be true or false.")
        return value in TRUE

    def integer(self, name: str, *, default: int, least: int, most: int) -> int:
        """Return a whole number within the bounds, both included."""
        value = self.text(name, str(default))
        if not value.isdecimal() or not least <= int(value) <= most:
            self._mistake(name, f"must be a whole number from {least} to {most}.")
            return default
        return int(value)

    def words(self, name: str, default: str = "") -> list[str]:
        """Return the comma-separated parts, without blanks around them."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def networks(self, name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """Return the comma-separated IP networks (`10.0.0.0/8`)."""
        return self._converted(
            name,
            [],
            lambda value: [ipaddress.ip_network(part) for part in value],
            "must be a comma-separated list of IP networks, such as 10.0.0.0/8.",
        )

    def origin(self, name: str, default: str | None = None) -> str:
        """Return an address of the form scheme://host[:port], without a closing slash."""
        value = self.text(name, default).rstrip("/")
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.netloc or parts.path):
            self._mistake(name, "must be an address such as https://licenses.example.com.")
        return value

    def identity_providers(self, name: str, *, insecure: bool) -> list[dict[str, Any]]:
        """Return the OpenID Connect providers that NAME lists, as allauth takes them.

        Each word has variables of its own: `company` reads OIDC_COMPANY_ISSUER, …_CLIENT_ID,
        …_CLIENT_SECRET and …_NAME. `insecure` admits issuers by plain HTTP, for this machine.
        """
        words = self.words(name)
        if not all(word.isidentifier() and word.islower() for word in words):
            self._mistake(name, "must be lower-case words, such as company,google.")
            return []
        return [self._identity_provider(word, insecure=insecure) for word in words]

    def _identity_provider(self, word: str, *, insecure: bool) -> dict[str, Any]:
        own = f"OIDC_{word.upper()}"
        issuer = self.text(f"{own}_ISSUER").rstrip("/")
        schemes = {"https", "http"} if insecure else {"https"}
        if issuer and (urlsplit(issuer).scheme not in schemes or not urlsplit(issuer).netloc):
            self._mistake(f"{own}_ISSUER", "must be an address such as https://id.example.com.")
        return {
            "provider_id": word,
            "name": self.text(f"{own}_NAME", word.capitalize()),
            "client_id": self.text(f"{own}_CLIENT_ID"),
            "secret": self.secret(f"{own}_CLIENT_SECRET", kept=None, least=1),
            "settings": {"server_url": issuer, "oauth_pkce_enabled": True},
        }

    def database(self, name: str, *, sqlite: Path) -> dict[str, Any]:
        """Return Django's settings of the database at the address, by default an SQLite file."""
        value = self.text(name, f"sqlite:///{sqlite}")
        try:
            parsed = dict(dj_database_url.parse(value))
        except (dj_database_url.ParseError, ValueError):
            parsed = {}
        if parsed.get("ENGINE") not in {
            "django.db.backends.sqlite3",
            "django.db.backends.postgresql",
        }:
            self._mistake(
                name, "must be postgresql://user:password@host/name or sqlite:///absolute/path."
            )
        return parsed

    def secret(
        self, name: str, *, kept: KeptSecrets | None, least: int = 32, is_needed: bool = True
    ) -> str:
        """Return a secret from NAME, or from the file that NAME_FILE names.

        `kept` is given in the demonstration only: there a missing secret is made and kept. One
        that is not needed may be left out and is empty then.
        """
        self.asked |= {name, f"{name}_FILE"}
        value = self.variables.get(name, "").strip()
        path = self.variables.get(f"{name}_FILE", "").strip()
        if path:
            try:
                value = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                self._mistake(f"{name}_FILE", f"cannot be read: {error.strerror}.")
                return ""
        if not value and kept is not None:
            return kept.get(name)
        if len(value) < least and (value or is_needed):
            self._mistake(
                name,
                f"must be a secret of at least {least} characters, set directly or as the path "
                f"of a file in {name}_FILE.",
            )
        return value

    def encryption_keys(self, name: str, *, kept: KeptSecrets | None) -> list[str]:
        """Return Fernet keys, the newest first (32 bytes each, URL-safe base64)."""
        keys = [part.strip() for part in self.secret(name, kept=kept).split(",") if part.strip()]
        try:
            for key in keys:
                Fernet(key)
        except ValueError:
            self._mistake(
                name,
                "must be Fernet keys, comma-separated, the newest first; make one with: python -c "
                '"from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())".',
            )
        return keys

    def mailer(self, name: str, *, console: bool) -> dict[str, object]:
        """Return Django's mailer for smtp://user:password@host:port, smtps:// or console://."""
        parts = urlsplit(self.text(name, "console://" if console else None))
        if parts.scheme == "console":
            return {"BACKEND": "portal.mail.console.EmailBackend"}
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            self._mistake(name, "must be smtp://user:password@host:587 or smtps://…:465.")
        options = {
            "host": parts.hostname,
            "port": parts.port or (465 if parts.scheme == "smtps" else 587),
            "username": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "use_ssl": parts.scheme == "smtps",
            "use_tls": parts.scheme == "smtp" and bool(parts.username),
            "timeout": 20,
        }
        return {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": options}

    def finish(self) -> None:
        """Raise ImproperlyConfigured with every mistake that was found, if there is any."""
        if self.mistakes:
            raise ImproperlyConfigured(
                "The portal cannot start with this environment:\n- " + "\n- ".join(self.mistakes)
            )

    def refuse(self, name: str, hint: str) -> None:
        """Record a mistake that only shows when several variables are seen together."""
        self._mistake(name, hint)

    def _converted[T](
        self, name: str, default: T, convert: Callable[[list[str]], T], hint: str
    ) -> T:
        try:
            return convert(self.words(name))
        except ValueError:
            self._mistake(name, hint)
            return default

    def _mistake(self, name: str, hint: str) -> None:
        self.mistakes.append(f"{name} {hint}")
