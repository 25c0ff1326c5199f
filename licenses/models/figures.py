"""The vendor's figures as they were counted last."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Figures(models.Model):
    """The vendor's figures as they were counted last: one row, so that pages count nothing."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    numbers = models.JSONField()
    taken_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "figures"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="figures_one_row")]

    def __str__(self) -> str:
        return f"Figures of {self.taken_at:%Y-%m-%d %H:%M}"
