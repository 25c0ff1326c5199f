"""Rows for every table of version 1.0, made with the models that its migrations describe."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from django.db.models import Field, ForeignKey, Model

SPACE = UUID("6f6f1a3e-5d0a-4b44-8a55-52a8ff6c4e31")
START = datetime(2026, 11, 27, 23, 59, 59, 999_999, tzinfo=UTC)
LATER = START + timedelta(days=31)
LOG_KEY = "log key of the rows whose hashes are written down here"

HASHES = [
    "2ba2c6a9ed435402b3fa43df2f737fd69446d3a079ea064a3fd45a46e33339a8",
    "f0a9d67e462016c57b63cbb58e0255b47abfc15cf9493bcdcbed2af6eb747e2a",
    "ab8c37be4d7b794593d3fabb1e918422a5ecd923f9cf01a68647006da1423b00",
]
"""What version 1.0 computed of the log rows below, with LOG_KEY. Later code must agree."""


class Filler:
    """Makes rows; what a caller leaves out it invents: by the field's kind, a new value each."""

    def __init__(self, apps: Any, alias: str) -> None:
        self.apps = apps
        self.alias = alias
        self.last: dict[str, Model] = {}
        self.number = 0

    def make(self, label: str, **values: Any) -> Any:
        """Store a row. Foreign keys that are left out lead to the newest row of that model."""
        self.number += 1
        model = self.apps.get_model(label)
        for field in model._meta.concrete_fields:
            if field.name not in values and field.attname not in values and not field.generated:
                self._invent(field, values)
        row = model(**values)
        row.save(using=self.alias, force_insert=True)
        self.last[model._meta.label] = row
        return row

    def _invent(self, field: Field, values: dict[str, Any]) -> None:
        if isinstance(field, ForeignKey):
            values[field.name] = self.last[field.related_model._meta.label]
            return
        kind = field.get_internal_type()
        makers: dict[str, Any] = {
            "BinaryField": b"\x00\xff" + bytes([self.number]),
            "BooleanField": True,
            "DateTimeField": START + timedelta(seconds=self.number),
            "GenericIPAddressField": f"2001:db8::{self.number}",
            "JSONField": {"ünïcode ✓": [self.number, 0.1, None, True, {"": "\\"}]},
            "SlugField": f"slug-{self.number}",
            "TextField": f"First line\nSecond 'line' of {self.number} ✓",
            "UUIDField": uuid5(SPACE, f"{field.name} {self.number}"),
        }
        if "email" in field.name:
            values[field.name] = f"zoë.{self.number}@customer.example"
        elif kind == "CharField":
            values[field.name] = f"{self.number} “Ünïcode” ✓"[: field.max_length]
        elif kind in makers:
            values[field.name] = makers[kind]
        elif kind.endswith("IntegerField"):
            values[field.name] = self.number
        elif not kind.endswith("AutoField"):
            raise NotImplementedError(f"{field} of the kind {kind}")


def fill(apps: Any, alias: str) -> None:
    """Fill every table, and every column in at least one row."""
    make = Filler(apps, alias).make
    _people(make)
    _sign_ins(make)
    _log(make)
    _licenses(make)


def _people(make: Any) -> None:
    tenant = make("portal.Tenant", country="DEU", id=uuid5(SPACE, "tenant"))
    user = make("portal.User", email="zoë.müller@customer.example")
    group = make("auth.Group", name="of its own")
    content_type = make("contenttypes.ContentType", app_label="portal", model="user")
    permission = make("auth.Permission", codename="view_user", content_type=content_type)
    group.permissions.add(permission)
    user.groups.add(group)
    user.user_permissions.add(permission)
    make("admin.LogEntry", action_flag=1)
    make("portal.Member", role="owner")
    for role in ("owner", "manager", "viewer"):
        make("portal.User", last_login=None)
        make("portal.Member", role=role)
    make("portal.Invitation", role="viewer")
    make("portal.Invitation", role="owner", accepted_at=None, revoked_at=None)
    make("portal.Outbox")
    make("portal.Outbox", tenant_id=None, dedupe_key=None, sent_at=None, given_up_at=None)
    waiting: dict[str, Any] = {"outcome": "waiting", "finished_at": None}
    make("portal.PendingChange", kind="remove_second_factor", tenant=None, **waiting)
    make("portal.PendingChange", kind="replace_owner", user=None, tenant=tenant, outcome="done")


def _sign_ins(make: Any) -> None:
    """How people sign in: what allauth and Django keep of them."""
    make("portal.User", name="Two  blanks")
    make("account.EmailAddress", verified=False, primary=False)  # of somebody who has no other
    make("account.EmailConfirmation")
    make("portal.User")
    make("account.EmailAddress", verified=True, primary=True)
    make("account.EmailAddress", verified=False, primary=False)
    make("mfa.Authenticator", type="totp")
    make("mfa.Authenticator", type="recovery_codes", last_used_at=None)
    make("sessions.Session")
    make("usersessions.UserSession")
    make("socialaccount.SocialApp")
    make("socialaccount.SocialAccount")
    make("socialaccount.SocialToken")


def _log(make: Any) -> None:
    tenant = uuid5(SPACE, "tenant")
    for seq, (previous, own) in enumerate(zip(["", *HASHES], HASHES, strict=False), 1):
        values: dict[str, Any] = {
            "actor_kind": ["member", "operator", "system"][seq - 1],
            "actor_id": uuid5(SPACE, "actor"),
            "actor_name": "Zoë “Müller” ✓",
            "actor_email": "zoë.müller@customer.example",
            "action": "record.changed",
            "subscription_id": uuid5(SPACE, "subscription") if seq == 1 else None,
            "subscription_name": "Ünïcode ✓",
            "slot": "primary",
            "result": "valid",
            "reason": "Because.\nAnd more.",
            "details": {"number": seq, "name": "Ünïcode ✓", "share": 0.1, "none": None},
            "address": "2001:db8::1",
        }
        made_at = START + timedelta(seconds=seq)
        links = {"previous": previous, "hash": own}
        make("portal.LogEntry", tenant_id=tenant, seq=seq, at=made_at, **values, **links)
    kept: dict[str, Any] = {"kept_from": 1, "kept_previous": "", "kept_signature": ""}
    make("portal.LogChain", tenant_id=tenant, count=len(HASHES), head=HASHES[-1], **kept)


def _licenses(make: Any) -> None:
    make("subscriptions.Plan", code="a", edition="community", billing_period="community")
    make("subscriptions.Plan", code="b", edition="commercial", billing_period="yearly")
    pending: dict[str, Any] = {"activated_at": None, "activated_by": None, "ends_at": None}
    pending |= {"beneficiary_object_id": None, "is_self_started": False}
    make("subscriptions.Subscription", state="pending", **pending)
    span: dict[str, Any] = {"starts_at": START, "ends_at": LATER}
    make("subscriptions.Subscription", state="ended", is_self_started=False, **span)
    make("subscriptions.Subscription", state="active", **span)
    make("licenses.StatusList")
    young: dict[str, Any] = {"valid_until": datetime(2999, 1, 1, tzinfo=UTC), "activated_at": None}
    make("licenses.SigningKey", state="active", kid="a", disabled_at=None, **young)
    make("licenses.SigningKey", state="disabled", kid="b")
    make("licenses.License", usage="org", country="DEU")
    make("licenses.License", usage="rnd", country="DEU", deleted_at=None)
    life: dict[str, Any] = {"slot": "primary", "issued_at": START, "expires_at": LATER}
    stands: dict[str, Any] = {"accepted_until": None, "replaced_at": None, "deleted_at": None}
    make("licenses.LicenseKey", **life, **stands, state="current", revoked_at=None)
    make("licenses.LicenseKey", **life, state="superseded", accepted_until=LATER, deleted_at=None)
    make("licenses.LicenseKey", **life, state="replaced", deleted_at=None)
    make("licenses.LicenseKey", **life, state="deleted", token=None)
    make("licenses.CheckCount")
    make("licenses.Figures", id=1)
