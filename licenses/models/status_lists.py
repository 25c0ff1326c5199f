"""Published status lists."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class StatusList(models.Model):
    """One Token Status List (contract.md section 8); `number` is the n in its address."""

    number = models.PositiveIntegerField(primary_key=True)
    size = models.PositiveIntegerField(default=131_072)
    decoy_seed = models.BinaryField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"Status list {self.number}"
