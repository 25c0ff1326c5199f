"""Signing outside the transaction, storing inside it: what generate and reset share."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction

from licenses import keys, status_list, tokens
from licenses.models import License, LicenseKey, SigningKeyState, Slot
from portal.core.actors import Actor
from portal.core.refusal import Refused
from subscriptions.models import Subscription

MAX_ATTEMPTS = 5


class Outdated(Exception):
    """The data behind the signed keys changed before they were stored: sign again."""


def expiry(*, issued_at: datetime, days: int, ends_at: datetime | None) -> datetime:
    """Return the earlier of issue + days and the subscription's end date, in whole seconds.

    Raises Refused when the end date has been reached.
    """
    expires_at = issued_at + timedelta(days=days)
    if ends_at is not None:
        expires_at = min(expires_at, ends_at.replace(microsecond=0))
    if expires_at <= issued_at:
        raise Refused("This subscription ends at this very moment; it gets no license keys.")
    return expires_at


def signed_keys(
    *,
    license: License,
    subscription: Subscription,
    slots: Iterable[Slot],
    actor: Actor,
    now: datetime,
) -> list[LicenseKey]:
    """Return a new key for each slot, signed and not yet stored.

    Raises Refused when no signing key is active, or when its certificate ends too early.
    """
    slots = list(slots)
    signing_key = keys.active()
    entries, indexes = status_list.pick(len(slots))
    issued_at = now.replace(microsecond=0)
    expires_at = expiry(issued_at=issued_at, days=license.days, ends_at=subscription.ends_at)
    signed = []
    for slot, index in zip(slots, indexes, strict=True):
        jti = uuid.uuid4()
        claims = tokens.license_claims(
            license=license,
            jti=jti,
            issued_at=issued_at,
            expires_at=expires_at,
            status_list_uri=tokens.status_list_uri(entries.number),
            status_index=index,
        )
        token = keys.sign(signing_key, claims)
        signed.append(
            LicenseKey(
                tenant_id=license.tenant_id,
                license=license,
                signing_key=signing_key,
                slot=slot,
                jti=jti,
                token=token,
                token_sha256=tokens.sha256_of(token),
                issued_at=issued_at,
                expires_at=expires_at,
                status_list=entries,
                status_index=index,
                created_by_name=actor.name,
            )
        )
    return signed


@contextmanager
def storing(signed: list[LicenseKey]) -> Iterator[None]:
    """Run what is inside in a transaction that stores what `signed_keys` returned.

    Raises Outdated when a status index was taken meanwhile: two subscriptions may pick the same
    entry at once, which only the unique constraint prevents.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if status_list.taken(signed[0].status_list, {key.status_index for key in signed}):
            raise Outdated from error
        raise


def store(signed: list[LicenseKey]) -> None:
    """Insert the keys; raises Outdated when their signing key is no longer active."""
    key = signed[0].signing_key_id
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM licenses_signingkey WHERE id = %s", [key])
        if cursor.fetchone() != (SigningKeyState.ACTIVE,):
            raise Outdated
    LicenseKey.objects.bulk_create(signed)


def until_current[S, T](sign_and_store: Callable[[S], T], *, seen: S, read: Callable[[], S]) -> T:
    """Sign and store from `seen`; while that is outdated, again from what `read` returns."""
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            return sign_and_store(seen)
        except Outdated:
            if attempt == MAX_ATTEMPTS:
                raise
            seen = read()
    raise AssertionError("unreachable")
