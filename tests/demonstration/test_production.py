"""Production, which refuses to run on the demonstration or with mistakes in its environment."""

import json
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]

REFUSAL = (
    "This database holds the accounts of the demonstration. Use an empty database, or set "
    "DEMONSTRATION=true on your own machine."
)

# Production


def production(folder: Path) -> dict[str, str]:
    return {
        "DEMONSTRATION": "false",
        "DATABASE_URL": f"sqlite:///{folder}/portal.sqlite3",
        "SECRET_KEY": "s3cret-" * 10,
        "LOG_KEY": "l0g-key-" * 10,
        "KEY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "PUBLIC_URL": "https://licenses.example.com",
        "MAIL_FROM": "licenses@example.com",
        "MAIL_URL": "smtps://mail.example.com:465",
    }


def test_production_refuses_the_accounts_of_the_demonstration(prepared):
    variables = production(prepared.folder)
    status, _, err = prepared.run("manage.py", "serve", **variables)
    assert (status, err) == (1, f"{REFUSAL}\n")
    status, _, err = prepared.run("manage.py", "check", "--database", "default", **variables)
    first, _, hint = REFUSAL.partition(". ")
    assert (status, err.count(f"{first}.\n\tHINT: {hint}\n"), err.count("Traceback")) == (1, 1, 0)
    status, _, err = prepared.run("-c", "import portal.asgi", **variables)
    assert (status, json.loads(err)["exception"].splitlines()[-1]) == (
        1,
        f"django.core.exceptions.ImproperlyConfigured: {REFUSAL}",
    )


def test_a_server_that_loads_the_portal_itself_does_not_serve_it(prepared):
    port = str(prepared.port)
    arguments = ["-m", "granian", "--interface", "asginl", "--workers", "1", "--port", port]
    status, out, err = prepared.run(
        *arguments, "portal.asgi:application", **production(prepared.folder)
    )
    assert (status != 0, (out + err).count(REFUSAL)) == (True, 1)


def test_one_account_of_the_demonstration_is_enough(prepared):
    prepared.query("PRAGMA foreign_keys = OFF")
    prepared.query("DELETE FROM portal_user WHERE email <> 'operator@operator.example'")
    status, _, err = prepared.run("manage.py", "serve", **production(prepared.folder))
    assert (status, err) == (1, f"{REFUSAL}\n")


@pytest.mark.sweep
def test_production_starts_on_other_accounts(prepared):
    """The control: with other addresses the same database is served."""
    prepared.query("UPDATE portal_user SET email = replace(email, '.example', '.test')")
    variables = production(prepared.folder)
    assert prepared.run("manage.py", "check", "--database", "default", **variables)[0] == 0
    assert prepared.run("-c", "import portal.asgi", **variables)[0] == 0


def test_production_starts_on_an_empty_folder(make_demonstration):
    empty = make_demonstration("empty")
    variables = production(empty.folder)
    assert empty.run("-c", "import portal.asgi", **variables)[0] == 0
    assert empty.run("manage.py", "check", "--database", "default", **variables)[0] == 0


def test_demo_refuses_in_production(make_demonstration):
    demonstration = make_demonstration("data")
    variables = production(demonstration.folder)
    assert demonstration.run("manage.py", "demo", **variables) == (
        1,
        "",
        "CommandError: The demonstration needs DEMONSTRATION=true; try: make run\n",
    )


# Mistakes in the environment


@pytest.mark.parametrize("command", ["check", "serve", "demo", "migrate"])
def test_all_mistakes_are_listed_without_a_stack_trace(command, make_demonstration):
    demonstration = make_demonstration("data")
    status, out, err = demonstration.run(
        "manage.py",
        command,
        DEMONSTRATION="perhaps",
        DEBUG="true",
        PORT="80000",
        DATABASE_URL="mysql://nowhere",
        TRUSTED_PROXIES="everybody",
    )
    assert (status, out) == (1, "")
    lines = err.splitlines()
    assert lines[0] == "The portal cannot start with this environment:"
    assert [*dict.fromkeys(line.split()[1] for line in lines[1:])] == [
        "DEMONSTRATION",
        "DEBUG",
        "SECRET_KEY",
        "KEY_ENCRYPTION_KEYS",
        "LOG_KEY",
        "PORT",
        "PUBLIC_URL",
        "TRUSTED_PROXIES",
        "DATABASE_URL",
        "MAIL_FROM",
        "MAIL_URL",
    ]
    assert [line for line in lines[1:] if not (line[:2] == "- " and line[-1] in ".:")] == []


def test_no_mistake_tells_a_secret(make_demonstration):
    demonstration = make_demonstration("data")
    variables = production(demonstration.folder) | {
        "SECRET_KEY": "hush-hush",
        "KEY_ENCRYPTION_KEYS": "not-a-fernet-key-but-long-enough-to-be-one",
        "MAIL_URL": "nothing://user:hush-hush@mail.example.com",
        "DATABASE_URL": "nothing://user:hush-hush@database.example.com/portal",
    }
    status, out, err = demonstration.run("manage.py", "check", **variables)
    assert (status, out) == (1, "")
    assert [err.count(text) for text in ("hush-hush", "not-a-fernet", "Traceback")] == [0, 0, 0]
