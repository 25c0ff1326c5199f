"""The vendor's signing keys."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class SigningKeyState(models.TextChoices):
    """The state of a signing key."""

    PASSIVE = "passive", "Passive"
    ACTIVE = "active", "Active"
    DISABLED = "disabled", "Disabled"


VERIFYING = {SigningKeyState.PASSIVE, SigningKeyState.ACTIVE}
"""States of published signing keys, whose license keys pass; those of disabled ones do not."""


class SigningKeyQuerySet(models.QuerySet["SigningKey"]):
    """Queries for signing keys."""

    def published(self) -> SigningKeyQuerySet:
        """Return those that verify, the newest first."""
        return self.filter(state__in=VERIFYING).order_by("-created_at")


class SigningKey(models.Model):
    """An RSA key pair with its self-signed certificate; the private key is encrypted at rest.

    Only `licenses.keys` reads `private_key`.
    """

    kid = models.CharField(
        "key id", max_length=43, unique=True, help_text="RFC 7638 SHA-256 thumbprint."
    )
    state = models.CharField(
        max_length=10, choices=SigningKeyState, default=SigningKeyState.PASSIVE
    )
    private_key = models.BinaryField(
        help_text="PKCS #8, encrypted with the first of KEY_ENCRYPTION_KEYS."
    )
    certificate = models.BinaryField(help_text="DER X.509, self-signed, public.")
    bits = models.PositiveSmallIntegerField()
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    activated_at = models.DateTimeField(null=True, blank=True)
    disabled_at = models.DateTimeField(null=True, blank=True)
    withdrawal_told_at = models.DateTimeField(
        null=True, blank=True, help_text="When every tenant concerned was told that it is disabled."
    )

    objects = SigningKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=SigningKeyState.values), name="signing_key_state_known"
            ),
            models.UniqueConstraint(
                fields=["state"],
                condition=Q(state=SigningKeyState.ACTIVE),
                name="signing_key_one_active",
                violation_error_message="Only one signing key can be active.",
            ),
        ]

    def __str__(self) -> str:
        return self.kid
