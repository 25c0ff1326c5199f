"""People who sign in."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from portal.core.actors import Actor, ActorKind
from portal.core.email_addresses import EmailAddressField
from portal.core.names import NameField


class UserManager(BaseUserManager["User"]):
    """Makes users, whose email address is their name at sign-in."""

    use_in_migrations = True

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Return a new user; without a password nobody can sign in as them."""
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.full_clean(exclude=["password"])
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Return a new operator who may do everything in the admin."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

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
    date_joined = models.DateTimeField(default=timezone.now, editable=False)

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

    def get_full_name(self) -> str:
        """Return the name as people write it."""
        return self.name

    def get_short_name(self) -> str:
        """Return the name to greet with."""
        return self.name or self.email

    def as_actor(self, address: str = "") -> Actor:
        """Return this person as flows and the log take them; `address` is their network address."""
        return Actor(
            kind=ActorKind.OPERATOR if self.is_staff else ActorKind.MEMBER,
            name=self.get_short_name(),
            user_id=self.pk,
            email=self.email,
            address=address,
        )
