"""Prepare a portal to be disturbed: `python -m tests.chaos.prepare FILE`.

Migrates the database, collects the static files, and writes to FILE (JSON) the `body` of a check
that passes and the `session` of somebody who may see pages.
"""

import json
import sys
from pathlib import Path

import django


def main(file: Path) -> None:
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client

    from licenses.models import Slot
    from portal.tenants.models import Role
    from tests.support.accounts import make_member, sign_in
    from tests.support.factories import make_license, make_subscription, make_tenant
    from tests.support.terminals import body_for

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    tenant = make_tenant(name="Contoso")
    owner = make_member(tenant=tenant, role=Role.OWNER, email="owner@contoso.example")
    key = make_license(subscription=make_subscription(tenant=tenant)).keys.get(slot=Slot.PRIMARY)
    session = sign_in(Client(), owner).cookies[settings.SESSION_COOKIE_NAME].value
    file.write_text(json.dumps({"body": json.dumps(body_for(key)), "session": session}))


if __name__ == "__main__":
    django.setup()
    main(Path(sys.argv[1]))
