"""Typed readers of environment variables: every setting of the portal comes through here.

A reader never guesses. Wrong and missing values are collected with hints, and `finish()` reports
all of them at once, so that an operator can correct a deployment in one go.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping
from email.errors import MessageError
from email.policy import EmailPolicy
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import psycopg
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email
from psycopg.conninfo import conninfo_to_dict

from portal.config.kept_secrets import KeptSecrets

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
NOT_IN_A_LINE = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of controls, surrogates, line separators and paragraph separators."""
DEFAULT_PORTS = {"http": 80, "https": 443}

MIN_DIFFERENT_CHARACTERS = 5
"""Least number of different characters in a secret, as in Django's check security.W009."""

MAX_DIGITS = 18
"""Digits of the longest number that is read; Python refuses thousands of them with an error."""

SQLITE = "django.db.backends.sqlite3"
POSTGRESQL = "django.db.backends.postgresql"

MAPPED_BITS = 96
"""Bits of ::ffff:0:0/96, the prefix of IPv4-mapped addresses (RFC 4291 2.5.5.2)."""

ESCAPES = "In user names and passwords write # as %23, / as %2F, ? as %3F, @ as %40, [ as %5B."

REDIS_NUMBERS = {
    "db": (0, 1_000_000),
    "socket_timeout": (0.01, 60),
    "socket_connect_timeout": (0.01, 60),
    "health_check_interval": (0, 3600),
    "protocol": (2, 3),
}
"""Options of Redis clients with their least and greatest values; times are seconds."""
REDIS_FILES = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
REDIS_OPTIONS = {
    *REDIS_NUMBERS,
    *REDIS_FILES,
    "max_connections",
    "socket_keepalive",
    "ssl_cert_reqs",
    "ssl_check_hostname",
}

ANYTHING, NUMBER = re.compile(".*"), re.compile("[0-9]{1,6}")
POSTGRESQL_OPTIONS = {
    "sslmode": re.compile("disable|allow|prefer|require|verify-ca|verify-full"),
    "sslnegotiation": re.compile("postgres|direct"),
    "channel_binding": re.compile("disable|prefer|require"),
    "gssencmode": re.compile("disable|prefer|require"),
    "target_session_attrs": re.compile("any|read-(write|only)|primary|(prefer-)?standby"),
    "load_balance_hosts": re.compile("disable|random"),
    "connect_timeout": NUMBER,
    "keepalives": NUMBER,
    "keepalives_idle": NUMBER,
    "keepalives_interval": NUMBER,
    "keepalives_count": NUMBER,
    "tcp_user_timeout": NUMBER,
}
"""Options that libpq judges when it connects only, with the values that they take."""

_DIGEST = re.compile(rb"[0-9A-Fa-f]{40}(?::[0-9]+)?\r?\n")

_HOST = re.compile(r"\.?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]", re.IGNORECASE)


class Environment:
    """Reads variables from a mapping and remembers what was wrong with them."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.mistakes: list[str] = []
        self.asked: set[str] = set()

    def text(self, name: str, default: str | None = None) -> str:
        """Return the variable as it stands; without a default it must be set."""
        self.asked.add(name)
        return self._line(name, self.variables.get(name, "").strip(), default)

    def text_or_file(self, name: str, default: str | None = None) -> str:
        """Return the variable, or what stands in the file that NAME_FILE names, as `text` does.

        For addresses, which may hold a password.
        """
        self.asked |= {name, f"{name}_FILE"}
        value = self._value_or_file(name)
        return "" if value is None else self._line(name, value, default)

    def _line(self, name: str, value: str, default: str | None) -> str:
        if any(unicodedata.category(character) in NOT_IN_A_LINE for character in value):
            self._mistake(name, "must be one line of text in UTF-8.")
            return default or ""
        if value:
            return value
        if default is None:
            self._mistake(name, "is not set.")
            return ""
        return default

    def _value_or_file(self, name: str) -> str | None:
        """Return what NAME holds, or the file that NAME_FILE names; None if it cannot be read."""
        path = self.variables.get(f"{name}_FILE", "").strip()
        if not path:
            return self.variables.get(name, "").strip()
        if self.variables.get(name, "").strip():
            self._mistake(name, f"is set, and {name}_FILE too: set one of them.")
            return self.variables[name].strip()
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            self._mistake(f"{name}_FILE", f"cannot be read: {error.strerror}.")
        except ValueError:
            self._mistake(f"{name}_FILE", "must be the path of a file with text in UTF-8.")
        return None

    def boolean(self, name: str, *, default: bool) -> bool:
        """Return true for 1/true/yes/on and false for 0/false/no/off."""
        value = self.text(name, str(default)).lower()
        if value not in TRUE | FALSE:
            self._mistake(name, "must be true or false.")
        return value in TRUE

    def integer(self, name: str, *, default: int, minimum: int, maximum: int) -> int:
        """Return a whole number within the bounds, both included."""
        value = self.text(name, str(default))
        if not value.isdecimal() or len(value) > MAX_DIGITS or not minimum <= int(value) <= maximum:
            self._mistake(name, f"must be a whole number from {minimum} to {maximum}.")
            return default
        return int(value)

    def words(self, name: str, default: str = "") -> list[str]:
        """Return the comma-separated parts, without spaces around them."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def choice(self, name: str, words: tuple[str, ...], default: str) -> str:
        """Return one of the words, in lower case."""
        value = self.text(name, default).lower()
        if value not in words:
            self._mistake(name, f"must be one of {', '.join(words)}.")
            return default
        return value

    def level(self, name: str, default: str) -> str:
        """Return a level of logging, in upper case."""
        value = self.text(name, default).upper()
        if value not in LEVELS:
            self._mistake(name, f"must be one of {', '.join(LEVELS)}.")
            return default
        return value

    def networks(self, name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """Return the comma-separated IP networks (`10.0.0.0/8`); IPv4-mapped ones as IPv4."""
        return self._converted(
            name,
            [],
            lambda value: [_unmapped(ipaddress.ip_network(part)) for part in value],
            "must be a comma-separated list of IP networks, such as 10.0.0.0/8.",
        )

    def hosts(self, name: str, default: str) -> list[str]:
        """Return the comma-separated host names; `.example.com` stands for all below that name."""
        hosts = [
            f"[{word}]" if word.count(":") > 1 and word[0] != "[" else word
            for word in self.words(name, default)
        ]
        if "*" in hosts:
            self._mistake(name, "must name the hosts of the portal, not *.")
        elif not all(map(_HOST.fullmatch, hosts)) or (not hosts and self.variables.get(name)):
            self._mistake(
                name, "must be host names without scheme and port, such as licenses.example.com."
            )
        return hosts

    def folder(self, name: str, default: Path, *, private: bool) -> Path:
        """Return the absolute path of a folder, which is made if it is not there.

        The portal must be able to write into it, and if it is `private`, other users of the
        machine must have no access.
        """
        path = Path(self.text(name, str(default))).absolute()
        reason = _why_not_writable(path)
        if reason:
            self._mistake(name, f"must be a folder that the portal can write into: {reason}.")
        elif private and path.stat().st_mode & 0o007:
            self._mistake(name, f"can be read by others: chmod o-rwx {path}")
        return path

    def file(self, name: str, default: Path) -> Path:
        """Return the absolute path of a file to be written, whose folder is made where NAME is set.

        The file need not exist yet.
        """
        path = Path(self.text(name, str(default))).absolute()
        if path == default:
            return path
        reason = _why_not_writable(path.parent)
        try:
            reason = reason or ("it is a folder" if path.is_dir() else "")
        except OSError as error:
            reason = error.strerror or str(error)
        if reason:
            self._mistake(name, f"must be a file that the portal can write: {reason}.")
        return path

    def list_of_digests(self, name: str) -> Path | None:
        """Return the absolute path of a file whose lines begin with a SHA-1, if one is named."""
        value = self.text(name, "")
        if not value:
            return None
        path = Path(value).absolute()
        try:
            with path.open("rb") as file:
                is_list = _DIGEST.match(file.read(64)) is not None
        except (OSError, ValueError) as error:
            self._mistake(name, f"cannot be read: {getattr(error, 'strerror', error)}.")
            return None
        if not is_list:
            self._mistake(name, "must hold sorted lines such as 000000005AD76BD5…B4:10.")
        return path

    def address(self, name: str, default: str) -> str:
        """Return the address of a page, https://… or http://…; empty where the default is."""
        value = self.text(name, default)
        if not value:
            return value
        parts = self._split(name, value, "must be an address such as https://shop.example.com.")
        if parts and (parts.scheme not in DEFAULT_PORTS or not _host(parts) or " " in value):
            self._mistake(name, "must be an address such as https://shop.example.com.")
        return value

    def email_address(self, name: str) -> str:
        """Return an email address, name@example.com; empty when there is none."""
        value = self.text(name, "")
        try:
            validate_email(value or "name@example.com")
        except ValidationError:
            self._mistake(name, "must be an email address such as support@example.com.")
        return value

    def contact(self, name: str) -> str:
        """Return an address as security.txt names it, mailto:… or https://…; empty for none."""
        value = self.text(name, "")
        hint = "must be mailto:security@example.com or https://example.com/report."
        if value.startswith("mailto:"):
            try:
                validate_email(value.removeprefix("mailto:"))
            except ValidationError:
                self._mistake(name, hint)
        elif value:
            parts = self._split(name, value, hint)
            if parts and (parts.scheme != "https" or not _host(parts) or " " in value):
                self._mistake(name, hint)
        return value

    def origin(self, name: str, default: str | None = None) -> str:
        """Return an address as browsers write it: scheme://host[:port], nothing after it.

        In lower case, names in IDNA, the port left out where it is the scheme's own.
        """
        hint = "must be an address such as https://licenses.example.com."
        value = self.text(name, default).rstrip("/")
        parts = self._split(name, value, hint)
        if not value or parts is None:
            return ""
        host = _host(parts)
        if parts.scheme not in DEFAULT_PORTS or not host or parts.path:
            self._mistake(name, hint)
            return ""
        if "@" in parts.netloc or parts.query or parts.fragment:
            self._mistake(name, f"has no user, query or fragment: it {hint}")
            return ""
        port = "" if parts.port in {None, DEFAULT_PORTS[parts.scheme]} else f":{parts.port}"
        return f"{parts.scheme}://{host}{port}"

    def cache(self, name: str) -> str:
        """Return the address of a Redis server, empty when there is none."""
        value = self.text_or_file(name, "")
        if not value:
            return ""
        hint = "must be redis://user:password@host:6379/0, rediss://… or unix:///path."
        parts = self._split(name, value, f"{hint} {ESCAPES}")
        if parts is None:
            return ""
        if parts.scheme == "unix":
            has_place = bool(parts.path)
        else:
            has_place = bool(_host(parts)) and re.fullmatch(r"(/\d*)?", parts.path) is not None
        if parts.scheme not in {"redis", "rediss", "unix"} or not has_place or parts.fragment:
            self._mistake(name, f"{hint} {ESCAPES}")
            return ""
        mistake = _mistake_in_redis_options(value, dict(parse_qsl(parts.query)))
        if mistake:
            self._mistake(name, mistake)
            return ""
        return value

    def identity_providers(self, name: str, *, insecure: bool) -> list[dict[str, Any]]:
        """Return the OpenID Connect providers that NAME lists, as allauth takes them.

        Each word has variables of its own: `company` reads OIDC_COMPANY_ISSUER, …_CLIENT_ID,
        …_CLIENT_SECRET and …_NAME. `insecure` admits issuers by plain HTTP, for this machine.
        """
        words = self.words(name)
        if not all(word.isidentifier() and word.islower() and word.isascii() for word in words):
            self._mistake(name, "must be lower-case words, such as company,google.")
            return []
        if len(set(words)) < len(words):
            self._mistake(name, "must name each provider once.")
            return []
        return [self._identity_provider(word, insecure=insecure) for word in words]

    def _identity_provider(self, word: str, *, insecure: bool) -> dict[str, Any]:
        own = f"OIDC_{word.upper()}"
        hint = "must be an address such as https://id.example.com."
        issuer = self.text(f"{own}_ISSUER").rstrip("/")
        schemes = {"https", "http"} if insecure else {"https"}
        parts = self._split(f"{own}_ISSUER", issuer, hint)
        if parts and issuer and (parts.scheme not in schemes or not _is_plain(parts)):
            self._mistake(f"{own}_ISSUER", hint)
            parts = None
        issuer = issuer if parts else ""
        return {
            "provider_id": word,
            "name": self.text(f"{own}_NAME", word.capitalize()),
            "client_id": self.text(f"{own}_CLIENT_ID"),
            "secret": self.secret(f"{own}_CLIENT_SECRET", kept=None, minimum=1),
            "settings": {"server_url": issuer, "oauth_pkce_enabled": True},
        }

    def database(self, name: str, *, sqlite: Path) -> dict[str, Any]:
        """Return Django's settings of the database at the address, by default an SQLite file."""
        value = self.text_or_file(name, "")
        if not value:  # not by an address: the path may hold # and ?
            return {"ENGINE": SQLITE, "NAME": str(sqlite)}
        if not value.startswith("sqlite:"):
            return self.postgresql(name, other="or sqlite:////absolute/path")
        path = unquote(value.removeprefix("sqlite:///"))
        if not path.startswith("/") or not {"?", "#"}.isdisjoint(value) or "\0" in path:
            self._mistake(
                name,
                "must be sqlite:////absolute/path. In the path write # as %23 and ? as %3F.",
            )
        return {"ENGINE": SQLITE, "NAME": path}

    def postgresql(self, name: str, *, other: str = "") -> dict[str, Any]:
        """Return Django's settings of the PostgreSQL database at the address; {} when not set.

        The address is read by libpq itself (PostgreSQL's manual, 32.1.1.2), so that it may list
        several hosts, or name the folder of a socket. `other` is what else the hint offers.
        """
        value = self.text_or_file(name, "")
        if not value:
            return {}
        hint = " ".join(filter(None, ["must be postgresql://user:password@host/name", other]))
        if not value.startswith(("postgresql://", "postgres://")) or "#" in value:
            self._mistake(name, f"{hint}. {ESCAPES}")
            return {}
        try:
            parts = conninfo_to_dict(value)
        except psycopg.Error:
            self._mistake(name, f"has a part that PostgreSQL does not know: it {hint}. {ESCAPES}")
            return {}
        hosts, ports = (str(parts.pop(part, "")) for part in ("host", "port"))
        if not parts.get("dbname") or not _are_hosts(hosts):
            self._mistake(name, f"{hint}. {ESCAPES}")
        elif not _are_ports(ports, hosts):
            self._mistake(
                name,
                f"has a wrong port: for each host one from 1 to 65535, or one for all. {ESCAPES}",
            )
        for option, given in parts.items():
            if not POSTGRESQL_OPTIONS.get(option, ANYTHING).fullmatch(str(given)):
                self._mistake(name, f"has a wrong value of {option}.")
        return {
            "ENGINE": POSTGRESQL,
            "NAME": parts.pop("dbname", ""),
            "USER": parts.pop("user", ""),
            "PASSWORD": parts.pop("password", ""),
            "HOST": hosts,
            "PORT": ports,
            "OPTIONS": parts,
        }

    def secret(
        self, name: str, *, kept: KeptSecrets | None, minimum: int = 32, is_needed: bool = True
    ) -> str:
        """Return a secret from NAME, or from the file that NAME_FILE names.

        `kept` is given in the demonstration only: there a missing secret is made and kept. A
        secret that is not needed may be left out, and is then empty.
        """
        self.asked |= {name, f"{name}_FILE"}
        value = self._value_or_file(name)
        if value is None:
            return ""
        if not value and kept is not None:
            try:
                return kept.get(name)
            except (OSError, ValueError) as error:
                self._mistake("DATA_DIR", f"cannot keep {name}: {error}")
                return ""
        if len(value) < minimum and (value or is_needed):
            self._mistake(
                name,
                f"must be a secret of at least {minimum} characters, set directly or as the path "
                f"of a file in {name}_FILE.",
            )
        elif not value.isprintable():
            self._mistake(name, "must be one line of printable text.")
            return ""
        elif value and len(set(value)) < min(minimum, MIN_DIFFERENT_CHARACTERS):
            self._mistake(
                name,
                f"must be a random secret: it has fewer than {MIN_DIFFERENT_CHARACTERS} different "
                "characters.",
            )
        return value

    def encryption_keys(self, name: str, *, kept: KeptSecrets | None) -> list[str]:
        """Return Fernet keys, the newest first (32 bytes each, URL-safe base64)."""
        keys = [part.strip() for part in self.secret(name, kept=kept).split(",") if part.strip()]
        try:
            for key in keys:
                Fernet(key)
        except ValueError:  # also for a key that is not ASCII
            self._mistake(
                name,
                "must be Fernet keys, comma-separated, the newest first; make one with: python -c "
                '"from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())".',
            )
        return keys

    def sender(self, name: str, default: str | None) -> str:
        """Return the sender of mail, `name@example.com` or `Name <name@example.com>`."""
        value = self.text(name, default)
        if value and not _is_sender(value):
            self._mistake(name, "must be an address such as Licenses <licenses@example.com>.")
        return value

    def mailer(self, name: str, *, console: bool) -> dict[str, object]:
        """Return Django's mailer for smtp://user:password@host:port, smtps:// or console://.

        smtp:// uses STARTTLS (RFC 3207) with every other machine; `console` (the demonstration)
        admits plain text where no password is sent.
        """
        hint = "must be smtp://user:password@host:587 or smtps://…:465."
        parts = self._split(
            name, self.text_or_file(name, "console://" if console else None), f"{hint} {ESCAPES}"
        )
        if parts is None:
            return {}
        if parts.scheme == "console":
            return {"BACKEND": "portal.mail.console.EmailBackend"}
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if parts.scheme not in {"smtp", "smtps"} or not _host(parts):
            self._mistake(name, hint)
        elif not (user + password).isascii():
            self._mistake(name, "has a user name or password beyond ASCII: SMTP takes none.")
        elif parts.path.strip("/") or parts.query or parts.fragment:
            self._mistake(name, f"{hint} {ESCAPES}")
        is_other = not (console or _is_this_machine(parts.hostname or ""))
        options = {
            "host": _host(parts).strip("[]"),
            "port": parts.port or (465 if parts.scheme == "smtps" else 587),
            "username": user,
            "password": password,
            "use_ssl": parts.scheme == "smtps",
            "use_tls": parts.scheme == "smtp" and (bool(parts.username) or is_other),
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

    def _split(self, name: str, value: str, hint: str) -> SplitResult | None:
        """Return the parts of an address whose brackets and port are right, else None."""
        try:
            parts = urlsplit(value)
            if parts.port != 0 and "\0" not in unquote(value):
                return parts
        except ValueError:
            pass
        self._mistake(name, hint)
        return None

    def _converted[T](
        self, name: str, default: T, convert: Callable[[list[str]], T], hint: str
    ) -> T:
        try:
            return convert(self.words(name))
        except ValueError:
            self._mistake(name, hint)
            return default

    def _mistake(self, name: str, hint: str) -> None:
        if (mistake := f"{name} {hint}") not in self.mistakes:  # a variable may be read twice
            self.mistakes.append(mistake)


def _host(parts: SplitResult) -> str:
    """Return the host of an address in IDNA, with brackets as a request names it, or nothing."""
    try:
        host = unquote(parts.hostname or "").encode("idna").decode()
    except UnicodeError:
        return ""
    shown = f"[{host}]" if ":" in host else host
    return shown if _HOST.fullmatch(shown) else ""


def _are_hosts(text: str) -> bool:
    """Return whether these are hosts or folders of sockets as libpq lists them, or nothing."""
    return not text or all(
        host.startswith("/") or _HOST.fullmatch(f"[{host}]" if ":" in host else host)
        for host in text.split(",")
    )


def _are_ports(text: str, hosts: str) -> bool:
    """Return whether these are ports of the hosts; one may stand for all, or be left out."""
    ports = text.split(",")
    return len(ports) in {1, len(hosts.split(","))} and all(
        not port or (NUMBER.fullmatch(port) and 0 < int(port) < 65_536) for port in ports
    )


def host_of(origin: str) -> str:
    """Return the host of an address as a request's Host names it, without port."""
    host = urlsplit(origin).hostname or ""
    return f"[{host}]" if ":" in host else host


def _why_not_writable(folder: Path) -> str:
    """Make a folder for its owner alone, unless it is there; return why it cannot be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return ""
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)


def _is_sender(value: str) -> bool:
    """Return whether a From header can hold the text, as one address that mail comes from."""
    try:
        header: Any = EmailPolicy().header_factory("From", value)
        [address] = header.addresses
        validate_email(address.addr_spec)
    except (ValueError, IndexError, MessageError, ValidationError):
        return False
    return not header.defects and address.addr_spec.isascii()


def _mistake_in_redis_options(address: str, options: dict[str, str]) -> str:
    """Return what is wrong with the options behind the address of a Redis server, or nothing."""
    from redis import ConnectionPool, RedisError  # noqa: PLC0415 (7 MB that few processes need)

    try:
        pool = ConnectionPool.from_url(address)
        pool.make_connection()  # which connects to nothing yet
    except (ValueError, TypeError, RedisError):
        return "has an option that Redis clients do not take, or a wrong value of one."
    if not options.keys() <= REDIS_OPTIONS:
        return f"has other options than {', '.join(sorted(REDIS_OPTIONS))}."
    for option, (minimum, maximum) in REDIS_NUMBERS.items():
        if not minimum <= pool.connection_kwargs.get(option, minimum) <= maximum:
            return f"has a wrong {option}: it must be from {minimum} to {maximum}."
    for option in REDIS_FILES & options.keys():
        if not Path(options[option]).is_file():
            return f"names a file in {option} that is not there."
    return ""


def _is_plain(parts: SplitResult) -> bool:
    """Return whether an address has a host, and no user, query or fragment."""
    return bool(_host(parts)) and not ("@" in parts.netloc or parts.query or parts.fragment)


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unmapped(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((mapped, network.prefixlen - MAPPED_BITS))
