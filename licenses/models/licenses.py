"""Licenses and their keys."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Exists, ExpressionWrapper, F, OuterRef, Q
from django.utils import timezone

from licenses.models.check_counts import CheckCount
from licenses.models.signing_keys import SigningKey
from licenses.models.status_lists import StatusList
from portal.core.rows import read
from portal.tenants.models import Tenant
from subscriptions.models import SOON, Plan, State, Subscription

sha256_hex = RegexValidator(r"^[0-9a-f]{64}\Z")


class Usage(models.TextChoices):
    """What a license is used for; the value is the last part of the usage URN."""

    ORGANIZATIONAL = "org", "Organizational"
    PERSONAL = "per", "Personal"
    EDUCATIONAL = "edu", "Educational"
    RESEARCH = "rnd", "Research and development"


class LicenseQuerySet(models.QuerySet["License"]):
    """Queries for licenses."""

    def not_deleted(self) -> LicenseQuerySet:
        """Return the licenses that were not deleted."""
        return self.filter(deleted_at=None)

    def newest_of(self, subscription: Subscription) -> License | None:
        """Return the license that is not deleted, else the last one, which flows refuse.

        None when there never was one.
        """
        living = read(self.model, subscription=subscription.pk, deleted_at=None)
        deleted = self.filter(subscription=subscription).order_by("-deleted_at")
        return living[0] if living else deleted.first()


class License(models.Model):
    """What Generate creates: all values that go into its keys, frozen at that time."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="licenses")
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="licenses"
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="licenses")
    usage = models.CharField(max_length=3, choices=Usage)
    holder_name = models.CharField("holder's name", max_length=200)
    country = models.CharField(max_length=3)
    authorized_application_id = models.UUIDField(unique=True, default=uuid.uuid4)
    issuer = models.CharField(max_length=300)
    tenant_audience = models.CharField(max_length=300)
    authorized_party = models.CharField(max_length=300)
    plan_urn = models.CharField(max_length=100)
    days = models.PositiveSmallIntegerField(help_text="From signing to expiry, by the plan.")
    custom_claims = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by_name = models.CharField(max_length=200)
    deleted_at = models.DateTimeField(null=True, blank=True)
    deleted_by_name = models.CharField(max_length=200, blank=True)

    objects = LicenseQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(deleted_at=None),
                name="license_one_living",
                violation_error_message="This subscription already has license keys.",
            ),
            models.CheckConstraint(condition=Q(usage__in=Usage.values), name="license_usage_known"),
        ]

    def __str__(self) -> str:
        return f"{self.holder_name} ({self.authorized_application_id})"

    @property
    def audience(self) -> list[str]:
        """The claim `aud`: the holder's name, then the tenant audience."""
        return [self.holder_name, self.tenant_audience]


class Slot(models.TextChoices):
    """The two places for a key of a license."""

    PRIMARY = "primary", "Primary"
    SECONDARY = "secondary", "Secondary"

    @property
    def key_type(self) -> str:
        """The slot as the license file and terminals write it (contract.md section 2)."""
        return f"{self.value}_key"

    @property
    def other(self) -> Slot:
        """The slot whose key terminals use while this one is reset."""
        return Slot.SECONDARY if self is Slot.PRIMARY else Slot.PRIMARY


class KeyState(models.TextChoices):
    """The stored state of a license key; revocation and expiry are stored separately.

    A check of a superseded key whose overlap is over says `replaced`, whatever is stored.
    """

    CURRENT = "current", "Current"
    SUPERSEDED = "superseded", "Superseded"
    REPLACED = "replaced", "Replaced"
    DELETED = "deleted", "Deleted"


ANSWERED = {KeyState.CURRENT, KeyState.SUPERSEDED}
"""States in which a check may still pass."""


class LicenseKeyQuerySet(models.QuerySet["LicenseKey"]):
    """Queries for license keys."""

    def current(self) -> LicenseKeyQuerySet:
        """Return the keys that are in a slot now."""
        return self.filter(state=KeyState.CURRENT)

    def overlapping(self, now: datetime | None = None) -> LicenseKeyQuerySet:
        """Return the superseded keys whose overlap is not over."""
        return self.filter(
            state=KeyState.SUPERSEDED,
            revoked_at=None,
            accepted_until__gt=now or timezone.now(),
        )

    def current_and_replaced_since(self, since: datetime, now: datetime) -> LicenseKeyQuerySet:
        """Return the current keys and those still accepted, then those replaced since."""
        works = Q(state=KeyState.SUPERSEDED, accepted_until__gt=now)
        replaced = Q(state__in=[KeyState.SUPERSEDED, KeyState.REPLACED], replaced_at__gte=since)
        rows = self.filter(Q(state=KeyState.CURRENT) | works | replaced)
        is_replaced = ExpressionWrapper(Q(state=KeyState.REPLACED), models.BooleanField())
        return rows.order_by(is_replaced.asc(), "-replaced_at")

    def expiring(self, now: datetime | None = None) -> LicenseKeyQuerySet:
        """Return the current keys, not revoked, that expire within SOON."""
        now = now or timezone.now()
        return self.current().filter(
            revoked_at=None, expires_at__gt=now, expires_at__lte=now + SOON
        )

    def answered(self, license_id: uuid.UUID, slot: Slot) -> dict[str, LicenseKey]:
        """Return the keys of a slot that a check may accept, by state, with their signing keys."""
        keys = read(LicenseKey, license=license_id, slot=slot, state=list(ANSWERED))
        for key in keys:
            [key.signing_key] = read(SigningKey, id=key.signing_key_id)
        return {key.state: key for key in keys}

    def with_signing_key(self) -> LicenseKeyQuerySet:
        """Read the signing key too, for `withdrawn_at`, without its long columns."""
        rows = self.select_related("signing_key")
        return rows.defer("signing_key__private_key", "signing_key__certificate")

    def to_reset(
        self, now: datetime | None = None, *, if_disabled: SigningKey | None = None
    ) -> LicenseKeyQuerySet:
        """Return the keys of active subscriptions that nothing but a disabled signing key refuses.

        With `if_disabled`, those that this one refuses, or would if it were disabled.
        """
        now, ends_at = now or timezone.now(), "license__subscription__ends_at"
        refused = Q(signing_key=if_disabled) if if_disabled else ~Q(signing_key__disabled_at=None)
        return self.current().filter(
            Q((ends_at, None)) | Q((f"{ends_at}__gt", now)),
            refused,
            license__subscription__state=State.ACTIVE,
            revoked_at=None,
            expires_at__gt=now,
        )

    def never_downloaded(self) -> LicenseKeyQuerySet:
        """Return the current keys that nobody has downloaded."""
        return self.current().filter(last_downloaded_at=None)

    def never_checked(self) -> LicenseKeyQuerySet:
        """Return the current keys that no terminal has checked."""
        checks = CheckCount.objects.filter(license_key=OuterRef("pk"))
        return self.current().filter(~Exists(checks))

    def accepted(self, now: datetime | None = None) -> LicenseKeyQuerySet:
        """Return the keys that pass a check, apart from their subscription and signing key."""
        now = now or timezone.now()
        overlap_runs = Q(accepted_until=None) | Q(accepted_until__gt=now)
        return self.filter(overlap_runs, state__in=ANSWERED, revoked_at=None, expires_at__gt=now)


class LicenseKey(models.Model):
    """One signed key with its history: a reset adds a row, a deletion erases the token only."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="license_keys")
    license = models.ForeignKey(License, on_delete=models.PROTECT, related_name="keys")
    signing_key = models.ForeignKey(
        SigningKey, on_delete=models.PROTECT, related_name="keys", db_index=False
    )
    slot = models.CharField(max_length=10, choices=Slot)
    state = models.CharField(max_length=12, choices=KeyState, default=KeyState.CURRENT)
    jti = models.UUIDField(unique=True)
    token = models.TextField(
        null=True, blank=True, help_text="Gone once the license keys are deleted."
    )
    token_sha256 = models.CharField(max_length=64, validators=[sha256_hex])
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    accepted_until = models.DateTimeField(
        null=True, blank=True, help_text="End of the overlap that a reset chose."
    )
    replaced_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    status_list = models.ForeignKey(StatusList, on_delete=models.PROTECT, related_name="keys")
    status_index = models.PositiveIntegerField()
    created_by_name = models.CharField(max_length=200)
    last_downloaded_at = models.DateTimeField(null=True, blank=True)
    reminded_days = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Step of the expiry reminders that was told last."
    )
    awaits_first_check = models.BooleanField(
        default=False,
        db_default=False,
        help_text="A reset signed it, and no terminal was seen with it yet.",
    )
    overlap_end_told = models.BooleanField(
        default=False, db_default=False, help_text="Whether the end of its overlap was told."
    )

    objects = LicenseKeyQuerySet.as_manager()

    class Meta:
        ordering = ["license", "slot", "-issued_at"]
        constraints = [
            models.CheckConstraint(condition=Q(slot__in=Slot.values), name="license_key_slot"),
            models.UniqueConstraint(
                fields=["license", "slot"],
                condition=Q(state=KeyState.CURRENT),
                name="license_key_one_current",
                violation_error_message="This slot already has a key.",
            ),
            models.UniqueConstraint(
                fields=["license", "slot"],
                condition=Q(state=KeyState.SUPERSEDED),
                name="license_key_one_superseded",
                violation_error_message="This slot already has a superseded key.",
            ),
            models.UniqueConstraint(
                fields=["status_list", "status_index"], name="license_key_status_index_once"
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("issued_at")), name="license_key_lives"
            ),
            models.CheckConstraint(
                condition=Q(state=KeyState.CURRENT, accepted_until=None, replaced_at=None)
                | Q(
                    state=KeyState.SUPERSEDED,
                    accepted_until__isnull=False,
                    replaced_at__isnull=False,
                    accepted_until__lte=F("expires_at"),
                )
                | Q(state=KeyState.REPLACED, replaced_at__isnull=False)
                | Q(state=KeyState.DELETED, deleted_at__isnull=False, token=None),
                name="license_key_state_fits",
            ),
            models.CheckConstraint(
                condition=Q(state=KeyState.DELETED)
                | Q(state=KeyState.REPLACED, deleted_at=None)
                | Q(state__in=ANSWERED, deleted_at=None, token__isnull=False),
                name="license_key_token_until_deleted",
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="license_key_by_expiry"),
            models.Index(fields=["tenant", "expires_at"], name="license_key_by_tenant"),
            # All columns that the figures count, so that the index alone is read.
            models.Index(
                fields=["signing_key", "state", "revoked_at", "expires_at", "accepted_until"],
                name="license_key_figures",
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(state=KeyState.CURRENT, revoked_at=None),
                name="license_key_expiring",
            ),
            models.Index(
                fields=["id"],
                condition=Q(awaits_first_check=True),
                name="license_key_awaits_check",
            ),
            models.Index(
                fields=["accepted_until"],
                condition=Q(state=KeyState.SUPERSEDED, overlap_end_told=False),
                name="license_key_overlap_ends",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_slot_display()} {self.jti}"

    @property
    def withdrawn_at(self) -> datetime | None:
        """When its signing key was disabled: no check passes since; None while that verifies.

        Rows read by `with_signing_key` need no query for it.
        """
        return self.signing_key.disabled_at

    def is_in_use(self, now: datetime) -> bool:
        """Return whether the key is in its slot, or accepted in an overlap that is not over."""
        overlaps = self.accepted_until is not None and self.accepted_until > now
        return self.state == KeyState.CURRENT or (self.state == KeyState.SUPERSEDED and overlaps)
