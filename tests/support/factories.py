"""Rows to test with, made directly: no flow is run, but every license key is really signed.

`make_user` and `make_member` come from `tests.support.accounts`, the plans from the seed.
"""

import secrets
import uuid
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django.db import transaction
from django.utils import timezone

from licenses import keys, tokens
from licenses.models import KeyState, License, LicenseKey, SigningKey, Slot, StatusList, Usage
from portal.tenants.models import Tenant
from subscriptions.models import Plan, State, Subscription
from tests.support.accounts import make_member, make_user

__all__ = [
    "CUSTOM_CLAIMS",
    "TYPED_CLAIMS",
    "make_custom_plan",
    "make_key",
    "make_license",
    "make_member",
    "make_signing_key",
    "make_subscription",
    "make_tenant",
    "make_user",
]

CUSTOM_CLAIMS: dict[str, Any] = {
    "terminal_limit": 5,
    "redistribution_limit": 0,
    "root_command_limit": 10,
    "grouped_command_limit": 20,
    "sub_command_limit": 200,
    "argument_limit": 500,
    "option_limit": 500,
    "argument_alias": True,
    "default_argument": True,
    "default_argument_value": False,
    "option_alias": True,
    "default_option": True,
    "default_option_value": False,
    "strict_data_type": True,
    "data_type_handlers": "default",
    "text_handlers": "unicode ascii",
    "error_handlers": "default",
    "store_handlers": "in-memory json",
    "service_handlers": "default",
    "license_handlers": "online online-license offline offline-license",
    "currency": "USD",
    "monthly_price": 49.5,
    "yearly_price": 499,
}
"""Claims that a custom plan may have (contract.md section 6)."""

TYPED_CLAIMS: dict[str, Any] = {
    name: value
    for name, value in CUSTOM_CLAIMS.items()
    if name not in {"option_limit", "option_alias", "default_option", "default_option_value"}
}
"""The same as an operator types them, and as older plans have them but for `option_limit`."""

_numbers = count(1)
_signing_keys: list[dict[str, Any]] = []


def make_tenant(*, name: str = "", country: str = "USA", **fields: Any) -> Tenant:
    """Return a new tenant."""
    return Tenant.objects.create(name=name or f"Tenant {next(_numbers)}", country=country, **fields)


def make_custom_plan(*, code: str = "custom-yearly", **fields: Any) -> Plan:
    """Return a new plan with CUSTOM_CLAIMS, as an operator adds one."""
    values: dict[str, Any] = {
        "name": "Custom",
        "edition": "commercial",
        "billing_period": "yearly",
        "urn": "urn:oneimlx:lic:plan:custom",
        "custom_claims": CUSTOM_CLAIMS,
    }
    return Plan.objects.create(code=code, **(values | fields))


def make_subscription(
    *,
    tenant: Tenant | None = None,
    plan: Plan | str = "smb-monthly",
    state: State = State.ACTIVE,
    **fields: Any,
) -> Subscription:
    """Return a new subscription, of a plan or the code of one, by default active."""
    tenant = tenant or make_tenant()
    plan = Plan.objects.get(code=plan) if isinstance(plan, str) else plan
    starts_at = fields.pop("starts_at", timezone.now() - timedelta(days=30))
    values: dict[str, Any] = {
        "name": f"Subscription {next(_numbers)}",
        "starts_at": starts_at,
        "beneficiary_tenant_id": tenant.pk,
        "activated_at": None if state == State.PENDING else starts_at,
    }
    return Subscription.objects.create(tenant=tenant, plan=plan, state=state, **(values | fields))


def make_signing_key(*, created_at: datetime | None = None) -> SigningKey:
    """Return the active signing key of an empty database, of this moment or of any until now.

    Its pair is a real one. A process makes one for each moment and stores it for every test: to
    make one and to load it takes 0.1 s.
    """
    now = timezone.now()
    for columns in _signing_keys:
        if created_at == columns["created_at"] or (
            created_at is None and timedelta(0) <= now - columns["created_at"] < timedelta(hours=1)
        ):
            return SigningKey.objects.create(**columns)
    made = keys.ensure_active(now=created_at)
    made.refresh_from_db()
    fields = [field for field in SigningKey._meta.concrete_fields if not field.primary_key]
    values = {field.attname: getattr(made, field.attname) for field in fields}
    _signing_keys.append(
        {
            name: bytes(value) if isinstance(value, memoryview) else value
            for name, value in values.items()
        }
    )
    return made


@transaction.atomic  # as Generate does: a page that is read meanwhile shows all of it or nothing
def make_license(
    *,
    subscription: Subscription | None = None,
    signing_key: SigningKey | None = None,
    issued_at: datetime | None = None,
    expires_at: datetime | None = None,
    **fields: Any,
) -> License:
    """Return a new license with a current key in each slot; `fields` are the license's own.

    By default it is issued now, lives as long as its plan says, and is signed by the active
    signing key, which is made when there is none at all.
    """
    subscription = subscription or make_subscription()
    tenant, plan = subscription.tenant, subscription.plan
    values: dict[str, Any] = {
        "usage": Usage.EDUCATIONAL if plan.is_community else Usage.ORGANIZATIONAL,
        "holder_name": tenant.name,
        "country": tenant.country,
        "issuer": "https://api.perpetualintelligence.com",
        "tenant_audience": f"https://login.perpetualintelligence.com/{tenant.pk}/v2.0",
        "authorized_party": "urn:oneimlx:cli",
        "plan_urn": plan.urn,
        "days": plan.days,
        "custom_claims": plan.custom_claims,
        "created_by_name": "Factory",
    }
    license = License.objects.create(
        tenant=tenant, subscription=subscription, plan=plan, **(values | fields)
    )
    issued_at = issued_at or timezone.now()  # one moment for both, as in Generate
    for slot in Slot:
        make_key(
            license=license,
            slot=slot,
            signing_key=signing_key,
            issued_at=issued_at,
            expires_at=expires_at,
        )
    return license


def make_key(
    *,
    license: License,
    slot: Slot = Slot.PRIMARY,
    state: KeyState = KeyState.CURRENT,
    signing_key: SigningKey | None = None,
    issued_at: datetime | None = None,
    expires_at: datetime | None = None,
    **fields: Any,
) -> LicenseKey:
    """Return a new signed key of a license in any state; `fields` are the key's own.

    What a state requires is filled in: a superseded key is accepted until it expires.
    """
    signing_key = signing_key or keys.ensure_active()
    issued_at = (issued_at or timezone.now()).replace(microsecond=0)
    expires_at = expires_at or issued_at + timedelta(days=license.days)
    status_list, _ = StatusList.objects.get_or_create(
        number=1, defaults={"decoy_seed": secrets.token_bytes(32)}
    )
    index, jti = next(_numbers), fields.pop("jti", uuid.uuid4())
    claims = tokens.license_claims(
        license=license,
        jti=jti,
        issued_at=issued_at,
        expires_at=expires_at,
        status_list_uri=tokens.status_list_uri(status_list.number),
        status_index=index,
    )
    token = keys.sign(signing_key, claims)
    values = _required_by(state, token, issued_at, expires_at)
    return LicenseKey.objects.create(
        tenant=license.tenant,
        license=license,
        signing_key=signing_key,
        slot=slot,
        state=state,
        jti=jti,
        token_sha256=tokens.sha256_of(token),
        issued_at=issued_at,
        expires_at=expires_at,
        status_list=status_list,
        status_index=index,
        created_by_name="Factory",
        **(values | fields),
    )


def _required_by(
    state: KeyState, token: str, issued_at: datetime, expires_at: datetime
) -> dict[str, Any]:
    """Return the columns that the constraints ask for in that state."""
    columns: dict[KeyState, dict[str, Any]] = {
        KeyState.CURRENT: {"token": token},
        KeyState.SUPERSEDED: {
            "token": token,
            "replaced_at": issued_at,
            "accepted_until": expires_at,
        },
        KeyState.REPLACED: {"token": token, "replaced_at": issued_at},
        KeyState.DELETED: {"token": None, "deleted_at": issued_at},
    }
    return columns[state]
