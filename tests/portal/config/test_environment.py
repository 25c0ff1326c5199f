"""Settings from the environment: typed, and wrong ones told all at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.config.environment import Environment
from portal.config.kept_secrets import KeptSecrets, write_private
from tests.support.environment import COMPANY, PRODUCTION

ROOT = Path(__file__).resolve().parents[3]


def environment(**variables):
    return Environment(variables)


@pytest.mark.parametrize(
    ("read", "value", "sentence"),
    [
        (lambda env: env.boolean("X", default=False), "maybe", "must be true or false."),
        (
            lambda env: env.integer("X", default=1, minimum=1, maximum=9),
            "10",
            "must be a whole number from 1 to 9.",
        ),
        (
            lambda env: env.networks("X"),
            "10.0.0.0/33",
            "must be a comma-separated list of IP networks, such as 10.0.0.0/8.",
        ),
        (
            lambda env: env.origin("X"),
            "licenses.example.com",
            "must be an address such as https://licenses.example.com.",
        ),
        (
            lambda env: env.mailer("X", console=False),
            "http://mail",
            "must be smtp://user:password@host:587 or smtps://…:465.",
        ),
        (
            lambda env: env.identity_providers("X", insecure=False),
            "Two Words",
            "must be lower-case words, such as company,google.",
        ),
        (lambda env: env.text("X"), "", "is not set."),
    ],
)
def test_a_wrong_value_is_told_with_its_hint(read, value, sentence):
    env = environment(X=value)
    read(env)
    with pytest.raises(ImproperlyConfigured) as refusal:
        env.finish()
    assert str(refusal.value).splitlines()[1:] == [f"- X {sentence}"]


def test_right_values_are_read_with_their_type():
    env = environment(A="on", B="7", C="a, b,,c", D="10.0.0.0/8", E="https://x.example/")
    assert (
        env.boolean("A", default=False),
        env.integer("B", default=1, minimum=1, maximum=9),
        env.words("C"),
        [str(network) for network in env.networks("D")],
        env.origin("E"),
    ) == (True, 7, ["a", "b", "c"], ["10.0.0.0/8"], "https://x.example")
    env.finish()


def test_a_mail_address_is_taken_apart():
    mailer = environment(M=PRODUCTION["MAIL_URL"]).mailer("M", console=False)
    options = mailer["OPTIONS"]
    assert isinstance(options, dict)
    assert (options["host"], options["port"], options["password"]) == (
        "mail.example.com",
        465,
        "p@ss",
    )


def test_a_secret_may_lie_in_a_file(tmp_path):
    file = tmp_path / "secret"
    file.write_text("s3cret-" * 8 + "\n")
    env = environment(S_FILE=str(file))
    assert (env.secret("S", kept=None), env.mistakes) == ("s3cret-" * 8, [])


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", "postgresql://portal:p%40ss@database.example.com/portal"),
        ("CACHE_URL", "rediss://:p%40ss@cache.example.com:6379/0"),
        ("MAIL_URL", "smtps://user:p%40ss@mail.example.com:465"),
    ],
)
def test_addresses_with_passwords_may_lie_in_a_file(name, address, tmp_path):
    file = tmp_path / "address"
    file.write_text(f"{address}\n")
    direct, by_file = environment(**{name: address}), environment(**{f"{name}_FILE": str(file)})
    read = {
        "DATABASE_URL": lambda env: env.database(name, sqlite=tmp_path / "none"),
        "CACHE_URL": lambda env: env.cache(name),
        "MAIL_URL": lambda env: env.mailer(name, console=False),
    }[name]
    assert (read(direct), direct.mistakes) == (read(by_file), by_file.mistakes)
    assert by_file.mistakes == []
    both = environment(**{name: address, f"{name}_FILE": str(file)})
    read(both)
    assert both.mistakes == [f"{name} is set, and {name}_FILE too: set one of them."]
    missing = environment(**{f"{name}_FILE": str(tmp_path / "none")})
    read(missing)
    assert missing.mistakes[0] == f"{name}_FILE cannot be read: No such file or directory."


def test_a_short_secret_is_refused_without_being_told():
    env = environment(S="hunter2")
    env.secret("S", kept=None)
    assert "hunter2" not in env.mistakes[0]


@pytest.mark.parametrize("secret", ["s" * 50, "abcd" * 20])
def test_a_secret_of_few_different_characters_is_refused(secret):
    env = environment(S=secret)
    env.secret("S", kept=None)
    assert env.mistakes == ["S must be a random secret: it has fewer than 5 different characters."]


def test_a_page_and_an_email_address_may_be_left_out_but_not_be_wrong():
    env = environment()
    assert (env.address("A", ""), env.email_address("B"), env.mistakes) == ("", "", [])
    env = environment(A="https://help.example.com", B="support@example.com")
    assert env.address("A", "") == "https://help.example.com"
    assert (env.email_address("B"), env.mistakes) == ("support@example.com", [])
    env = environment(A="javascript:alert(1)", B="https://help.example.com")
    env.address("A", "")
    env.email_address("B")
    assert env.mistakes == [
        "A must be an address such as https://shop.example.com.",
        "B must be an email address such as support@example.com.",
    ]


def test_a_secret_that_is_not_needed_may_be_left_out_but_not_be_short():
    assert environment().secret("S", kept=None, is_needed=False) == ""
    env = environment(S="short")
    env.secret("S", kept=None, is_needed=False)
    assert len(env.mistakes) == 1


def test_kept_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path):
    path = tmp_path / "data" / "secrets.json"
    made = KeptSecrets(path).get("SECRET_KEY")
    assert KeptSecrets(path).get("SECRET_KEY") == made
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert json.loads(path.read_text()) == {"SECRET_KEY": made}


def test_a_private_file_is_replaced_whole(tmp_path):
    path = tmp_path / "data" / "file"
    write_private(path, "one")
    write_private(path, "two")
    assert (path.read_text(), [file.name for file in path.parent.iterdir()]) == ("two", ["file"])


def started(**variables):
    """Return the outcome of a management command in a process of its own."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=inherited | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_starts_with_every_secret_set(tmp_path):
    outcome = started(DATA_DIR=str(tmp_path), **PRODUCTION)
    assert (outcome.returncode, outcome.stdout) == (
        0,
        "System check identified no issues (1 silenced).\n",
    )


def test_production_names_everything_that_is_wrong_at_once_and_shows_no_trace(tmp_path):
    outcome = started(DATA_DIR=str(tmp_path), DEBUG="true")
    assert outcome.returncode == 1
    lines = outcome.stderr.splitlines()
    assert lines[0] == "The portal cannot start with this environment:"
    assert [line.split()[1] for line in lines[1:]] == [
        "DEBUG",
        "SECRET_KEY",
        "KEY_ENCRYPTION_KEYS",
        "LOG_KEY",
        "PUBLIC_URL",
        "PUBLIC_URL",
        "MAIL_FROM",
        "MAIL_URL",
        "MAIL_URL",
    ]
    assert list(tmp_path.iterdir()) == []


def test_an_identity_provider_is_read_from_variables_of_its_own():
    env = environment(**COMPANY)
    [provider] = env.identity_providers("OIDC_PROVIDERS", insecure=False)
    env.finish()
    assert provider == {
        "provider_id": "company",
        "name": "Company",
        "client_id": "portal",
        "secret": "s3cret",
        "settings": {
            "server_url": "https://id.example.com/realms/main",
            "oauth_pkce_enabled": True,
        },
    }


@pytest.mark.parametrize("issuer", ["http://id.example.com", "id.example.com", "https://"])
def test_an_issuer_is_asked_over_tls(issuer):
    env = environment(**COMPANY | {"OIDC_COMPANY_ISSUER": issuer})
    env.identity_providers("OIDC_PROVIDERS", insecure=False)
    assert env.mistakes == [
        "OIDC_COMPANY_ISSUER must be an address such as https://id.example.com."
    ]


def test_an_identity_provider_without_its_variables_names_each():
    env = environment(OIDC_PROVIDERS="company")
    env.identity_providers("OIDC_PROVIDERS", insecure=False)
    assert [mistake.split()[0] for mistake in env.mistakes] == [
        "OIDC_COMPANY_ISSUER",
        "OIDC_COMPANY_CLIENT_ID",
        "OIDC_COMPANY_CLIENT_SECRET",
    ]
