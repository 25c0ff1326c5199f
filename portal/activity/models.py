"""The log: one chain of rows for each tenant, and one for the vendor."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import date, datetime, time

from django.db import models
from django.utils import timezone

from portal.activity.actions import Action
from portal.activity.particulars import Particular, particulars, what_changed
from portal.core.actors import ActorKind

VENDOR = uuid.UUID(int=0)
"""Stands for "no tenant" in the log: what is done to the vendor's own things."""

LABELS: dict[str, str] = {action.value: str(action.label) for action in Action}


class LogChain(models.Model):
    """Head and count of one tenant's log, so that a cut tail is noticed.

    `kept_from` and what follows it are the signed checkpoint that retention leaves behind: the
    first `seq` still there, and the hash before it. The triggers let only older rows be removed.
    `erased_to` is the signed mark of an erasure: names in the rows up to this `seq` may be replaced
    by pseudonyms (`portal.activity.erasure`), once each.
    """

    tenant_id = models.UUIDField(primary_key=True, default=VENDOR)
    count = models.PositiveBigIntegerField(default=0)
    head = models.CharField(max_length=64, default="")
    kept_from = models.PositiveBigIntegerField(default=1)
    kept_previous = models.CharField(max_length=64, default="")
    kept_signature = models.CharField(max_length=64, default="")
    # With NULL allowed SQLite adds columns without copying the table; the triggers refuse NULL.
    erased_to = models.PositiveBigIntegerField(null=True, default=0, db_default=0)
    erased_signature = models.CharField(null=True, max_length=64, default="", db_default="")
    erasing = models.JSONField(
        null=True, help_text="While names are replaced: pseudonyms of people, by keyed digests."
    )

    def __str__(self) -> str:
        return f"{self.tenant_id}: {self.count}"


class LogEntryQuerySet(models.QuerySet["LogEntry"]):
    """Queries for the log."""

    def for_tenant(self, tenant_id: uuid.UUID) -> LogEntryQuerySet:
        """Return the rows of one tenant, the newest first."""
        return self.filter(tenant_id=tenant_id).order_by("-at", "-seq")

    def for_subscription(self, subscription_id: uuid.UUID) -> LogEntryQuerySet:
        """Return the rows about one subscription."""
        return self.filter(subscription_id=subscription_id)

    def for_subscriptions(self, subscription_ids: Collection[uuid.UUID]) -> LogEntryQuerySet:
        """Return the rows about any of some subscriptions."""
        return self.filter(subscription_id__in=subscription_ids)

    def by_actor(self, actor_id: uuid.UUID) -> LogEntryQuerySet:
        """Return what one person did."""
        return self.filter(actor_id=actor_id)

    def of_action(self, action: str) -> LogEntryQuerySet:
        """Return the rows of one action."""
        return self.filter(action=action)

    def on_days(self, first: date | None, last: date | None) -> LogEntryQuerySet:
        """Return the rows from the first to the last day in the active zone, both included."""
        rows, zone = self, timezone.get_current_timezone()
        if first:
            rows = rows.filter(at__gte=datetime.combine(first, time(), zone))
        if last:
            rows = rows.filter(at__lte=datetime.combine(last, time.max, zone))
        return rows


class LogEntry(models.Model):
    """One thing that happened: append-only, chained by HMAC, without foreign keys.

    Identifiers and names are copied, so that a row never changes. Only
    `portal.activity.entries.record` writes here; triggers refuse UPDATE and DELETE, but for what
    retention removes and an erasure replaces.
    """

    tenant_id = models.UUIDField(default=VENDOR)
    seq = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.UUIDField(null=True)
    actor_name = models.CharField(max_length=200)
    actor_email = models.EmailField(blank=True)
    action = models.CharField(max_length=60)
    subscription_id = models.UUIDField(null=True)
    subscription_name = models.CharField(max_length=200, blank=True)
    slot = models.CharField(max_length=10, blank=True)
    result = models.CharField(max_length=40, blank=True)
    reason = models.TextField(blank=True)
    details = models.JSONField(default=dict)
    address = models.CharField(max_length=45, blank=True)
    previous = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    hash_version = models.PositiveSmallIntegerField(null=True, db_default=1)
    """Which columns `hash` covers: a key of `portal.activity.chain.HASHED`."""
    seal = models.CharField(max_length=64, null=True, editable=False)
    """HMAC of a row whose names an erasure replaced, NULL otherwise: `portal.activity.erasure`."""

    objects = LogEntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "log entries"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["tenant_id", "seq"], name="log_entry_seq_unique")
        ]
        indexes = [
            models.Index(fields=["tenant_id", "at", "seq"], name="log_entry_by_time"),
            models.Index(fields=["tenant_id", "action", "at", "seq"], name="log_entry_by_action"),
            models.Index(fields=["tenant_id", "actor_id", "at", "seq"], name="log_entry_by_actor"),
            models.Index(fields=["action", "at"], name="log_entry_by_happening"),
            models.Index(
                fields=["tenant_id", "subscription_id", "at", "seq"],
                name="log_entry_by_subscription",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.describe()} by {self.actor_name}"

    def describe(self) -> str:
        """Return what happened, with the slot if one is concerned: "Primary license key reset"."""
        return f"{self.slot.capitalize()} {self.label.lower()}" if self.slot else self.label

    @property
    def label(self) -> str:
        """What happened, without the slot: "License key reset"."""
        return what_changed(self.action, self.details) or LABELS.get(self.action, self.action)

    @property
    def result_in_words(self) -> str:
        """The result of a check for people: "Subscription suspended"."""
        return self.result.replace("_", " ").capitalize()

    @property
    def result_tone(self) -> str:
        """The tone of the result's badge: only these two let a terminal start."""
        return {"valid": "good", "superseded": "warn"}.get(self.result, "bad")

    def particulars(self) -> list[Particular]:
        """Return the details for people."""
        return particulars(self.action, self.details)
