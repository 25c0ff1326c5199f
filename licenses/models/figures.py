"""The stored figures of the vendor."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Figures(models.Model):
    """The vendor's figures as of the last count: one row, so that no page has to count."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    numbers = models.JSONField()
    taken_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "figures"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="figures_one_row")]

    def __str__(self) -> str:
        return f"Figures of {self.taken_at:%Y-%m-%d %H:%M}"
