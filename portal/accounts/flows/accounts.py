"""Accounts of people: create and edit them, end their sessions, drop their credentials."""

from collections.abc import Mapping

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.core.exceptions import ValidationError
from django.db import transaction

from portal.accounts.flows.sessions import end_all_sessions
from portal.accounts.models import User
from portal.activity.actions import Action
from portal.activity.changes import change
from portal.activity.entries import record
from portal.activity.models import VENDOR
from portal.core import email_addresses, names
from portal.core.actors import Actor
from portal.core.browsers import session_in_words
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.mail import outbox

TAKEN = "There is an account with this address. Sign in with it."


def new_user(*, email: str, name: str, password: str | None) -> User:
    """Return a user who is not stored yet.

    Hashing the password is slow on purpose, so call this outside a transaction. Raises Refused,
    for the field `name` or `email`, when that is not acceptable.
    """
    longest = User._meta.get_field("name").max_length
    user = User(
        email=email_addresses.admitted(email),
        name=names.admitted(name, max_length=longest, in_mails=True),
    )
    user.set_password(password)
    return user


def store_account(*, user: User, identity: SocialAccount | None) -> None:
    """Store a new user with a verified address and, if given, an identity at a provider.

    Must run in a transaction. Raises Refused when somebody already signs in with the address.
    """
    if account_exists(user.email):
        raise Refused(TAKEN)
    user.save(force_insert=True)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    if identity is not None:
        identity.user = user
        identity.save()


def account_exists(email: str) -> bool:
    """Return whether somebody signs in with the address, or has verified it."""
    same = email_addresses.same("email", email)
    verified = EmailAddress.objects.filter(same, verified=True)
    return User.objects.filter(same).exists() or verified.exists()


def address_in_use(email: str) -> str:
    """Return the address as it is stored for a user, else as it would be stored."""
    user = User.objects.filter(email_addresses.same("email", email)).first()
    if user is not None:
        return user.email
    try:
        return email_addresses.normalised(email)
    except ValidationError:
        return email


@transaction.atomic
def rename_user(*, user: User, name: str, actor: Actor) -> User:
    """Change the name and return the user; the log of each of their tenants records it."""
    changes = change(user, {"name": name})
    if changes is not None:
        record_for_person(user=user, actor=actor, action=Action.PERSON_RENAMED, details=changes)
    return user


def choose_time_zone(*, user: User, name: str, actor: Actor) -> User:
    """Set the zone in which pages show times to the user (empty: the browser's); return the user.

    No log has a row of it: it changes nothing for anybody else. Raises Refused for anybody but
    the user.
    """
    if actor.user_id != user.pk:
        raise Refused("Only the person can choose the zone of their times.")
    change(user, {"time_zone": name})
    return user


@transaction.atomic
def edit_user(*, user: User, changes: Mapping[str, object], actor: Actor, reason: str) -> User:
    """Change the name of a person or whether they may sign in, as an operator; return the user.

    Sessions of somebody who may no longer sign in end for good.
    """
    locked = lock(User, user.pk)
    details = change(locked, changes)
    if details is not None:
        if not locked.is_active:
            end_all_sessions(user=locked)
        record(
            actor=actor,
            action=Action.RECORD_CHANGED,
            reason=reason,
            details={"record": "user", "id": str(locked.pk), "name": str(locked), **details},
        )
    return locked


@transaction.atomic
def end_sessions_of(*, user: User, actor: Actor, reason: str) -> User:
    """End the user's sessions, as an operator; mail the user which ones, and return the user.

    Raises Refused for the actor's own account, whose sessions are on their profile.
    """
    locked = lock(User, user.pk)
    if locked.pk == actor.user_id:
        raise Refused("End your own sessions in your profile.")
    ended = end_all_sessions(user=locked)
    outbox.queue(
        to=locked.email,
        subject="Your sessions were ended",
        template="sessions_ended",
        context={"sessions": [*map(session_in_words, ended)], "reason": reason},
    )
    record_for_person(
        user=locked,
        actor=actor,
        action=Action.SESSIONS_ENDED,
        reason=reason,
        details={"of": locked.email, "sessions": ended},
    )
    return locked


@transaction.atomic
def drop_credentials(*, user: User) -> None:
    """Remove password, second factors, identities and sessions: nobody knows who set them."""
    user.set_unusable_password()
    user.save(update_fields=["password"])
    Authenticator.objects.filter(user=user).delete()
    SocialAccount.objects.filter(user=user).delete()
    end_all_sessions(user=user)


def record_for_person(
    *,
    user: User,
    actor: Actor,
    action: Action,
    details: Mapping[str, object] | None = None,
    reason: str = "",
) -> None:
    """Record an action in the logs of all the person's tenants; without any, in the vendor's.

    Must run in a transaction. The chains are locked in the order of the tenants' identifiers.
    """
    tenants = user.memberships.order_by("tenant_id").values_list("tenant_id", flat=True)
    for tenant_id in list(tenants) or [VENDOR]:
        record(
            actor=actor,
            action=action,
            tenant_id=tenant_id,
            reason=reason,
            details=dict(details or {}),
        )
