"""Prove that what is stored is what was issued: signatures, claims, slots, keys, the log."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.models import Count, Model, QuerySet

from licenses import keys, tokens
from licenses.models import (
    ANSWERED,
    KeyState,
    License,
    LicenseKey,
    SigningKey,
    SigningKeyState,
    StatusList,
)
from licenses.status_list import decoys
from licenses.store import sqlite
from portal.activity.models import VENDOR, LogChain
from portal.activity.verify import tenants_with_log, verify
from portal.core.refusal import Refused
from portal.tenants.models import Tenant

ROWS_PER_READ = 1_000


def findings(looked_at: Counter[str]) -> Iterator[str]:
    """Yield a sentence for all that is wrong; count in `looked_at` what was looked at.

    Takes no lock, and reads rows in batches; what changes meanwhile makes no finding.
    """
    if connection.vendor == "sqlite":
        yield from _damage()
    signing_keys = SigningKey.objects.in_bulk()
    looked_at["signing keys"] = len(signing_keys)
    yield from _unable_signing_keys(signing_keys)
    for key in _living_keys():
        looked_at["license keys"] += 1
        for fault in _faults(key):
            yield f"License key {key.jti} of subscription {key.license.subscription_id}: {fault}."
    yield from _broken_constraints()
    for tenant_id in tenants_with_log():
        looked_at["chains of the log"] += 1
        if found := verify(tenant_id):
            yield f"{log_of(tenant_id)}: {found.sentence}."
    looked_at["rows of the log"] = sum(
        count - kept_from + 1
        for count, kept_from in LogChain.objects.values_list("count", "kept_from")
    )


def log_of(tenant_id: Any) -> str:
    """Return whose log the chain is, for a sentence."""
    if tenant_id == VENDOR:
        return "Log of the vendor"
    tenant = Tenant.objects.filter(pk=tenant_id).first()
    return f"Log of {tenant or 'a tenant that is not there'} ({tenant_id})"


def _damage() -> Iterator[str]:
    try:
        sqlite.refuse_damage()
    except Refused as refusal:
        yield refusal.sentence


def _unable_signing_keys(signing_keys: dict[Any, SigningKey]) -> Iterator[str]:
    for signing_key in signing_keys.values():
        if signing_key.state == SigningKeyState.DISABLED:
            continue  # nothing is signed with it any more, and its license keys are refused
        if why := keys.why_unable_to_sign(signing_key):
            yield f"Signing key {signing_key.kid} ({signing_key.state}): {why}."


def _living_keys() -> Iterator[LicenseKey]:
    """Yield every license key whose token is stored: all but those of deleted licenses."""
    rows = LicenseKey.objects.filter(license__deleted_at=None).order_by("pk")
    rows = rows.exclude(state=KeyState.DELETED)
    rows = rows.select_related("license")
    signing_keys, lists, last = _Known(SigningKey), _Known(StatusList), 0
    while read := list(rows.filter(pk__gt=last)[:ROWS_PER_READ]):
        for key in read:
            signing_key, status_list = signing_keys[key.signing_key_id], lists[key.status_list_id]
            if signing_key and status_list:  # foreign keys are the database's to verify
                key.signing_key, key.status_list = signing_key, status_list
                yield key
        last = read[-1].pk


class _Known[T: Model](dict[Any, T | None]):
    """The rows of a small table by primary key, each read once; None where there is none."""

    def __init__(self, model: type[T]) -> None:
        super().__init__()
        self.model = model

    def __missing__(self, pk: Any) -> T | None:
        self[pk] = self.model._base_manager.filter(pk=pk).first()
        return self[pk]


def _faults(key: LicenseKey) -> Iterator[str]:
    """Yield what is wrong with one stored license key, as parts of a sentence."""
    if key.token is None or tokens.sha256_of(key.token) != key.token_sha256:
        yield "its token is not the one that was issued (SHA-256)"
    try:
        parsed = tokens.parse(key.token or "")
    except tokens.Malformed as error:
        yield f"its token is malformed: {error.reason.removesuffix('.')}"
        return
    signing_key = key.signing_key
    if parsed.kid != signing_key.kid:
        yield f"it was signed by {parsed.kid}, and its row names {signing_key.kid}"
    elif not _verifies(signing_key, parsed):
        yield "its signature does not verify"
    if wrong := sorted(_wrong_claims(key, parsed.claims)):
        yield f"its token and its row differ in {', '.join(wrong)}"
    if not 0 <= key.status_index < key.status_list.size:
        yield f"its status index {key.status_index} is outside of list {key.status_list_id}"
    elif key.status_index in decoys(bytes(key.status_list.decoy_seed), key.status_list.size):
        yield f"its status index {key.status_index} is one that list {key.status_list_id} refuses"


def _verifies(signing_key: SigningKey, parsed: tokens.ParsedToken) -> bool:
    try:
        return keys.verify(signing_key, parsed)
    except ValueError:  # its certificate is none
        return False


def _wrong_claims(key: LicenseKey, claims: dict[str, Any]) -> Iterator[str]:
    """Yield the names of claims that are not what row and license say.

    Of the status list's address only the number counts: PUBLIC_URL may be another today.
    """
    expected = key.license.custom_claims | tokens.standard_claims(
        license=key.license, jti=key.jti, issued_at=key.issued_at, expires_at=key.expires_at
    )
    yield from (name for name, value in expected.items() if claims.get(name) != value)
    status = claims.get("status")
    entry = status.get("status_list") if isinstance(status, dict) else None
    place = entry if isinstance(entry, dict) else {}
    path = f"/public/status/{key.status_list_id}"
    if place.get("idx") != key.status_index or not str(place.get("uri")).endswith(path):
        yield "status"


def _broken_constraints() -> Iterator[str]:
    """Yield what the database's own constraints forbid, should somebody have taken them away."""
    rows = LicenseKey.objects.all()
    unique: tuple[tuple[QuerySet[Any, Any], tuple[str, ...], str], ...] = (
        (rows.filter(state=KeyState.CURRENT), ("license", "slot"), "{} current keys are in {}"),
        (rows.filter(state=KeyState.SUPERSEDED), ("license", "slot"), "{} overlaps run in {}"),
        (rows, ("jti",), "{} license keys have {}"),
        (rows, ("status_list", "status_index"), "{} license keys have {}"),
        (License.objects.not_deleted(), ("subscription",), "{} licenses have {}"),
        (SigningKey.objects.filter(state=SigningKeyState.ACTIVE), ("state",), "{} keys have {}"),
    )
    for queryset, columns, sentence in unique:
        yield from _repeated(queryset, columns, sentence)
    misfits = rows.filter(license__deleted_at__isnull=False, state__in=ANSWERED)
    for jti in misfits.order_by("pk").values_list("jti", flat=True):
        yield f"License key {jti} is not deleted, and its license is."


def _repeated(rows: QuerySet[Any, Any], columns: tuple[str, ...], sentence: str) -> Iterator[str]:
    groups = rows.order_by().values(*columns).annotate(times=Count("pk")).filter(times__gt=1)
    for group in groups:
        place = ", ".join(f"{name.replace('_', ' ')} {group[name]}" for name in columns)
        yield f"{sentence.format(group['times'], place)}."
