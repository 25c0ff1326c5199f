"""Prepare a portal for malformed requests: `python -m tests.chaos.prepare_malformed FILE`.

Migrates the database, collects the static files, and writes to FILE (JSON): the `body` of a check
that passes, `tokens` that must be refused though some are well signed, the `routes` of all
addresses, `values` that stand in them for real, and headers by `role`.
"""

import json
import re
import sys
from pathlib import Path

import django


def main(file: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client
    from django.urls import get_resolver

    from licenses import keys, tokens
    from licenses.models import LicenseKey
    from portal.accounts.models import User
    from portal.tenants.models import Role
    from tests.bench.people import CSRF_TOKEN
    from tests.support.accounts import make_member, make_user, sign_in
    from tests.support.admin_pages import fill
    from tests.support.forge import Forger
    from tests.support.malformed import corpus
    from tests.support.service_tokens import make_service_token
    from tests.support.terminals import body_for
    from tests.support.urls import walk

    csrf = f"{settings.CSRF_COOKIE_NAME}={CSRF_TOKEN}"

    def cookies(user: User) -> str:
        session = sign_in(Client(), user).cookies[settings.SESSION_COOKIE_NAME].value
        return f"Cookie: {settings.SESSION_COOKIE_NAME}={session}; {csrf}"

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    keys.ensure_active()
    fill()
    key = LicenseKey.objects.current().filter(revoked_at=None).latest("pk")
    tenant = key.tenant
    signing_key = key.signing_key
    pair = keys._private_key(bytes(signing_key.private_key), bytes(signing_key.certificate))
    forger = Forger(
        key=pair,
        kid=signing_key.kid,
        claims=dict(tokens.parse(key.token or "").claims),
        stranger=rsa.generate_private_key(65537, 2048),
    )
    members = {
        role.value: make_member(tenant=tenant, role=role, email=f"{role.value}@chaos.example")
        for role in (Role.VIEWER, Role.MANAGER, Role.OWNER)
    }
    operator = make_user(
        email="operator@chaos.example", two_factor=True, is_staff=True, is_superuser=True
    )
    roles = {"anonymous": f"Cookie: {csrf}"}
    roles |= {role: cookies(user) for role, user in members.items()}
    roles["operator"] = cookies(operator)
    roles["token"] = f"Authorization: Bearer {make_service_token(tenant=tenant)[1]}"
    routes = [re.sub(r"\\Z|\^|\$", "", route) for _, route, _ in walk(get_resolver().url_patterns)]
    prepared = {
        "body": body_for(key),
        "tokens": [forge(forger) for _, _, forge in corpus()],
        "routes": [route for route in routes if "(" not in route],
        "values": [
            str(key.license.subscription_id),
            str(tenant.pk),
            "primary",
            "1",
            "2",
            "revoked",
        ],
        "roles": roles,
    }
    file.write_text(json.dumps(prepared))


if __name__ == "__main__":
    django.setup()
    main(Path(sys.argv[1]))
