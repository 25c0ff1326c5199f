"""Every variable of the settings, with nasty values: the portal starts or names the variable."""

import email.policy
import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache.backends.redis import RedisCacheClient
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend
from django.db.backends.sqlite3.base import DatabaseWrapper
from redis import RedisError

from tests.support.environment import COMPANY, PRODUCTION

SETTINGS = Path(settings.BASE_DIR) / "portal" / "settings.py"
CODE = compile(SETTINGS.read_text("utf-8"), SETTINGS, "exec")
VARIABLES = sorted(
    {
        *re.findall(r'\benv\.\w+\(\s*"([A-Z_]+)"', SETTINGS.read_text("utf-8")),
        *(f"{name}_FILE" for name in ("SECRET_KEY", "LOG_KEY", "KEY_ENCRYPTION_KEYS")),
        *COMPANY,
    }
)
ASKS_FOR_OTHERS = {"DEMONSTRATION", "OIDC_PROVIDERS"}
"""Variables of which a right value makes others necessary, which are named then."""

READ_OTHERWISE = {"DEMONSTRATION", "DEBUG", "DATA_DIR", "PUBLIC_URL", "SECRET_KEY", "MAIL_URL"}
"""Variables that the demonstration reads in another way."""

WRITTEN = {"DATA_DIR", "LOG_ANCHORS_FILE"}
"""Variables whose folder is made."""

NASTY = [
    " ",
    ",",
    "0",
    "-1",
    "1.5",
    "²",
    "9" * 5000,
    "a" * 300,
    "maybe",
    "debug",
    "[",
    "]",
    "[::1",
    "#",
    "?",
    "/",
    "//",
    "://",
    ":",
    "@",
    "%",
    "%zz",
    "{tid}{",
    "a\nb",
    "a\rb",
    "a\x7fb",
    "\u202eb",
    "\udcff",
    "köln",
    "*",
    "/dev/null",
    "/nowhere/at/all",
    "/proc",
    "http://[",
    "https://licenses.example.com:99999",
    "https://licenses.example.com:port",
    "https://licenses.example.com:0",
    "https://user:pass@licenses.example.com",
    "https://licenses.example.com?x=1#y",
    "https://licenses.example.com/path",
    "https://a b",
    "https://..",
    "javascript:alert(1)",
    "smtp://user:pa#ss@mail.example.com",
    "smtp://user:pa/ss@mail.example.com",
    "smtp://user:pa[ss@mail.example.com",
    "smtp://user:pass@mail.example.com:smtp",
    "smtp://user:pass@mail.example.com:0",
    "smtp://:25",
    "smtps://a..b",
    "smtps://a%00b",
    "smtps://u:p%C3%A4ss@mail.example.com",
    "x@b..c",
    "x(y)z@b.cc",
    "x@b.cc, y@b.cc",
    "Licenses: Portal <x@b.cc>",
    "Zoë <zoë@b.cc>",
    "Zo\u2028e <x@b.cc>",
    '"Portal <x@b.cc>',
    "smtps://mail.example.com/path",
    "cache.example.com",
    "cache.example.com:6379",
    "memcached://cache.example.com",
    "redis://",
    "redis://[",
    "redis://cache.example.com:port",
    "redis://cache.example.com/zero",
    "redis://cache.example.com?nonsense=1",
    "redis://a..b:6379/0",
    "redis://a%00b",
    "redis://cache.example.com?db=-1",
    "redis://cache.example.com?socket_timeout=-1",
    "redis://cache.example.com?socket_timeout=nan",
    "redis://cache.example.com?encoding=xyz",
    "redis://cache.example.com?retry=3",
    "redis://cache.example.com?credential_provider=x",
    "redis://cache.example.com?protocol=7",
    "rediss://cache.example.com?ssl_ca_certs=/nowhere",
    "rediss://cache.example.com?ssl_cert_reqs=maybe",
    "unix:///nowhere%00",
    "redis://:pa#ss@cache.example.com",
    "unix://",
    "mysql://database.example.com/portal",
    "postgresql://",
    "postgresql://database.example.com",
    "postgresql://user:pa#ss@database.example.com/portal",
    "postgresql://user:pa/ss@database.example.com/portal",
    "postgresql://database.example.com:port/portal",
    "postgresql://database.example.com:0/portal",
    "postgresql://a.example.com:1,b.example.com:99999/portal",
    "postgresql://a.example.com:1,b.example.com:2,c.example.com/portal?port=1,2",
    "postgresql://a.example.com,,b.example.com/portal",
    "postgresql://user:p@ss@database.example.com/portal",
    "host=database.example.com dbname=portal",
    "postgresql://database.example.com/portal?nonsense=1",
    "postgresql://database.example.com/portal?sslmode=foo",
    "postgresql://database.example.com/portal?connect_timeout=abc",
    "postgresql://database.example.com/portal?target_session_attrs=mine",
    "postgresql://database.example.com/portal?application_name=a%00b",
    "sqlite://",
    "sqlite:///",
    "sqlite://:memory:",
    "sqlite:///relative",
    "sqlite:////tmp/with#hash",
    "::ffff:10.0.0.0/104",
    "10.0.0.0/33",
    "company,company",
]


def loaded(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> dict[str, Any]:
    """Return what the settings say in an environment of these variables alone."""
    monkeypatch.setattr(os, "environ", variables)
    made: dict[str, Any] = {"__name__": "portal.settings", "__file__": str(SETTINGS)}
    exec(CODE, made)
    return made


def outcome(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> tuple[dict[str, Any] | None, str]:
    """Return the settings and an empty text, or None and the refusal; other errors pass."""
    try:
        return loaded(monkeypatch, variables), ""
    except ImproperlyConfigured as refusal:
        return None, str(refusal)


def must_work(made: dict[str, Any]) -> None:
    """Build what Django builds of the settings when the first request needs it."""
    [mailer] = made["MAILERS"].values()
    if "OPTIONS" in mailer:
        assert mailer["OPTIONS"]["host"]
        assert mailer["OPTIONS"]["port"] in range(1, 65_536)
        assert mailer["OPTIONS"]["host"].encode("idna")
        assert (mailer["OPTIONS"]["username"] + mailer["OPTIONS"]["password"]).encode("ascii")
    mail = EmailMessage(made["PORTAL_NAME"], "", made["MAIL_FROM"], ["a@b.example"])
    assert mail.message(policy=email.policy.SMTP).as_bytes()
    assert "@" in SmtpBackend.prep_address(None, mail.from_email)
    if made["CACHE_URL"]:
        [place] = made["CACHES"]["default"]["LOCATION"]
        RedisCacheClient([place]).get_client().connection_pool.make_connection()
    if made["DATABASES"]["default"]["ENGINE"].endswith("sqlite3"):
        database = made["DATABASES"]["default"]
        assert DatabaseWrapper({"OPTIONS": {}, **database}).get_connection_params()
        assert database["NAME"].startswith("/")


def bases(tmp_path: Path) -> list[dict[str, str]]:
    folder = {"DATA_DIR": str(tmp_path / "data")}
    return [PRODUCTION | COMPANY | folder, {"DEMONSTRATION": "true"} | folder]


def test_the_environments_that_are_changed_below_start(monkeypatch, tmp_path):
    for base in bases(tmp_path):
        must_work(loaded(monkeypatch, base))
    assert len(VARIABLES) > 35


@pytest.mark.parametrize("name", VARIABLES)
def test_a_nasty_value_starts_or_is_named(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for base in bases(tmp_path)[: 2 if name in READ_OTHERWISE else 1]:
        for value in NASTY:
            if name in WRITTEN and value.startswith("/"):
                value = f"{tmp_path}{value}"  # noqa: PLW2901 (it is made and written into)
            made, refusal = outcome(monkeypatch, base | {name: value})
            if made is not None:
                must_work(made)
            else:
                assert name in refusal or name in ASKS_FOR_OTHERS, (value, refusal)
                assert not re.search(r"pa[#/\[]ss|s3cret|l0g", refusal)


@pytest.mark.parametrize("name", sorted(WRITTEN))
@pytest.mark.parametrize("value", ["/proc/nope", "/proc/nope/x", "/dev/null/x", "x" * 300 + "/y"])
def test_what_cannot_be_written_is_named(name, value, monkeypatch, tmp_path):
    folder = {"DATA_DIR": str(tmp_path / "data")}
    _, refusal = outcome(monkeypatch, PRODUCTION | folder | {name: value})
    assert [line.split()[1] for line in refusal.splitlines()[1:]] == [name]


def test_the_anchors_are_a_file_in_a_folder_that_is_made(monkeypatch, tmp_path):
    base = PRODUCTION | {"DATA_DIR": str(tmp_path / "data")}
    assert "LOG_ANCHORS_FILE" in outcome(monkeypatch, base | {"LOG_ANCHORS_FILE": "/tmp"})[1]
    file = tmp_path / "other" / "anchors"
    assert loaded(monkeypatch, base | {"LOG_ANCHORS_FILE": str(file)})["LOG_ANCHORS_FILE"] == file
    assert file.parent.is_dir()


@pytest.mark.parametrize(
    ("options", "starts"),
    [
        ("sslmode=verify-full&connect_timeout=3&target_session_attrs=read-write", True),
        ("application_name=portal&keepalives=1", True),
        ("sslmode=foo", False),
        ("connect_timeout=abc", False),
        ("keepalives_idle=-1", False),
    ],
)
def test_options_of_the_database_have_values_that_it_takes(options, starts, monkeypatch, tmp_path):
    address = f"postgresql://database.example.com/portal?{options}"
    folder = {"DATA_DIR": str(tmp_path / "data")}
    made, refusal = outcome(monkeypatch, PRODUCTION | folder | {"DATABASE_URL": address})
    assert (made is not None, "- DATABASE_URL has" in refusal) == (starts, not starts)


SEVERAL = {"HOST": "a.example.com,::1,b", "PORT": "5433,5432,", "NAME": "portal"}
SOCKET = {"HOST": "/run/postgresql", "PORT": "", "NAME": "portal"}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql://u:p%40@a.example.com:5433,[::1]:5432,b/portal", SEVERAL),
        ("postgres://u:p%40@a.example.com:5433,[::1]:5432,b/portal", SEVERAL),
        ("postgresql://u:p%40@/portal?host=/run/postgresql", SOCKET),
        ("postgresql://u:p%40@%2Frun%2Fpostgresql/portal", SOCKET),
    ],
)
def test_hosts_of_the_database_are_kept_for_libpq(address, expected, monkeypatch, tmp_path):
    base = PRODUCTION | {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": address}
    database = loaded(monkeypatch, base)["DATABASES"]["default"]
    assert {name: database[name] for name in expected} == expected
    assert (database["USER"], database["PASSWORD"]) == ("u", "p@")


OWNER = "postgresql://owner@database.example.com/portal"
OWNERS = [
    ("", OWNER, "needs a DATABASE_URL that names the portal's role."),
    ("postgresql://database.example.com/portal", OWNER, "needs a DATABASE_URL that names"),
    (OWNER, OWNER, "must name another role than DATABASE_URL."),
    ("postgresql://portal@db/portal", "sqlite:////tmp/x", "must be postgresql://user:password@"),
]


@pytest.mark.parametrize(("url", "owner", "sentence"), OWNERS)
def test_the_owner_of_the_tables_is_another_role(url, owner, sentence, monkeypatch, tmp_path):
    base = PRODUCTION | {"DATA_DIR": str(tmp_path / "data")}
    addresses = {"DATABASE_URL": url, "MIGRATION_DATABASE_URL": owner}
    _, refusal = outcome(monkeypatch, base | addresses)
    assert f"- MIGRATION_DATABASE_URL {sentence}" in refusal


def test_through_pgbouncer_nothing_is_kept_in_a_connection(monkeypatch, tmp_path):
    base = PRODUCTION | {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": OWNER}
    made = loaded(monkeypatch, base | {"DATABASE_PGBOUNCER": "true"})["DATABASES"]["default"]
    assert (made["OPTIONS"]["prepare_threshold"], made["DISABLE_SERVER_SIDE_CURSORS"]) == (
        None,
        True,
    )
    assert "options" not in made["OPTIONS"]  # which PgBouncer refuses
    made = loaded(monkeypatch, base | {"DATABASE_LOCK_SECONDS": "7"})["DATABASES"]["default"]
    assert "-c lock_timeout=7s" in made["OPTIONS"]["options"]


def test_the_public_host_is_always_answered(monkeypatch, tmp_path):
    folder = {"DATA_DIR": str(tmp_path / "data")}
    made = loaded(monkeypatch, PRODUCTION | folder | {"ALLOWED_HOSTS": "other.example.com"})
    assert made["ALLOWED_HOSTS"] == ["licenses.example.com", "other.example.com"]


def test_the_folder_of_the_data_may_have_any_name(monkeypatch, tmp_path):
    folder = tmp_path / "with#hash and?mark%20"
    made = loaded(monkeypatch, PRODUCTION | {"DATA_DIR": str(folder)})
    assert made["DATABASES"]["default"]["NAME"] == str(folder / "portal.sqlite3")
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("mode", "starts"), [(0o755, False), (0o701, False), (0o750, True)])
def test_the_folder_of_the_data_is_closed_to_others_in_production(
    mode, starts, monkeypatch, tmp_path
):
    tmp_path.chmod(mode)
    _, refusal = outcome(monkeypatch, PRODUCTION | {"DATA_DIR": str(tmp_path)})
    sentence = f"- DATA_DIR can be read by others: chmod o-rwx {tmp_path}"
    assert refusal.splitlines()[1:] == ([] if starts else [sentence])


@pytest.mark.parametrize(
    ("given", "origin", "hosts"),
    [
        ("https://licenses.example.com:8443", "https://licenses.example.com:8443", None),
        ("HTTPS://Licenses.Example.com:443/", "https://licenses.example.com", None),
        ("https://lizenzen.köln", "https://lizenzen.xn--kln-sna", ["lizenzen.xn--kln-sna"]),
        ("https://[2001:db8::5]:8443", "https://[2001:db8::5]:8443", ["[2001:db8::5]"]),
    ],
)
def test_the_public_address_is_what_browsers_send(given, origin, hosts, monkeypatch, tmp_path):
    made = loaded(
        monkeypatch, PRODUCTION | {"DATA_DIR": str(tmp_path / "data"), "PUBLIC_URL": given}
    )
    assert (made["PUBLIC_URL"], made["ALLOWED_HOSTS"], made["CSRF_TRUSTED_ORIGINS"]) == (
        origin,
        hosts or ["licenses.example.com"],
        [origin],
    )


@pytest.mark.parametrize(
    "given", ["https://user@x.example", "https://x.example?q", "https://x.example/#f"]
)
def test_the_public_address_has_nothing_but_scheme_host_and_port(given, monkeypatch, tmp_path):
    with pytest.raises(ImproperlyConfigured, match=r"PUBLIC_URL"):
        loaded(monkeypatch, PRODUCTION | {"DATA_DIR": str(tmp_path), "PUBLIC_URL": given})


@pytest.mark.parametrize("word", ["debug", "Debug", "DEBUG"])
def test_a_level_of_the_log_is_read_in_any_case(word, monkeypatch, tmp_path):
    made = loaded(monkeypatch, PRODUCTION | {"DATA_DIR": str(tmp_path / "data"), "LOG_LEVEL": word})
    assert made["LOGGING"]["root"]["level"] == "DEBUG"


@pytest.mark.parametrize(
    ("address", "tls", "ssl"),
    [
        ("smtp://mail.example.com", True, False),
        ("smtp://user:pass@mail.example.com:587", True, False),
        ("smtps://mail.example.com", False, True),
        ("smtp://localhost:25", False, False),
        ("smtp://127.0.0.1:25", False, False),
        ("smtp://[::1]:25", False, False),
        ("smtp://user:pass@localhost", True, False),
    ],
)
def test_mail_goes_to_another_machine_over_tls_only(address, tls, ssl, monkeypatch, tmp_path):
    folder = {"DATA_DIR": str(tmp_path / "data")}
    made = loaded(monkeypatch, PRODUCTION | folder | {"MAIL_URL": address})
    options = made["MAILERS"]["default"]["OPTIONS"]
    assert (options["use_tls"], options["use_ssl"]) == (tls, ssl)


GOOD_CACHES = [
    "redis://127.0.0.1:1/0?socket_timeout=0.5&health_check_interval=30&protocol=3",
    "rediss://user:p%C3%A4ss@localhost:1?db=2&ssl_cert_reqs=none&ssl_check_hostname=false",
    "redis://[::1]:1?max_connections=5&socket_keepalive=true&socket_connect_timeout=1",
    "unix:///nowhere/redis?db=1",
]


@pytest.mark.parametrize("address", [value for value in NASTY if "redis" in value] + GOOD_CACHES)
def test_a_cache_is_refused_at_the_start_or_falls_back(address, monkeypatch, tmp_path):
    folder = {"DATA_DIR": str(tmp_path / "data")}
    made, refusal = outcome(monkeypatch, PRODUCTION | folder | {"CACHE_URL": address})
    assert (made is None) is (address not in GOOD_CACHES), refusal
    if made is not None:
        with pytest.raises((RedisError, OSError)):  # as SharedCache expects
            RedisCacheClient(made["CACHES"]["default"]["LOCATION"]).get("key", None)


@pytest.mark.parametrize(
    ("sender", "starts"),
    [
        ("x@b.cc", True),
        ("<x@b.cc>", True),
        ("Müller Co <x@b.cc>", True),
        ("Müller.Co <x@b.cc>", False),
        ('"A, B" <x@b.cc>', True),
        ("x@b..c", False),
        ("x(y)z@b.cc", False),
        ("A, B <x@b.cc>", False),
        ("x@b.cc\u2028", True),  # a blank at the end
        ("x\u2029 <x@b.cc>", False),
    ],
)
def test_the_sender_is_one_address_that_mail_can_come_from(sender, starts, monkeypatch, tmp_path):
    folder = {"DATA_DIR": str(tmp_path / "data")}
    made, refusal = outcome(monkeypatch, PRODUCTION | folder | {"MAIL_FROM": sender})
    assert (made is not None) is starts, refusal
    if made is not None:
        must_work(made)


def test_cookies_are_bound_to_this_host_under_https(monkeypatch, tmp_path):
    [production, demonstration] = [loaded(monkeypatch, base) for base in bases(tmp_path)]
    names = ["SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME"]
    assert [production[name] for name in names] == ["__Host-sessionid", "__Host-csrftoken"]
    assert [demonstration[name] for name in names] == ["sessionid", "csrftoken"]


@pytest.mark.parametrize(("asked", "preload"), [({}, False), ({"HSTS_PRELOAD": "true"}, True)])
def test_browsers_preload_the_host_only_where_a_setting_asks(asked, preload, monkeypatch, tmp_path):
    made = loaded(monkeypatch, PRODUCTION | {"DATA_DIR": str(tmp_path / "data")} | asked)
    assert made["SECURE_HSTS_PRELOAD"] is preload
