"""Counters of the whole installation: every node tells them, whichever process counted.

They are gathered in memory and stored in the database now and then, since most are of the worker,
which nobody scrapes. What a process has not stored when it is killed is lost.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator

from django.db.models import F
from prometheus_client.core import CounterMetricFamily, Metric

from portal.metrics.instruments import Labels
from portal.metrics.models import InstallationCount


class Total:
    """How often something has happened, by its labels, in all processes that ever ran."""

    def __init__(self, name: str, meaning: str, *labels: str) -> None:
        self.name, self.meaning, self.labels = name, meaning, labels
        self._lock = threading.Lock()
        self._gathered: Counter[Labels] = Counter()
        TOTALS.append(self)

    def add(self, *labels: str, count: int = 1) -> None:
        """Count something, `count` times; the labels are those of the metric, in order."""
        with self._lock:
            self._gathered[labels] += count

    def store(self) -> None:
        """Add what was gathered to the database. Raises django.db.Error, and keeps the rest."""
        with self._lock:
            taken, self._gathered = self._gathered, Counter()
        try:
            for labels in sorted(taken):
                self._add_to_row(labels, taken[labels])
                del taken[labels]
        finally:
            with self._lock:
                self._gathered.update(taken)

    def rows(self) -> dict[Labels, int]:
        """Return what the database has, by labels. Raises django.db.Error."""
        kept = InstallationCount.objects.filter(name=self.name).values_list("labels", "count")
        found = {tuple(json.loads(labels)): count for labels, count in kept}
        return found or ({} if self.labels else {(): 0})

    def _add_to_row(self, labels: Labels, count: int) -> None:
        rows = InstallationCount.objects
        row, is_new = rows.get_or_create(
            name=self.name, labels=json.dumps(labels), defaults={"count": count}
        )
        if count and not is_new:
            rows.filter(pk=row.pk).update(count=F("count") + count)


TOTALS: list[Total] = []
"""All of them, in the order of this module."""

WORKER_TASKS = Total("worker_tasks_total", "Tasks that workers have done.", "task", "outcome")
LOG_FAULTS = Total(
    "log_faults_total", "Faults that verify_log and the anchors found in chains of the log."
)
WORKER_EVENTS = Total(
    "worker_events_total", "Rows of all logs that workers wrote, by what they record.", "action"
)
WEBHOOK_DELIVERIES = Total(
    "webhook_deliveries_total", "Attempts to deliver an event to a webhook.", "outcome"
)


def store() -> None:
    """Store what this process has gathered. Raises django.db.Error, and keeps the rest then."""
    for total in TOTALS:
        total.store()


def families() -> Iterator[Metric]:
    """Yield all of them as the database has them. Raises django.db.Error."""
    for total in TOTALS:
        family = CounterMetricFamily(
            f"license_portal_{total.name}", total.meaning, labels=total.labels
        )
        for labels, count in sorted(total.rows().items()):
            family.add_metric(labels, count)
        yield family
