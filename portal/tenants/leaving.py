"""What a tenant takes along when it leaves, and what becomes of its rows once it is closed.

The apps above add what only they know, each in `AppConfig.ready`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, QuerySet

from portal.activity.changes import described
from portal.activity.models import LogEntry
from portal.activity.pseudonyms import Pseudonyms
from portal.core.steps import read_along
from portal.tenants.models import NotificationPreferences, Tenant

ROWS_PER_READ = 2_000
"""Rows of an export that are in memory at a time."""

type Files = Callable[[Tenant], Iterable[tuple[str, bytes]]]
type Step = Callable[[Tenant, Pseudonyms], None]
type Wait = Callable[[Tenant], bool]


@dataclass(frozen=True, kw_only=True)
class Section:
    """One kind of rows in an export: a file in JSON and one in CSV, with these fields of each row.

    `by` is a unique column, in whose order the rows are read. No secret, nor its hash, is a field.
    """

    name: str
    fields: Sequence[str]
    rows: Callable[[Tenant], QuerySet[Any]]
    by: str = "pk"

    def read(self, tenant: Tenant) -> Iterator[dict[str, Any]]:
        """Yield the rows as JSON values, moments in ISO 8601."""
        for row in read_along(self.rows(tenant), self.by, ROWS_PER_READ):
            yield _described(row, self.fields)


def _described(row: Model, fields: Sequence[str]) -> dict[str, Any]:
    """Return the fields of the row; `user__name` is the name of its user."""
    found = {}
    for field in fields:
        path, _, name = field.rpartition("__")
        found[field] = described(getattr(row, path) if path else row, [name])[name]
    return found


sections: list[Section] = [
    Section(
        name="tenant",
        fields=("id", "name", "country", "requires_two_factor", "created_at", "closes_at"),
        rows=lambda tenant: Tenant.objects.filter(pk=tenant.pk),
    ),
    Section(
        name="members",
        fields=("user__id", "user__name", "user__email", "role", "joined_at"),
        rows=lambda tenant: tenant.memberships.select_related("user"),
    ),
    Section(
        name="invitations",
        fields=(
            *("email", "role", "invited_by", "created_at", "expires_at"),
            *("accepted_at", "revoked_at"),
        ),
        rows=lambda tenant: tenant.invitations.select_related("invited_by"),
    ),
    Section(
        name="notification-preferences",
        fields=("topics", "expiry_days"),
        rows=lambda tenant: NotificationPreferences.objects.filter(tenant=tenant),
    ),
    Section(
        name="mail-recipients",
        fields=("email", "added_at", "ended_at"),
        rows=lambda tenant: tenant.recipients.all(),
    ),
    Section(
        name="log",
        fields=(
            *("seq", "at", "actor_kind", "actor_id", "actor_name", "actor_email", "action"),
            *("subscription_id", "subscription_name", "slot", "result", "reason", "details"),
            *("address", "previous", "hash", "hash_version"),
        ),
        rows=lambda tenant: LogEntry.objects.filter(tenant_id=tenant.pk),
        by="seq",
    ),
]
files: list[Files] = []
ending: list[Step] = []
waiting: list[Wait] = []
removing: list[Step] = []


def export_with(*added: Section, of_files: Files | None = None) -> None:
    """Add rows to every export, and files, by name; no secret is in either."""
    sections.extend(added)
    if of_files is not None:
        files.append(of_files)


def end_with(step: Step) -> None:
    """Let this end what belongs to a tenant that is closed, after its people have left.

    Names stay, because the ends are told with them. Each row or few of them in a transaction; the
    step is done again, from its beginning, until the closing is carried out.
    """
    ending.append(step)


def wait_for(wait: Wait) -> None:
    """Remove nothing while this is true of the tenant, for a bounded time."""
    waiting.append(wait)


def remove_with(step: Step) -> None:
    """Let this remove rows of the tenant, or replace the names in those that stay.

    It comes after all that ends something; a step that was killed is done again.
    """
    removing.append(step)
