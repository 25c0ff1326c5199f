"""Prepare keys to be revoked: `python -m tests.chaos.prepare_revoke KEYS FILE`.

Migrates the database, collects the static files, and writes to FILE (JSON): cookies of an operator
and of the owner, a service token, the signing key, and `keys` (each of a subscription of its own).
"""

import json
import sys
from pathlib import Path

import django


def main(count: int, file: Path) -> None:
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client

    from licenses import keys
    from licenses.models import Slot
    from portal.tenants.models import Role
    from tests.bench.people import CSRF_TOKEN
    from tests.support.accounts import make_member, make_user, sign_in
    from tests.support.factories import make_license, make_subscription, make_tenant
    from tests.support.service_tokens import make_service_token
    from tests.support.terminals import body_for

    def cookies(user) -> str:
        session = sign_in(Client(), user).cookies[settings.SESSION_COOKIE_NAME].value
        return f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={CSRF_TOKEN}"

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    tenant = make_tenant(name="Contoso")
    owner = make_member(tenant=tenant, role=Role.OWNER, email="owner@contoso.example")
    operator = make_user(
        email="operator@vendor.example", two_factor=True, is_staff=True, is_superuser=True
    )
    licenses = [make_license(subscription=make_subscription(tenant=tenant)) for _ in range(count)]
    primary = [license.keys.get(slot=Slot.PRIMARY) for license in licenses]
    signing_key = keys.active()
    prepared = {
        "operator": cookies(operator),
        "owner": cookies(owner),
        "service_token": make_service_token(tenant=tenant)[1],
        "signing_key": {"id": signing_key.pk, "kid": signing_key.kid},
        "keys": [
            {
                "id": key.pk,
                "jti": str(key.jti),
                "subscription": str(key.license.subscription_id),
                "list": f"/public/status/{key.status_list.number}",
                "index": key.status_index,
                "check": json.dumps(body_for(key)),
            }
            for key in primary
        ],
    }
    file.write_text(json.dumps(prepared))


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]), Path(sys.argv[2]))
