"""A change of address: requested, confirmed from the new address, stopped or reversed from the old.

A waiting change counts only while the user's credentials are as they were at the request.
"""

from datetime import UTC, datetime

from allauth.account.models import EmailAddress
from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from portal.accounts.credentials import credentials_of
from portal.accounts.flows.accounts import drop_credentials, record_for_person
from portal.accounts.models import TAKE_BACK_WITHIN, EmailChange, EmailChangeState, User
from portal.activity.actions import Action
from portal.core.actors import Actor
from portal.core.dates import moment
from portal.core.links import public_link
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.mail import outbox

SALT = "portal.email_change"


@transaction.atomic
def ask_email_change(
    *, user: User, email: str, actor: Actor, now: datetime | None = None
) -> EmailChange:
    """Store a change to the address that waits for confirmation, and return it.

    The current address gets a mail with a link that stops it. An earlier waiting change ends.
    """
    locked = lock(User, user.pk)
    _end_waiting(locked)
    change = EmailChange.objects.create(
        user=locked,
        before=locked.email,
        after=email.lower(),
        credentials=credentials_of(locked),
        asked_at=now or timezone.now(),
    )
    outbox.queue(
        to=change.before,
        subject="A change of your email address was asked for",
        template="email_change_asked",
        context={"change": change, "actor": actor, "link": revoking_link(change)},
    )
    record_for_person(
        user=locked,
        actor=actor,
        action=Action.EMAIL_CHANGE_ASKED,
        details={"before": {"email": change.before}, "after": {"email": change.after}},
    )
    return change


def finish_email_change(
    *, address: EmailAddress, now: datetime | None = None
) -> EmailChange | None:
    """Mark the change to this address as done and return it; None if there is no valid one.

    Must run in the transaction that makes the address the user's. The old address gets a mail
    with a link that takes it back.
    """
    user = lock(User, address.user_id)
    change = EmailChange.objects.waiting().filter(user=user, after=address.email).first()
    if change is None or change.credentials != credentials_of(user):
        return None
    change.state, change.done_at = EmailChangeState.DONE, now or timezone.now()
    change.save(update_fields=["state", "done_at"])
    outbox.queue(
        to=change.before,
        subject="Your email address was changed",
        template="email_changed",
        context={
            "change": change,
            "link": revoking_link(change),
            "until": moment(change.done_at + TAKE_BACK_WITHIN, UTC),
        },
    )
    return change


@transaction.atomic
def revoke_email_change(
    *, change: EmailChange, actor: Actor, now: datetime | None = None
) -> EmailChange:
    """Stop the change if it waits, else take the old address back; return it.

    Taking it back ends all sessions and later changes, and drops the password and all factors and
    identities: an intruder may have added one before asking for the change. Raises Refused when it
    can no longer be stopped or taken back, or when somebody else signs in with the old address by
    now.
    """
    now = now or timezone.now()
    user = lock(User, change.user_id)
    found = EmailChange.objects.revocable(now).filter(pk=change.pk).first()
    if found is None:
        raise Refused("This change can no longer be stopped or taken back.")
    is_done = found.state == EmailChangeState.DONE
    if is_done:
        _give_back(user, found)
    else:
        found.state = EmailChangeState.STOPPED
        found.save(update_fields=["state"])
        _forget_waiting_addresses(user)
    record_for_person(
        user=user,
        actor=actor,
        action=Action.EMAIL_TAKEN_BACK if is_done else Action.EMAIL_CHANGE_STOPPED,
        details={"before": {"email": found.after}, "after": {"email": found.before}},
    )
    return found


@transaction.atomic
def end_what_waits(*, user: User) -> None:
    """End the user's waiting change of address, because their credentials have changed."""
    locked = lock(User, user.pk)
    _end_waiting(locked)
    _forget_waiting_addresses(locked)


def revoking_link(change: EmailChange) -> str:
    """Return the link in the mail to the old address, which stops the change or takes it back."""
    token = signing.dumps(change.pk, salt=SALT)
    return public_link(reverse("open_email_change", args=[token]))


def by_token(token: str, *, now: datetime | None = None) -> EmailChange | None:
    """Return the change whose mail holds the token, while it can be stopped or taken back."""
    try:
        pk = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return None
    return EmailChange.objects.revocable(now or timezone.now()).filter(pk=pk).first()


def _give_back(user: User, change: EmailChange) -> None:
    others = User.objects.filter(email__iexact=change.before).exclude(pk=user.pk)
    verified = EmailAddress.objects.filter(email__iexact=change.before, verified=True)
    if others.exists() or verified.exclude(user_id=user.pk).exists():
        raise Refused("Somebody else signs in with this address by now.")
    user.email = change.before
    user.save(update_fields=["email"])
    drop_credentials(user=user)
    EmailAddress.objects.filter(user=user).delete()
    EmailAddress.objects.create(user=user, email=change.before, verified=True, primary=True)
    EmailChange.objects.filter(
        user=user,
        pk__gt=change.pk,
        state__in=[EmailChangeState.WAITING, EmailChangeState.DONE],
    ).update(state=EmailChangeState.ENDED)
    change.state = EmailChangeState.TAKEN_BACK
    change.save(update_fields=["state"])


def _end_waiting(user: User) -> None:
    EmailChange.objects.waiting().filter(user=user).update(state=EmailChangeState.ENDED)


def _forget_waiting_addresses(user: User) -> None:
    """Delete addresses that wait for confirmation, and so their links; never the only address."""
    addresses = EmailAddress.objects.filter(user=user)
    if addresses.filter(verified=True).exists():
        addresses.filter(verified=False).delete()
