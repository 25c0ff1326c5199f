"""Who has to reset license keys since a signing key was disabled, and how far that has got."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import batched, groupby
from uuid import UUID

from django.db.models import OuterRef, Q, Subquery

from licenses.models import CheckCount, KeyState, LicenseKey, SigningKey, Slot
from portal.tenants.models import Member, Role
from subscriptions.models import Subscription

AT_A_TIME = 200
"""Subscriptions whose contacts are read at once."""

HEADS = (
    "tenant",
    "tenant id",
    "subscription",
    "subscription id",
    "slots",
    "last check",
    "contacts",
)
"""The columns of the CSV file."""


@dataclass(frozen=True, kw_only=True)
class Affected:
    """A subscription with slots to reset; `last_check` is the last one by a terminal, if any.

    `contacts` are the email addresses of the tenant's owners, then its managers.
    """

    subscription: Subscription
    slots: list[Slot]
    last_check: datetime | None
    contacts: list[str]

    def cells(self) -> list[str]:
        """Return the row of the CSV file, under HEADS."""
        tenant, last = self.subscription.tenant, self.last_check
        return [
            *(str(tenant), str(tenant.pk), self.subscription.name, str(self.subscription.pk)),
            *(" ".join(self.slots), last.isoformat() if last else "", " ".join(self.contacts)),
        ]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many license keys a signing key's end has withdrawn, and how many are to be reset yet."""

    withdrawn: int
    left: int

    @property
    def sentence(self) -> str:
        """How far it has got."""
        if not self.withdrawn:
            return "No license key was in use when it was disabled."
        if not self.left:
            return f"None of {self.withdrawn:,} license keys is left to reset."
        return f"{self.left:,} of {self.withdrawn:,} license keys are still to be reset."


def progress(signing_key: SigningKey, now: datetime | None = None) -> Progress:
    """Return how far the resets after the end of a disabled signing key have got.

    What was replaced, deleted or has expired since is done; so is what no subscription needs.
    """
    ended = signing_key.disabled_at
    signed = LicenseKey.objects.filter(signing_key=signing_key, expires_at__gt=ended)
    was_current = (
        Q(state=KeyState.CURRENT)
        | Q(replaced_at__gte=ended)
        | Q(replaced_at=None, deleted_at__gte=ended)
    )
    withdrawn = signed.filter(was_current, Q(revoked_at=None) | Q(revoked_at__gte=ended))
    return Progress(
        withdrawn=withdrawn.count(),
        left=LicenseKey.objects.to_reset(now, if_disabled=signing_key).count(),
    )


def affected(signing_key: SigningKey, now: datetime | None = None) -> Iterator[Affected]:
    """Yield the subscriptions with slots to reset, by tenant, reading as many as are taken.

    Of a signing key that is not disabled, those that would have to.
    """
    rows = LicenseKey.objects.to_reset(now, if_disabled=signing_key)
    checks = CheckCount.objects.filter(license_key=OuterRef("pk")).order_by("-hour", "-last_at")
    keys = (
        rows.select_related("license__subscription__tenant")
        .annotate(last_check=Subquery(checks.values("last_at")[:1]))
        .defer("token")
        .order_by("tenant__name", "tenant", "license", "slot")
    )
    by_license = groupby(keys.iterator(chunk_size=AT_A_TIME), key=lambda key: key.license_id)
    groups = (list(group) for _, group in by_license)
    for batch in batched(groups, AT_A_TIME, strict=False):
        contacts = _contacts({group[0].tenant_id for group in batch})
        for group in batch:
            yield Affected(
                subscription=group[0].license.subscription,
                slots=[Slot(key.slot) for key in group],
                last_check=max((key.last_check for key in group if key.last_check), default=None),
                contacts=contacts.get(group[0].tenant_id, []),
            )


def _contacts(tenants: Iterable[UUID]) -> dict[UUID, list[str]]:
    found: dict[UUID, list[str]] = {}
    members = Member.objects.filter(
        tenant__in=tenants, role__in=[Role.OWNER, Role.MANAGER], user__is_active=True
    )
    ordered = members.order_by("role", "user__email").values_list("tenant", "role", "user__email")
    for tenant, _, email in sorted(ordered, key=lambda row: row[1] != Role.OWNER):
        found.setdefault(tenant, []).append(email)
    return found
