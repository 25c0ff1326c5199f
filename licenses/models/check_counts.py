"""Counts of checks by terminals."""

from __future__ import annotations

from django.db import models

from portal.tenants.models import Tenant


class CheckCount(models.Model):
    """Checks of one key by terminals in one hour, by result; `last_at` is the last one's time."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    license_key = models.ForeignKey(
        "licenses.LicenseKey", on_delete=models.PROTECT, related_name="checks"
    )
    hour = models.DateTimeField()
    result = models.CharField(max_length=40)
    count = models.PositiveBigIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["license_key", "hour", "result"], name="check_count_once"
            )
        ]
        indexes = [models.Index(fields=["hour"], name="check_count_by_hour")]

    def __str__(self) -> str:
        return f"{self.count} × {self.result}"
