"""What was bought: plans and subscriptions."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Self, override

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone

from portal.core import names
from portal.core.dates import MomentField
from portal.core.email_addresses import EmailAddressField
from portal.core.names import NameField
from portal.tenants.models import Tenant
from subscriptions import custom_claims
from subscriptions.service_tokens.models import ServiceToken  # noqa: F401 (for Django)


class Edition(models.TextChoices):
    """The edition of a plan: its badge, and the usages that its licenses may have."""

    COMMUNITY = "community", "Community"
    COMMERCIAL = "commercial", "Commercial"


class BillingPeriod(models.TextChoices):
    """How long the keys of a plan are valid."""

    COMMUNITY = "community", "Community"
    MONTHLY = "monthly", "Monthly"
    YEARLY = "yearly", "Yearly"


DAYS = {BillingPeriod.COMMUNITY: 90, BillingPeriod.MONTHLY: 31, BillingPeriod.YEARLY: 365}
"""Days from signing to expiry, by billing period."""

EXPIRY_NOTICE = {
    BillingPeriod.COMMUNITY: timedelta(days=30),
    BillingPeriod.MONTHLY: timedelta(days=7),
    BillingPeriod.YEARLY: timedelta(days=60),
}
"""How long before its expiry a key is shown as expiring soon, by billing period."""

SOON = timedelta(days=30)
"""How long before their expiry operators see keys listed as expiring, in any billing period."""


MAX_LABELS = 10
"""Labels that a subscription has at most."""
MAX_LABEL = 30
"""Characters of the longest label."""
MAX_NOTE = 1_000
"""Characters of the longest note."""


class PlanQuerySet(models.QuerySet["Plan"]):
    """Queries for plans."""

    def offered(self) -> PlanQuerySet:
        """Return the plans that new subscriptions may use."""
        return self.filter(is_offered=True)


class Plan(models.Model):
    """What a subscription is for: edition, URN, billing period."""

    code = models.SlugField(unique=True, max_length=60)
    name = NameField(max_length=100)
    edition = models.CharField(max_length=12, choices=Edition)
    urn = models.CharField(
        "plan URN",
        max_length=100,
        validators=[
            RegexValidator(
                r"^urn:oneimlx:(lic|terminal):plan:[a-z0-9_-]+\Z",
                "A plan URN looks like urn:oneimlx:lic:plan:micro.",
            )
        ],
    )
    billing_period = models.CharField(max_length=12, choices=BillingPeriod)
    is_offered = models.BooleanField(
        "offered", default=True, help_text="Off: existing subscriptions stay, no new ones."
    )
    custom_claims = models.JSONField(
        default=dict,
        blank=True,
        help_text="For custom plans only: the claims that go flat into the keys.",
    )

    objects = PlanQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(edition__in=Edition.values), name="plan_edition"),
            models.CheckConstraint(
                condition=Q(billing_period__in=BillingPeriod.values), name="plan_billing_period"
            ),
            models.CheckConstraint(
                condition=(Q(edition="community") & Q(billing_period="community"))
                | (Q(edition="commercial") & ~Q(billing_period="community")),
                name="plan_period_fits_edition",
                violation_error_message="Community plans have the community period, commercial "
                "plans are monthly or yearly.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @override
    def clean(self) -> None:
        """Complete the custom claims; raises ValidationError unless they fit.

        The rules are in contract.md section 6.
        """
        self.custom_claims = custom_claims.completed(self.custom_claims)
        try:
            custom_claims.validate_for_plan(self.urn, self.custom_claims)
        except ValidationError as error:
            raise ValidationError({"custom_claims": error}) from error

    @property
    def days(self) -> int:
        """Days from signing to expiry of the plan's license keys."""
        return DAYS[BillingPeriod(self.billing_period)]

    @property
    def expiry_notice(self) -> timedelta:
        """How long before its expiry a key of the plan is shown as expiring soon."""
        return EXPIRY_NOTICE[BillingPeriod(self.billing_period)]

    def expires_soon(self, expires_at: datetime, now: datetime) -> bool:
        """Return whether a key that expires then is shown, and mailed about, as expiring soon."""
        return now < expires_at <= now + self.expiry_notice

    @property
    def is_community(self) -> bool:
        """Whether the plan is of the community edition."""
        return self.edition == Edition.COMMUNITY


class State(models.TextChoices):
    """The state of a subscription."""

    PENDING = "pending", "Pending"
    ACTIVE = "active", "Active"
    SUSPENDED = "suspended", "Suspended"
    ENDED = "ended", "Ended"

    @property
    def tone(self) -> str:
        """The tone in which pages show the state."""
        return _TONES[self]

    @property
    def in_words(self) -> str:
        """The state as sentences tell it, after their subject."""
        return "has ended" if self == State.ENDED else f"is {self.label.lower()}"


_TONES = {
    State.PENDING: "info",
    State.ACTIVE: "good",
    State.SUSPENDED: "warn",
    State.ENDED: "muted",
}

RUNNING = {State.ACTIVE, State.SUSPENDED}
"""Activated and not ended: operators suspend and resume."""


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    """Queries for subscriptions."""

    def for_tenant(self, tenant: Tenant) -> Self:
        """Return the subscriptions of one tenant."""
        return self.filter(tenant=tenant.pk)

    def with_state(self, now: datetime | None = None) -> Self:
        """Annotate `effective_state`: ended if stored as such or if the end date has passed."""
        now = now or timezone.now()
        return self.annotate(
            effective_state=Case(
                When(ends_at__lte=now, then=Value(State.ENDED)),
                default=F("state"),
                output_field=models.CharField(),
            )
        )

    def in_state(self, state: State, now: datetime | None = None) -> Self:
        """Return those whose effective state is `state`."""
        rows, past = self.with_state(now), Q(ends_at__lte=now or timezone.now())
        if state == State.ENDED:
            return rows.filter(past | Q(state=state))
        return rows.filter(~past, state=state)

    def matching(self, text: str) -> Self:
        """Return those with the text in name, labels or note, or at the start of the identifier."""
        text = names.seen(text)
        return self.filter(self._matches(text)) if text else self

    def _matches(self, text: str) -> Q:
        """Return the condition of `matching` for a text that is not empty."""
        found = Q(name__shows=text) | Q(labels__shows=text) | Q(note__shows=text)
        digits = text.replace("-", "").lower()
        dashed = _dashed(digits)
        written = text.lower().rstrip("-") in {digits, dashed}
        if digits and written and set(digits) <= set("0123456789abcdef"):
            found |= Q(id__istartswith=dashed)
        return found


def _dashed(digits: str) -> str:
    """Return the beginning of an identifier as it is written: 8, 4, 4, 4, then 12 digits."""
    ends = [0, 8, 12, 16, 20, len(digits)]
    parts = [digits[start:end] for start, end in pairwise(ends)]
    return "-".join(part for part in parts if part)


class Subscription(models.Model):
    """A tenant's purchase of a plan; `id` is the subscription identifier (`sub`)."""

    id = models.UUIDField(
        "subscription identifier", primary_key=True, default=uuid.uuid4, editable=False
    )
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="subscriptions")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    name = NameField(max_length=200)
    state = models.CharField(max_length=12, choices=State, default=State.PENDING)
    starts_at = MomentField("start", default=timezone.now)
    ends_at = MomentField("end", null=True, blank=True)
    beneficiary_tenant_id = models.UUIDField("beneficiary's tenant identifier")
    beneficiary_object_id = models.UUIDField(
        "beneficiary's object identifier", null=True, blank=True
    )
    beneficiary_email = EmailAddressField("beneficiary's email address", blank=True)
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)
    activated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
    )
    state_since = models.DateTimeField(null=True, blank=True, editable=False)
    state_reason = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Why an operator suspended, resumed or ended it; customers read it.",
    )
    is_self_started = models.BooleanField("self-started", default=False, editable=False)
    labels = models.CharField(
        max_length=MAX_LABELS * (MAX_LABEL + 2),
        blank=True,
        editable=False,
        default="",
        db_default="",
        help_text="Separated by a comma and a space.",
    )
    note = models.TextField(blank=True, editable=False, default="", db_default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SubscriptionQuerySet.as_manager()

    effective_state: str
    """Set by `with_state`; `state_at` computes the same for one row."""

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=State.values), name="subscription_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state=State.ENDED)
                | Q(state=State.PENDING, activated_at=None)
                | Q(state__in=RUNNING, activated_at__isnull=False),
                name="subscription_activation_fits_state",
                violation_error_message="A pending subscription is not activated yet, an active "
                "or suspended one is.",
            ),
            models.CheckConstraint(
                condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")),
                name="subscription_ends_after_start",
                violation_error_message="The end must lie after the start.",
            ),
            models.UniqueConstraint(
                fields=["tenant"],
                condition=Q(is_self_started=True),
                name="subscription_self_started_once",
                violation_error_message="This tenant has started its free community "
                "subscription already.",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "-id"], name="subscription_listing"),
            models.Index(F("tenant"), Lower("name"), F("id"), name="subscription_by_name"),
            models.Index(fields=["tenant", "state", "ends_at"], name="subscription_by_state"),
            # All columns that the figures count, so that the index alone is read.
            models.Index(fields=["state", "plan", "ends_at"], name="subscription_figures"),
            models.Index(fields=["created_at", "id"], name="subscription_by_creation"),
            models.Index(
                fields=["ends_at"], condition=Q(ends_at__isnull=False), name="subscription_by_end"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of the subscription's page."""
        return reverse("subscriptions:detail", args=[self.pk])

    @property
    def label_list(self) -> list[str]:
        """The labels, in the order in which they were written."""
        return self.labels.split(", ") if self.labels else []

    def state_at(self, now: datetime) -> State:
        """Return the effective state at that moment."""
        return effective_state(State(self.state), self.ends_at, now)


def effective_state(stored: State, ends_at: datetime | None, now: datetime) -> State:
    """Return the state at that moment: ended once the end date has passed, whatever is stored."""
    return State.ENDED if ends_at is not None and ends_at <= now else stored
