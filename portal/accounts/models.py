"""People who sign in."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, override

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.auth.password_validation import validate_password
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.crypto import salted_hmac

from portal.core.actors import Actor, ActorKind
from portal.core.email_addresses import EmailAddressField
from portal.core.names import NameField

TAKE_BACK_WITHIN = timedelta(days=7)
"""Time after a change of address in which its old address can take it back."""


class UserManager(BaseUserManager["User"]):
    """Creates users, who sign in with their email address."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Return a new user; without a password nobody can sign in as them.

        Raises ValidationError when the password or a field will not do.
        """
        user = self.model(email=email, **fields)
        if password is not None:
            validate_password(password, user)
        user.set_password(password)
        user.full_clean(exclude=["password"])
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Return a new operator who may do everything in the admin."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    @override
    def get_by_natural_key(self, username: str | None) -> User:
        """Return the user with that address, whatever its case."""
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who signs in with an email address; `id` is the consumer object id."""

    id = models.UUIDField("object identifier", primary_key=True, default=uuid.uuid4, editable=False)
    email = EmailAddressField("email address")
    name = NameField(max_length=150, in_mails=True)
    is_staff = models.BooleanField("operator", default=False, help_text="May enter the admin.")
    is_active = models.BooleanField("active", default=True, help_text="May sign in.")
    time_zone = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Name of the zone in which pages show times; empty: the browser's.",
    )
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    session_epoch = models.PositiveIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="Goes up to end every session of the user at once.",
    )

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    objects = UserManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_unique",
                violation_error_message="Somebody already signs in with this email address.",
            )
        ]

    def __str__(self) -> str:
        return self.name or self.email

    @override
    def get_session_auth_hash(self) -> str:
        return self._of_epoch(super().get_session_auth_hash())

    @override
    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        yield from map(self._of_epoch, super().get_session_auth_fallback_hash())

    def _of_epoch(self, session_hash: str) -> str:
        """Return the hash that sessions of this epoch hold; for epoch 0, Django's own."""
        if not self.session_epoch:
            return session_hash
        value = f"{session_hash}{self.session_epoch}"
        return salted_hmac(__name__, value, algorithm="sha256").hexdigest()

    def get_full_name(self) -> str:
        """Return the name as the person gave it."""
        return self.name

    def get_short_name(self) -> str:
        """Return the name, or the email address where there is none."""
        return self.name or self.email

    def as_actor(self, address: str = "") -> Actor:
        """Return the person as an actor for flows and the log; `address` is a network address."""
        return Actor(
            kind=ActorKind.OPERATOR if self.is_staff else ActorKind.MEMBER,
            name=self.get_short_name(),
            user_id=self.pk,
            email=self.email,
            address=address,
        )


class EmailChangeState(models.TextChoices):
    """The state of a change of address."""

    WAITING = "waiting", "Waiting"
    DONE = "done", "Done"
    STOPPED = "stopped", "Stopped"
    TAKEN_BACK = "taken_back", "Taken back"
    ENDED = "ended", "Ended by another change"


class EmailChangeQuerySet(models.QuerySet["EmailChange"]):
    """Queries for changes of address."""

    def waiting(self) -> EmailChangeQuerySet:
        """Return the changes whose new address is not confirmed yet."""
        return self.filter(state=EmailChangeState.WAITING)

    def revocable(self, now: datetime) -> EmailChangeQuerySet:
        """Return the changes that the old address can stop or, once done, take back."""
        done = Q(state=EmailChangeState.DONE, done_at__gt=now - TAKE_BACK_WITHIN)
        return self.filter(Q(state=EmailChangeState.WAITING) | done)


class EmailChange(models.Model):
    """A change of a user's email address: requested, then confirmed by a mailed link.

    `credentials` is the fingerprint of the user's credentials at the request (`credentials_of`):
    the change is done only if it is still the same.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="email_changes")
    before = models.EmailField("old address")
    after = models.EmailField("new address")
    credentials = models.CharField(max_length=64)
    asked_at = models.DateTimeField(default=timezone.now)
    done_at = models.DateTimeField(null=True)
    state = models.CharField(
        max_length=10, choices=EmailChangeState, default=EmailChangeState.WAITING
    )

    objects = EmailChangeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(state=EmailChangeState.WAITING),
                name="email_change_waits_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.before} to {self.after}: {self.state}"


class PasskeyCredential(models.Model):
    """The credential of a passkey: it belongs to one account (WebAuthn Level 3, 7.1 step 26).

    Passkeys that version 1.0 stored have no row; of those that it removed, the row stays.
    """

    sha256 = models.CharField("SHA-256 of its identifier", max_length=64, primary_key=True)
    passkey = models.OneToOneField(
        "mfa.Authenticator", models.CASCADE, related_name="+", db_constraint=False
    )

    def __str__(self) -> str:
        return self.sha256
