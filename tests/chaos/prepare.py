"""Prepare a portal to be disturbed: `python -m tests.chaos.prepare PEOPLE FILE`.

Migrates the database, collects the static files, and writes to FILE (JSON) the `body` of a check
that passes, the `session` of somebody who may see pages, and `people`: so many owners, each of a
tenant with SUBSCRIPTIONS subscriptions that have no license keys.
"""

import json
import sys
from pathlib import Path

import django

SUBSCRIPTIONS = 200


def main(people: int, file: Path) -> None:
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client

    from licenses.models import Slot
    from portal.tenants.models import Role
    from tests.bench.fill import random_uuid
    from tests.bench.people import CSRF_TOKEN
    from tests.support.accounts import make_member, sign_in
    from tests.support.database import copies
    from tests.support.factories import make_license, make_subscription, make_tenant
    from tests.support.terminals import body_for

    def session(number: int) -> str:
        owner = make_member(tenant=tenant, role=Role.OWNER, email=f"owner-{number}@contoso.example")
        return sign_in(Client(), owner).cookies[settings.SESSION_COOKIE_NAME].value

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    tenant = make_tenant(name="Contoso")
    key = make_license(subscription=make_subscription(tenant=tenant)).keys.get(slot=Slot.PRIMARY)
    body, first, owners = body_for(key), session(0), []
    for number in range(1, people + 1):
        tenant = make_tenant(name=f"Contoso {number}")
        empty = make_subscription(tenant=tenant, plan="enterprise-yearly")
        copies(empty, SUBSCRIPTIONS - 1, id=random_uuid())
        cookies = {
            settings.SESSION_COOKIE_NAME: session(number),
            settings.CSRF_COOKIE_NAME: CSRF_TOKEN,
        }
        owners.append(
            {
                "cookies": "; ".join(f"{name}={value}" for name, value in cookies.items()),
                "subscriptions": [str(row.pk) for row in tenant.subscriptions.all()],
                "check": body | {"consumer_tenant_id": str(tenant.pk), "audience": None},
            }
        )
    prepared = {"body": json.dumps(body), "session": first, "people": owners}
    file.write_text(json.dumps(prepared))


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]), Path(sys.argv[2]))
