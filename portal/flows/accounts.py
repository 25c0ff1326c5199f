"""Accounts of people: sign up with a tenant of one's own, rename, drop what others may have set."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.adapter import get_adapter as get_session_adapter
from allauth.usersessions.models import UserSession
from django.db import IntegrityError, transaction

from portal import activity
from portal.activity import Action
from portal.actors import Actor
from portal.models import VENDOR, Member, Role, Tenant, User
from portal.refusal import Refused

TAKEN = "There is an account with this address. Sign in with it."


def sign_up(
    *,
    email: str,
    name: str,
    password: str | None,
    identity: SocialAccount | None,
    tenant_name: str,
    country: str,
    address: str = "",
) -> Member:
    """Make an account for a verified address, and a tenant that it owns; return the membership.

    One signs in with the password, or with the identity at a provider. `address` is the network
    address for the log. Raises Refused when somebody signs in with the email address already.
    """
    user = new_user(email=email, name=name, password=password)
    try:
        with transaction.atomic():
            store_account(user=user, identity=identity)
            tenant = Tenant.objects.create(name=tenant_name, country=country)
            member = Member.objects.create(tenant=tenant, user=user, role=Role.OWNER)
            activity.record(
                actor=user.as_actor(address),
                action=Action.TENANT_CREATED,
                tenant_id=tenant.pk,
                details={"name": tenant_name, "country": country},
            )
    except IntegrityError as error:  # somebody signed up with the address at the same moment
        raise Refused(TAKEN) from error
    return member


def new_user(*, email: str, name: str, password: str | None) -> User:
    """Return a user who is not stored yet. Slow on purpose, so call it outside a transaction."""
    user = User(email=email, name=name)
    user.set_password(password)
    return user


def store_account(*, user: User, identity: SocialAccount | None) -> None:
    """Store a new user with a verified address and, if given, an identity at a provider.

    Must run in a transaction. Raises Refused when somebody signs in with the address already.
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
    verified = EmailAddress.objects.filter(email__iexact=email, verified=True)
    return User.objects.filter(email__iexact=email).exists() or verified.exists()


@transaction.atomic
def rename_user(*, user: User, name: str, actor: Actor) -> User:
    """Give the person another name and return the user; each of their tenants sees it."""
    if name == user.name:
        return user
    before, user.name = user.name, name
    user.save(update_fields=["name"])
    record_for_person(
        user=user,
        actor=actor,
        action=Action.PERSON_RENAMED,
        details={"before": before, "after": name},
    )
    return user


@transaction.atomic
def drop_credentials(*, user: User) -> None:
    """Take away password, second factors, identities and sessions: their maker is not known."""
    user.set_unusable_password()
    user.save(update_fields=["password"])
    Authenticator.objects.filter(user=user).delete()
    SocialAccount.objects.filter(user=user).delete()
    get_session_adapter().end_sessions(UserSession.objects.filter(user=user))


def record_for_person(
    *, user: User, actor: Actor, action: Action, details: dict[str, str] | None = None
) -> None:
    """Record in the log of every tenant of the person; without one, in the vendor's.

    Must run in a transaction. The chains are locked in the order of the tenants' identifiers.
    """
    tenants = user.memberships.order_by("tenant_id").values_list("tenant_id", flat=True)
    for tenant_id in list(tenants) or [VENDOR]:
        activity.record(
            actor=actor, action=action, tenant_id=tenant_id, details=dict(details or {})
        )
