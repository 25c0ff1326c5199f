"""Counts of what concerns the whole installation, whichever process of which node it was."""

from django.db import models


class InstallationCount(models.Model):
    """How often something has happened since the database was made."""

    name = models.CharField(max_length=60)
    """Name of the metric, without its prefix."""
    labels = models.CharField(max_length=200, blank=True)
    """Values of its labels in their order, in a JSON list."""
    count = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "labels"], name="installation_count_unique")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.labels}: {self.count}"
