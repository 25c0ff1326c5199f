"""Tenants, their members, and invitations to them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import pycountry
from allauth.usersessions.models import UserSession
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Lower
from django.utils import timezone

from portal.accounts.models import User
from portal.accounts.second_factor import second_factors
from portal.core import names
from portal.core.countries import country_name
from portal.core.email_addresses import EmailAddressField
from portal.core.names import NameField

INVITATION_LIFE = timedelta(days=7)


def validate_country(value: str) -> None:
    """Raise ValidationError unless the value is an ISO 3166-1 alpha-3 code in use."""
    if pycountry.countries.get(alpha_3=value) is None or not value.isupper():
        raise ValidationError("Choose a country of the list: a three-letter code such as USA.")


def validate_tenant_name(value: str) -> None:
    """Raise ValidationError for a name that must not appear in a mail to strangers."""
    names.validate_no_address(value)
    names.validate(names.normalised(value))


def invitation_end() -> datetime:
    """Return when an invitation made now ends."""
    return timezone.now() + INVITATION_LIFE


CLOSING_DELAY = timedelta(days=30)
"""How long a closing can be taken back."""


class TenantQuerySet(models.QuerySet["Tenant"]):
    """Tenants, by whether they close."""

    def closing(self) -> TenantQuerySet:
        """Return those whose closing was asked for and is not carried out, the next first."""
        return self.filter(closes_at__isnull=False, erased_at=None).order_by("closes_at")


class Tenant(models.Model):
    """A customer account; `id` is the consumer tenant identifier (`tid`)."""

    id = models.UUIDField("tenant identifier", primary_key=True, default=uuid.uuid4, editable=False)
    name = NameField(max_length=200, in_mails=True, validators=[validate_tenant_name])
    country = models.CharField(
        max_length=3,
        validators=[validate_country],
        help_text="ISO 3166-1 alpha-3, such as USA. Fixed once license keys exist.",
    )
    requires_two_factor = models.BooleanField(
        default=False, help_text="Members must sign in with a second factor."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closes_at = models.DateTimeField("closes", null=True, editable=False)
    closed_at = models.DateTimeField("closed", null=True, editable=False)
    erased_at = models.DateTimeField(
        "erased", null=True, editable=False, help_text="When all of the closing was carried out."
    )
    members = models.ManyToManyField(User, through="Member", related_name="tenants")

    objects = TenantQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        permissions = [("support_tenant", "Can view the portal as the tenant, read-only")]
        indexes = [
            models.Index(
                fields=["closes_at"],
                condition=Q(closes_at__isnull=False, erased_at=None),
                name="tenant_closing",
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(closed_at=None, erased_at=None)
                | Q(closes_at__isnull=False, closed_at__isnull=False),
                name="tenant_closes_in_order",
            ),
            models.CheckConstraint(
                condition=Q(country__regex=r"^[A-Z]{3}$"),
                name="tenant_country_is_alpha_3",
                violation_error_message="A country is a three-letter code such as USA.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_country_name(self) -> str:
        """Return the country's name for people."""
        return country_name(self.country)

    @property
    def is_closing(self) -> bool:
        """Whether its closing was asked for and can be taken back."""
        return self.closes_at is not None and self.closed_at is None


class Role(models.TextChoices):
    """What a member may do in a tenant."""

    OWNER = "owner", "Owner"
    MANAGER = "manager", "Manager"
    VIEWER = "viewer", "Viewer"


RANKS = {Role.VIEWER: 0, Role.MANAGER: 1, Role.OWNER: 2}
"""A role may do everything that a role of a lower rank may do."""


class MemberQuerySet(models.QuerySet["Member"]):
    """Memberships, by what their users may do."""

    def owners(self) -> MemberQuerySet:
        """Return the owners who may sign in."""
        return self.filter(role=Role.OWNER, user__is_active=True)

    def last_owners(self) -> MemberQuerySet:
        """Return the owners without whom their tenant would have none who may sign in."""
        others = (
            Member.objects.owners().filter(tenant=OuterRef("tenant")).exclude(pk=OuterRef("pk"))
        )
        return self.filter(~Exists(others), role=Role.OWNER)

    def alone_in(self, tenant: Tenant) -> MemberQuerySet:
        """Return the members who belong to no other tenant, nor to the staff."""
        others = Member.objects.filter(user=OuterRef("user"), tenant__closed_at=None)
        return self.filter(
            ~Exists(others.exclude(tenant=tenant)),
            tenant=tenant,
            user__is_staff=False,
            user__is_superuser=False,
        )

    def with_sign_in(self) -> MemberQuerySet:
        """Annotate `last_seen_at`, None if never, and `has_second_factor` of their users."""
        sessions = UserSession.objects.filter(user=OuterRef("user")).order_by("-last_seen_at")
        last_seen = Subquery(sessions.values("last_seen_at")[:1])
        return self.annotate(
            last_seen_at=Coalesce(last_seen, "user__last_login"),
            has_second_factor=Exists(second_factors().filter(user=OuterRef("user"))),
        )


class Member(models.Model):
    """A user in a tenant, with a role."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role)
    joined_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = MemberQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "user"],
                name="member_once_per_tenant",
                violation_error_message="This user already is a member of the tenant.",
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="member_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"

    def may(self, role: Role) -> bool:
        """Return whether this member may do what needs `role`."""
        return RANKS[Role(self.role)] >= RANKS[role]

    @property
    def may_close(self) -> bool:
        """Whether this member may close the tenant, and take that back."""
        return self.may(Role.OWNER)

    def is_last_owner(self) -> bool:
        """Return whether the tenant would have no owner who may sign in without this member."""
        return Member.objects.last_owners().filter(pk=self.pk).exists()


class InvitationQuerySet(models.QuerySet["Invitation"]):
    """Invitations, by whether they can be accepted."""

    def pending(self) -> InvitationQuerySet:
        """Return those that nobody accepted or revoked, the expired ones included."""
        return self.filter(accepted_at=None, revoked_at=None)

    def open(self, now: datetime | None = None) -> InvitationQuerySet:
        """Return those that can be accepted: the inviter is still an owner, or an operator."""
        owner = Member.objects.owners().filter(
            tenant=OuterRef("tenant"), user=OuterRef("invited_by")
        )
        operator = Q(invited_by__is_staff=True, invited_by__is_active=True)
        return self.pending().filter(
            Q(Exists(owner)) | operator, expires_at__gt=now or timezone.now()
        )

    def with_openness(self) -> InvitationQuerySet:
        """Annotate `is_open`: whether it can still be accepted."""
        return self.annotate(is_open=Exists(Invitation.objects.open().filter(pk=OuterRef("pk"))))


class Invitation(models.Model):
    """An offer of membership to one address; only a hash of the link's secret is kept."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="invitations")
    email = EmailAddressField()
    role = models.CharField(max_length=10, choices=Role)
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(default=invitation_end)
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["tenant", "created_at"], name="invitation_by_day")]
        constraints = [
            models.UniqueConstraint(
                F("tenant"),
                Lower("email"),
                condition=Q(accepted_at=None, revoked_at=None),
                name="invitation_open_once",
                violation_error_message="This address already has an open invitation.",
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.tenant}"


class Topic(models.TextChoices):
    """What a tenant's mails are about; owners and managers choose which they want."""

    EXPIRY = "expiry", "License keys expire, or old ones in use stop after a reset"
    KEYS = "keys", "License keys are generated, reset, deleted or revoked"
    SUBSCRIPTION = (
        "subscription",
        "A subscription is suspended, resumed or ended, or its plan or end date changes",
    )
    MEMBERS = "members", "Members join or leave, or their roles change"


EXPIRY_DAYS = (60, 30, 14, 7, 3, 1)
"""Days before an expiry on which a mail can be sent; the longest that suit the plan count."""


def all_topics() -> list[str]:
    """Return the topics of a tenant that has chosen nothing."""
    return list(Topic.values)


def all_expiry_days() -> list[int]:
    """Return the days of a tenant that has chosen nothing."""
    return list(EXPIRY_DAYS)


class NotificationPreferences(models.Model):
    """Which mails the owners and managers of a tenant get; without a row all of them."""

    tenant = models.OneToOneField(
        Tenant, on_delete=models.CASCADE, primary_key=True, related_name="notification_preferences"
    )
    topics = models.JSONField(default=all_topics, blank=True)
    expiry_days = models.JSONField(default=all_expiry_days, blank=True)

    class Meta:
        verbose_name_plural = "notification preferences"

    def __str__(self) -> str:
        return f"Notifications of {self.tenant}"


MAX_RECIPIENTS = 10
"""Addresses of a tenant that get its mails without an account."""


class RecipientQuerySet(models.QuerySet["Recipient"]):
    """Recipients, by whether they still get mails."""

    def active(self) -> RecipientQuerySet:
        """Return those that were neither removed nor have stopped the mails."""
        return self.filter(ended_at=None).order_by("pk")


class Recipient(models.Model):
    """An address that gets a tenant's mails without an account, such as a mailing list."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="recipients")
    email = EmailAddressField()
    added_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = RecipientQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                F("tenant"),
                Lower("email"),
                condition=Q(ended_at=None),
                name="recipient_once",
                violation_error_message="This address gets the mails already.",
            )
        ]

    def __str__(self) -> str:
        return self.email
