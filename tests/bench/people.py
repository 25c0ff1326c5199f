"""Fill a database for people: `python -m tests.bench.people LICENSES LOG_ROWS FORMS LOGINS FOLDER`.

One tenant gets LICENSES copies of a license, LOG_ROWS rows in its log, and an owner with SESSIONS
sessions. FOLDER gets their cookies (people.json) and requests as requests.lua reads them: for
FORMS subscriptions without license keys the form that generates them, for as many licenses the
form that resets the primary key, and the sign-in of LOGINS people by password.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from urllib.parse import urlencode

import django
from django.conf import settings
from django.db import connection

from tests.bench import fill

SESSIONS = 16
CSRF_TOKEN = "bench" * 6 + "12"
"""Of 32 characters: the cookie and the form have the same (Django, "How CSRF protection works")."""

CSRF = {"csrfmiddlewaretoken": CSRF_TOKEN}


def main(licenses: int, log_rows: int, forms: int, logins: int, folder: Path) -> None:
    from django.core.management import call_command
    from django.test import Client

    from licenses.keys import ensure_active
    from portal.accounts.models import User
    from portal.tenants.models import Role
    from tests.support.accounts import make_member, make_user, sign_in
    from tests.support.database import copies
    from tests.support.factories import make_license, make_subscription, make_tenant

    def cookies(user: User) -> str:
        session = sign_in(Client(), user).cookies[settings.SESSION_COOKIE_NAME].value
        return f"{settings.SESSION_COOKIE_NAME}={session}; {csrf_cookie}"

    call_command("migrate", verbosity=0)
    csrf_cookie = f"{settings.CSRF_COOKIE_NAME}={CSRF_TOKEN}"
    tenant = make_tenant(name="Contoso")
    owner = make_member(tenant=tenant, role=Role.OWNER, email="owner@contoso.example")
    make_member(tenant=tenant, role=Role.MANAGER, email="manager@contoso.example")  # is mailed
    operator = make_user(
        email="operator@vendor.example", two_factor=True, is_staff=True, is_superuser=True
    )
    owners = [cookies(owner) for _ in range(SESSIONS)]
    shown = make_subscription(tenant=tenant, plan="enterprise-yearly")
    ensure_active()
    if licenses:  # not beside the signed keys of `fill`: both would take the same status indexes
        make_license(subscription=shown)
        fill.copy(licenses)
    fill_log(owner, shown, log_rows)
    empty = make_subscription(tenant=tenant, plan="enterprise-yearly", name="Without keys")
    if forms:
        copies(empty, forms, id=fill.random_uuid())
    users = [make_user(email=f"person-{n}@contoso.example") for n in range(logins)]
    with connection.cursor() as cursor:
        serial = "integer" if connection.vendor == "sqlite" else "bigserial"
        cursor.execute(f"CREATE TABLE bench_written (id {serial} PRIMARY KEY, text text NOT NULL)")
        cursor.execute("ANALYZE")
    write(folder / "generate.tsv", generating(forms), owners)
    write(folder / "reset.tsv", resetting(forms), owners)
    write(folder / "sign-in.tsv", signing_in(users), [csrf_cookie])
    people = {
        "owners": owners,
        "operator": cookies(operator),
        "subscription": str(shown.pk),
        "csrf_token": CSRF_TOKEN,
    }
    (folder / "people.json").write_text(json.dumps(people))


def fill_log(user, subscription, rows: int) -> None:
    """Give the tenant's log that many rows about a subscription, one a second until now."""
    from django.db import transaction
    from django.utils import timezone

    from portal.activity.actions import Action
    from portal.activity.entries import record
    from portal.activity.models import LogChain
    from portal.activity.triggers import install_triggers, remove_triggers
    from portal.core.actors import Actor, ActorKind
    from tests.support.database import copies, later

    with transaction.atomic():
        entry = record(
            actor=Actor(kind=ActorKind.MEMBER, name=user.name, user_id=user.pk, email=user.email),
            action=Action.KEYS_GENERATED,
            tenant_id=subscription.tenant_id,
            subscription=subscription,
            details={"usage": "org", "holder_name": "Contoso"},
            now=timezone.now() - timedelta(seconds=rows),
        )
    remove_triggers()  # which would be asked for each row, and refuse a count that leaps
    if rows > 1:
        copies(entry, rows - 1, seq="seq + n", at=later("at", "n"))
    LogChain.objects.filter(pk=subscription.tenant_id).update(count=rows)
    install_triggers()


def generating(count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield path and values of the form for each subscription without license keys."""
    from subscriptions.models import Subscription

    rows = Subscription.objects.filter(name="Without keys").values_list("pk", flat=True)
    for pk in rows[:count]:
        yield f"/subscriptions/{pk}/generate/", {"usage": "org", "holder_name": "Contoso"}


def resetting(count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield path and values of the form for each license."""
    from licenses.models import LicenseKey

    keys = LicenseKey.objects.filter(slot="primary").order_by("jti")
    for pk, jti in keys.values_list("license__subscription_id", "jti")[:count]:
        values = {"overlap": "now", "expected_jti": str(jti)}
        yield f"/subscriptions/{pk}/reset/primary/", values


def signing_in(users) -> Iterator[tuple[str, dict[str, str]]]:
    from tests.support.accounts import PASSWORD

    for user in users:
        yield "/accounts/login/", {"login": user.email, "password": PASSWORD}


def write(
    file: Path, requests: Iterable[tuple[str, dict[str, str]]], cookies: Iterable[str]
) -> None:
    """Write the forms to a file, a line each, with the cookies in turn."""
    with file.open("w") as lines:
        for (path, values), cookie in zip(requests, cycle(cookies), strict=False):
            lines.write(f"{path}\t{cookie}\t{urlencode(CSRF | values)}\n")


if __name__ == "__main__":
    django.setup()
    licenses, log_rows, forms, logins = map(int, sys.argv[1:5])
    main(licenses, log_rows, forms, logins, Path(sys.argv[5]))
