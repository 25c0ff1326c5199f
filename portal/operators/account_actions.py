"""Operator actions on tenants, people and changes that wait."""

from allauth.mfa.models import Authenticator
from django import forms
from django.contrib.auth.models import Group

from portal.accounts.flows.accounts import end_sessions_of
from portal.accounts.models import User
from portal.core.dates import moment
from portal.core.email_addresses import EmailAddressFormField
from portal.mail.models import Outbox
from portal.operators.actions import OperatorAction
from portal.operators.flows import groups, recovery
from portal.operators.flows.mail import send_mail_again
from portal.operators.forms import ReasonForm
from portal.operators.models import Outcome
from portal.tenants.flows import closing
from portal.tenants.flows.invitations import resend_invitation, revoke_invitation
from portal.tenants.models import Invitation, Role


class NewOwnerForm(ReasonForm):
    """Who becomes the owner."""

    email = EmailAddressFormField(
        label="New owner's email address",
        help_text="A member with this address becomes the owner and the old one a viewer. "
        "Anybody else gets an invitation as owner, and the old one stays until they are removed.",
    )


REPLACE_OWNER = OperatorAction(
    name="replace_owner",
    label="Replace the last owner",
    consequences=(
        "For a tenant whose last owner cannot be reached any more.",
        "All owners and the new one get a mail.",
        "It happens after 24 hours, unless one of them or an operator stops it.",
    ),
    flow=lambda tenant, **chosen: recovery.replace_owner(tenant=tenant, **chosen),
    summarize=lambda tenant: (
        ", ".join(
            member.user.email
            for member in tenant.memberships.filter(role=Role.OWNER).select_related("user")
        )
        or "No owner"
    ),
    form=NewOwnerForm,
    permission="replace_owner",
    done=lambda tenant, change: (
        f"{change.email} becomes the owner of {tenant} {moment(change.due_at)} unless it is "
        "stopped."
    ),
)


class OperatorForm(ReasonForm):
    """Whether the person may enter the admin, and what they do there."""

    is_staff = forms.BooleanField(label="May enter the admin", required=False)
    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"), required=False, widget=forms.CheckboxSelectMultiple
    )


def _has_removable_factor(user: User) -> bool:
    """Return whether the user, who is no operator, has a second factor (not just its codes)."""
    types = {factor.type for factor in user.authenticator_set.all()}
    is_operator = user.is_staff or user.is_superuser
    return not is_operator and not types <= {Authenticator.Type.RECOVERY_CODES}


REMOVE_SECOND_FACTOR = OperatorAction(
    name="remove_second_factor",
    label="Remove a lost second factor",
    consequences=(
        "For somebody who lost their authenticator app, passkeys and recovery codes.",
        "They and all owners of their tenants get a mail.",
        "It happens after 24 hours, unless one of them or an operator stops it.",
    ),
    flow=lambda user, **chosen: recovery.remove_second_factor(user=user, **chosen),
    summarize=lambda user: user.email,
    done=lambda user, change: (
        f"The second factor of {user.email} will be removed {moment(change.due_at)} unless it is "
        "stopped."
    ),
    is_possible=_has_removable_factor,
    why_not=lambda user: "operator" if user.is_staff or user.is_superuser else "no second factor",
)

END_SESSIONS = OperatorAction(
    name="end_sessions",
    label="End all sessions",
    consequences=(
        "They are signed out everywhere at once, and can sign in again.",
        "They get a mail that says which sessions ended, and why.",
    ),
    flow=lambda user, **chosen: end_sessions_of(user=user, **chosen),
    summarize=lambda user: user.email,
    done=lambda user, _: f"{user.email} is signed out everywhere.",
)

KEEP_TENANT = OperatorAction(
    name="keep_tenant",
    label="Take the closing back",
    consequences=(
        "The tenant stays as it is, with its members, subscriptions and license keys.",
        "All members get a mail with the reason. Its owner may ask for the closing again.",
    ),
    flow=lambda tenant, **chosen: closing.take_back_closing(tenant=tenant, **chosen),
    summarize=lambda tenant: f"closes {moment(tenant.closes_at)}",
    on_page=True,
    is_possible=lambda tenant: tenant.is_closing,
    done=lambda tenant, _: f"{tenant} stays.",
)


def _rights(user: User) -> str:
    if not user.is_staff:
        return f"{user.email} may not enter the admin."
    groups = ", ".join(group.name for group in user.groups.all())
    return f"{user.email} may enter the admin; groups: {groups or 'none'}."


SET_OPERATOR = OperatorAction(
    name="set_operator",
    label="Change staff and groups",
    consequences=(
        "Staff may enter the admin, with a second factor, and do what their groups do there.",
        "Support reads, and sends mail again. Sales opens tenants and changes subscriptions.",
        "Security revokes license keys, rotates signing keys and recovers accounts.",
        "What is ticked here replaces what was.",
    ),
    flow=lambda user, **chosen: groups.set_operator(user=user, **chosen),
    summarize=lambda user: (
        ", ".join(group.name for group in user.groups.all())
        or ("staff" if user.is_staff else "not staff")
    ),
    form=OperatorForm,
    permission="set_operator",
    done=lambda user, _: _rights(user),
)


def _is_pending(invitation: Invitation) -> bool:
    return invitation.accepted_at is None and invitation.revoked_at is None


def _invited(invitation: Invitation) -> str:
    role = invitation.get_role_display().lower()
    return f"{invitation.email} as {role}, good until {moment(invitation.expires_at)}"


SEND_INVITATION_AGAIN = OperatorAction(
    name="send_again",
    label="Send again",
    consequences=(
        "The address gets a new mail, whose link is good for seven days.",
        "The link of the mail before stops working.",
    ),
    flow=lambda invitation, **chosen: resend_invitation(invitation=invitation, **chosen),
    summarize=_invited,
    permission="invite",
    done=lambda invitation, _: (
        f"A new mail goes to {invitation.email}. Its link is good until "
        f"{moment(invitation.expires_at)}."
    ),
    is_possible=_is_pending,
)

REVOKE_INVITATION = OperatorAction(
    name="revoke",
    label="Revoke",
    consequences=("The mailed link stops working. Owners can invite the address again.",),
    flow=lambda invitation, **chosen: revoke_invitation(invitation=invitation, **chosen),
    summarize=_invited,
    permission="invite",
    is_dangerous=True,
    done=lambda invitation, _: (
        f"The invitation of {invitation.email} is revoked. Its link no longer works."
    ),
    is_possible=_is_pending,
)


def _failed(mail: Outbox) -> str:
    times = "once" if mail.attempts == 1 else f"{mail.attempts} times"
    return f"Tried {times}: {mail.last_error or 'no error is known'}"


SEND_MAIL_AGAIN = OperatorAction(
    name="send_again",
    label="Send again",
    consequences=(
        "The mail is tried again at once, and goes on being tried if it fails.",
        "It goes to the same address: where that is wrong, only its owner can change it.",
    ),
    flow=lambda mail, **chosen: send_mail_again(mail=mail, **chosen),
    summarize=_failed,
    permission="send_again",
    done="Due now; the worker sends it within a minute.",
    is_possible=lambda mail: mail.attempts > 0 and not (mail.sent_at or mail.given_up_at),
)

STOP = OperatorAction(
    name="stop",
    label="Stop the change",
    consequences=("The change will not be done. It can be asked for again.",),
    flow=lambda change, **chosen: recovery.cancel(change=change, **chosen),
    summarize=lambda change: f"{change.get_outcome_display()}, due {moment(change.due_at)}",
    permission="stop",
    is_possible=lambda change: change.outcome == Outcome.WAITING,
    why_not=lambda change: change.get_outcome_display().lower(),
    done=lambda change, _: f"Stopped: {change}. It can be asked for again.",
)
