"""The demonstration: two tenants, their people, and subscriptions in every state."""

import json
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.utils import timezone

from licenses import keys
from licenses.flows.generate import generate_keys
from licenses.models import Usage
from portal.accounts.allauth_internals import TOTP, generate_totp_secret
from portal.accounts.models import User
from portal.config.kept_secrets import write_private
from portal.core.actors import SYSTEM, Actor, ActorKind
from portal.tenants.models import Member, Role, Tenant
from subscriptions.flows import suspend_resume_end
from subscriptions.models import Plan, State, Subscription

OPERATOR = "operator"
PEOPLE = [
    ("owner@contoso.example", "Dana Ruiz", "Contoso Ltd", Role.OWNER.value),
    ("manager@contoso.example", "Milan Novak", "Contoso Ltd", Role.MANAGER.value),
    ("viewer@contoso.example", "Vera Lindqvist", "Contoso Ltd", Role.VIEWER.value),
    ("owner@fabrikam.example", "Felix Braun", "Fabrikam GmbH", Role.OWNER.value),
    ("operator@operator.example", "Oona Salo", None, OPERATOR),
]
SIGNING_KEY_AGE = timedelta(days=150)
"""Older than every sample key, so that its certificate covers them, the expired ones too."""
COUNTRIES = {"Contoso Ltd": "USA", "Fabrikam GmbH": "DEU"}


@dataclass(frozen=True)
class Account:
    """One account of the demonstration; operators have an authenticator app (secret in base32)."""

    email: str
    password: str
    tenant: str | None
    role: str
    totp_secret: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A subscription to create: bought `age` days ago, with keys generated `keys_age` days ago."""

    name: str
    plan: str
    age: int
    state: State = State.ACTIVE
    keys_age: int | None = None
    usage: Usage = Usage.ORGANIZATIONAL


CONTOSO = [
    Sample(name="Data pipeline", plan="isv-monthly", age=140, keys_age=130, state=State.ENDED),
    Sample(name="Student lab", plan="community", age=120, keys_age=100, usage=Usage.EDUCATIONAL),
    Sample(name="Research cluster", plan="community", age=90, keys_age=85, usage=Usage.RESEARCH),
    Sample(name="Build farm", plan="micro-yearly", age=60, keys_age=45, state=State.SUSPENDED),
    Sample(name="Shop analytics", plan="enterprise-yearly", age=30, keys_age=20),
    Sample(name="Field tools", plan="smb-monthly", age=12, keys_age=3),
    Sample(name="Release automation", plan="smb-yearly", age=5),
    Sample(name="Partner toolkit", plan="isvu-monthly", age=1, state=State.PENDING),
]
FABRIKAM = [
    Sample(name="Werkzeugkette", plan="enterprise-yearly", age=40, keys_age=10),
    Sample(name="Messplatz", plan="micro-monthly", age=4),
]


def accounts_file() -> Path:
    """Return the path of the file with the sign-ins."""
    return Path(settings.DATA_DIR) / "demo.json"


def draft_file() -> Path:
    """Return the path of the file for new sign-ins, until their accounts have these passwords."""
    return Path(settings.DATA_DIR) / "demo.draft.json"


def prepare(*, now: datetime | None = None) -> list[Account]:
    """Create the demonstration, or complete it, and return its sign-ins.

    New sign-ins are drafted before the accounts get their passwords, everything in the database
    is one transaction, and the draft becomes the file after it: a run that is killed half-way is
    finished by the next one. If the file exists, the passwords are left as they are.
    """
    drafted = not accounts_file().exists()
    accounts = _accounts(_kept(draft_file() if drafted else accounts_file()))
    if drafted:
        _write(draft_file(), accounts)
    now = now or timezone.now()
    keys.ensure_active(now=now - SIGNING_KEY_AGE)
    with transaction.atomic():
        users = {account.email: _user(account, renew=drafted) for account in accounts}
        if not Tenant.objects.filter(name__in=COUNTRIES).exists():
            _fill(users, now)
    _write(accounts_file(), accounts)
    draft_file().unlink(missing_ok=True)
    return accounts


def throw_away() -> None:
    """Delete the stored sign-ins."""
    accounts_file().unlink(missing_ok=True)
    draft_file().unlink(missing_ok=True)


def _kept(path: Path) -> dict[str, Account]:
    if not path.exists():
        return {}
    entries = json.loads(path.read_text(encoding="utf-8"))["accounts"]
    return {entry["email"]: Account(**entry) for entry in entries}


def _accounts(kept: dict[str, Account]) -> list[Account]:
    return [
        kept.get(email)
        or Account(
            email=email,
            password=secrets.token_urlsafe(12),
            tenant=tenant,
            role=role,
            totp_secret=generate_totp_secret() if role == OPERATOR else None,
        )
        for email, _, tenant, role in PEOPLE
    ]


def _write(path: Path, accounts: list[Account]) -> None:
    content = {
        "url": settings.PUBLIC_URL,
        "metrics_token": settings.METRICS_TOKEN,
        "accounts": [_as_json(account) for account in accounts],
    }
    write_private(path, json.dumps(content, indent=2) + "\n")


def _as_json(account: Account) -> dict[str, Any]:
    """Return the account; `totp_secret` is left out if it has none."""
    members = asdict(account)
    if account.totp_secret is None:
        del members["totp_secret"]
    return members


def _user(account: Account, *, renew: bool) -> User:
    """Return the account's user; new ones, and all if `renew`, get the password and the app."""
    name = next(name for email, name, _, _ in PEOPLE if email == account.email)
    user = User.objects.filter(email=account.email).first()
    if user is None:
        is_operator = account.role == OPERATOR
        user = User.objects.create_user(
            account.email,
            account.password,
            name=name,
            is_staff=is_operator,
            is_superuser=is_operator,
        )
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    elif renew:
        validate_password(account.password, user)
        user.set_password(account.password)
        user.save(update_fields=["password"])
    else:
        return user
    if account.totp_secret:
        Authenticator.objects.filter(user=user).delete()
        TOTP.activate(user, account.totp_secret)
    return user


def _fill(users: dict[str, User], now: datetime) -> None:
    tenants = {
        name: Tenant.objects.create(name=name, country=country)
        for name, country in COUNTRIES.items()
    }
    for email, _, tenant, role in PEOPLE:
        if tenant is not None:
            Member.objects.create(tenant=tenants[tenant], user=users[email], role=role)
    _buy(tenants["Contoso Ltd"], users["manager@contoso.example"], CONTOSO, now)
    _buy(tenants["Fabrikam GmbH"], users["owner@fabrikam.example"], FABRIKAM, now)


def _buy(tenant: Tenant, buyer: User, samples: list[Sample], now: datetime) -> None:
    """Create the subscriptions, then run what happens to them in the order of the dates."""
    actor = Actor(kind=ActorKind.MEMBER, name=buyer.name, user_id=buyer.pk, email=buyer.email)
    events: list[tuple[datetime, Any]] = []
    for sample in samples:
        subscription = _subscription(tenant, buyer, sample, now - timedelta(days=sample.age))
        if sample.keys_age is not None:
            at = now - timedelta(days=sample.keys_age)
            generate = partial(
                generate_keys,
                subscription=subscription,
                actor=actor,
                usage=sample.usage,
                holder_name=tenant.name,
                now=at,
            )
            events.append((at, generate))
        change = {
            State.SUSPENDED: suspend_resume_end.suspend_subscription,
            State.ENDED: suspend_resume_end.end_subscription,
        }.get(sample.state)
        if change is not None:
            at = now - timedelta(days=2)
            reason = "Payment overdue" if sample.state == State.SUSPENDED else "Not renewed"
            events.append(
                (
                    at,
                    partial(change, subscription=subscription, actor=SYSTEM, reason=reason, now=at),
                )
            )
    for _, happen in sorted(events, key=lambda event: event[0]):
        happen()


def _subscription(tenant: Tenant, buyer: User, sample: Sample, bought: datetime) -> Subscription:
    pending = sample.state == State.PENDING
    return Subscription.objects.create(
        tenant=tenant,
        plan=Plan.objects.get(code=sample.plan),
        name=sample.name,
        state=State.PENDING if pending else State.ACTIVE,
        starts_at=bought,
        created_at=bought,
        beneficiary_tenant_id=tenant.pk,
        beneficiary_object_id=buyer.pk,
        beneficiary_email=buyer.email,
        activated_at=None if pending else bought,
        activated_by=None if pending else buyer,
    )
