"""Service tokens: what a tenant's programs show to act for it."""

from __future__ import annotations

import hashlib
import ipaddress
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from portal.core.actors import Actor, ActorKind
from portal.core.dates import moment
from portal.core.names import NameField
from portal.tenants.models import Tenant

if TYPE_CHECKING:
    from subscriptions.models import SubscriptionQuerySet

DEFAULT_DAYS = 90
MAX_DAYS = 400
"""Days that a token lasts unless its maker chooses otherwise, and at most."""

REMINDERS = (14, 3)
"""Days before its end at which owners get a mail about a token."""


class Scope(models.TextChoices):
    """What a token may do; the label is the sentence that people read."""

    SUBSCRIPTIONS_READ = (
        "subscriptions:read",
        "List and read subscriptions, with the state of their license keys.",
    )
    KEYS_DOWNLOAD = "keys:download", "Download license files and the offline bundle."
    KEYS_CHECK = "keys:check", "Check license keys: in a slot, or one that it has."
    KEYS_GENERATE = (
        "keys:generate",
        "Generate license keys for a subscription that has none.",
    )
    KEYS_RESET = (
        "keys:reset",
        "Reset a slot, which stops the old key at once or after an overlap, and end overlaps.",
    )
    KEYS_RENEW = (
        "keys:renew",
        "Renew a license key that is about to expire, once, with an overlap of 7 days.",
    )
    LOG_READ = "log:read", "Read the log, with names and addresses of people."

    @property
    def words(self) -> str:
        """The scope in two or three words, for lists."""
        return SCOPE_WORDS[self]


SCOPE_WORDS = {
    Scope.SUBSCRIPTIONS_READ: "Read subscriptions",
    Scope.KEYS_DOWNLOAD: "Download license files",
    Scope.KEYS_CHECK: "Check keys",
    Scope.KEYS_GENERATE: "Generate keys",
    Scope.KEYS_RESET: "Reset keys",
    Scope.KEYS_RENEW: "Renew keys",
    Scope.LOG_READ: "Read the log",
}


class TokenState(models.TextChoices):
    """Whether a token works, and if not, why."""

    ACTIVE = "active", "Active"
    OVERLAPPING = "overlapping", "Rotated, still works"
    ROTATED = "rotated", "Rotated"
    EXPIRED = "expired", "Expired"
    REVOKED = "revoked", "Revoked"


WORKING = frozenset({TokenState.ACTIVE, TokenState.OVERLAPPING})


class ServiceTokenQuerySet(models.QuerySet["ServiceToken"]):
    """Queries for service tokens."""

    def working(self, now: datetime) -> ServiceTokenQuerySet:
        """Return those that are accepted at that moment."""
        in_overlap = Q(overlap_ends_at=None) | Q(overlap_ends_at__gt=now)
        return self.filter(in_overlap, revoked_at=None, expires_at__gt=now)

    def ended(self, now: datetime) -> ServiceTokenQuerySet:
        """Return those that are accepted no more, the newest first."""
        not_working = ~Q(pk__in=ServiceToken.objects.working(now).values("pk"))
        return self.filter(not_working).order_by("-created_at", "-pk")


class ServiceToken(models.Model):
    """What a program shows to act for a tenant; only a hash of the secret is kept.

    A rotation makes another row, the `successor`, so that what the old secret did and the new one
    does can be told apart.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="service_tokens")
    name = NameField(max_length=100)
    scopes = models.JSONField(default=list)
    for_all_subscriptions = models.BooleanField(default=True)
    chosen = models.ManyToManyField(
        "subscriptions.Subscription",
        blank=True,
        related_name="+",
        help_text="What it reaches, unless it is for all subscriptions.",
    )
    networks = models.JSONField(
        default=list, blank=True, help_text="CIDR; it works from everywhere if there is none."
    )
    secret_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    ending = models.CharField(
        max_length=4, editable=False, help_text="Its last characters, by which people find it."
    )
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by_id = models.UUIDField(null=True, blank=True, editable=False)
    created_by_name = models.CharField(max_length=200, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_from = models.CharField(max_length=45, blank=True, editable=False)
    successor = models.OneToOneField(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="predecessor",
    )
    overlap_ends_at = models.DateTimeField(null=True, blank=True, editable=False)
    """Until when it still works after its rotation; the time of the rotation if not at all."""
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_by_name = models.CharField(max_length=200, blank=True, editable=False)
    revoked_reason = models.CharField(max_length=500, blank=True, editable=False)
    reminded_days = models.PositiveSmallIntegerField(null=True, blank=True, editable=False)
    """The last reminder that was sent: this many days before the end."""

    objects = ServiceTokenQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")),
                name="service_token_expires_after_creation",
                violation_error_message="A token expires after it was made.",
            ),
            models.CheckConstraint(
                condition=Q(successor=None) | Q(overlap_ends_at__isnull=False),
                name="service_token_overlap_fits_successor",
                violation_error_message="A token that was rotated has an end of its overlap.",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=Q(revoked_at=None, overlap_ends_at=None),
                name="service_token_by_end",
            ),
            models.Index(fields=["created_at", "id"], name="service_token_by_creation"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def works_until(self) -> datetime:
        """When it ends by itself: at its expiry, or with the overlap after its rotation."""
        return min(self.expires_at, self.overlap_ends_at or self.expires_at)

    def last_use(self) -> str:
        """Return when and from where it was last used, for mails."""
        if self.last_used_at is None:
            return "never"
        return f"{moment(self.last_used_at, UTC)} from {self.last_used_from}"

    def state_at(self, now: datetime) -> TokenState:
        """Return whether it works at that moment, and if not, why."""
        if self.revoked_at is not None:
            return TokenState.REVOKED
        if self.overlap_ends_at is not None and self.overlap_ends_at <= now:
            return TokenState.ROTATED
        if self.expires_at <= now:
            return TokenState.EXPIRED
        return TokenState.ACTIVE if self.overlap_ends_at is None else TokenState.OVERLAPPING

    def works_at(self, now: datetime) -> bool:
        """Return whether it is accepted at that moment."""
        return self.state_at(now) in WORKING

    def working_predecessors(self, now: datetime) -> ServiceTokenQuerySet:
        """Return those that it was rotated from, however often, and that are accepted then."""
        own = self.tenant.service_tokens
        rotated = own.exclude(successor=None).values_list("successor", "pk")
        before = {new: old for new, old in rotated if new is not None}
        lineage: list[uuid.UUID] = [self.pk]
        while lineage[-1] in before:
            lineage.append(before[lineage[-1]])
        return own.working(now).filter(pk__in=lineage[1:])

    def allows(self, scope: Scope) -> bool:
        """Return whether it may do what the scope names."""
        return scope in self.scopes

    def admits(self, address: str) -> bool:
        """Return whether it may be used from that address; an unknown one is in no network."""
        if not self.networks:
            return True
        try:
            there = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(there in ipaddress.ip_network(network) for network in self.networks)

    def subscriptions(self) -> SubscriptionQuerySet:
        """Return the subscriptions that it reaches: the look-up is the check of access."""
        own: SubscriptionQuerySet = self.tenant.subscriptions.all()
        if self.for_all_subscriptions:
            return own
        return own.filter(
            pk__in=self.chosen.through.objects.filter(servicetoken=self.pk).values("subscription")
        )

    def actor(self, address: str) -> Actor:
        """Return who acts when a program uses it from that address."""
        return Actor(
            kind=ActorKind.SERVICE_TOKEN, name=self.name, token_id=self.pk, address=address
        )


def hashed(raw: str) -> str:
    """Return what is kept of a token: SHA-256, hex.

    A password needs a slow hash with a salt because people choose words that can be tried. 256
    random bits cannot be tried, whatever a guess costs, so a fast hash protects them as well; and
    without a salt the hash finds the row by its index.
    """
    return hashlib.sha256(raw.encode()).hexdigest()
