"""Requests that callers of the API may repeat without doing twice what they do."""

from __future__ import annotations

from datetime import timedelta

from django.db import models

KEPT = timedelta(hours=24)
"""How long the answer to a request is kept for those who repeat it."""


class IdempotentRequest(models.Model):
    """A request with an Idempotency-Key, and what it was answered once that is known.

    Only answers of requests that succeeded are kept: the others have changed nothing.
    """

    token = models.ForeignKey(
        "subscriptions.ServiceToken", on_delete=models.CASCADE, related_name="+"
    )
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(
        max_length=64, help_text="SHA-256 of method, address, condition and body."
    )
    started_at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True, help_text="Empty while it runs.")
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["token", "key"], name="idempotent_request_once")
        ]
        indexes = [models.Index(fields=["started_at"], name="idempotent_request_by_age")]

    def __str__(self) -> str:
        return self.key
