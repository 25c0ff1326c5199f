"""What operators do to tenants and people, as the admin's confirmation pages tell it."""

from django import forms
from django.contrib.auth.models import Group

from portal.admin_deeds import Deed
from portal.dates import moment
from portal.flows import operators, pending
from portal.forms import ReasonForm
from portal.models import Role


class NewOwnerForm(ReasonForm):
    """Who becomes the owner."""

    email = forms.EmailField(
        label="New owner's email address",
        help_text="A member with this address becomes the owner and the old one a viewer. "
        "Anybody else gets an invitation as owner, and the old one stays until they are removed.",
    )


REPLACE_OWNER = Deed(
    name="replace_owner",
    label="Replace the last owner",
    says="For a tenant whose last owner can not be reached any more. All owners and the new one "
    "get a mail. It happens after 24 hours, unless one of them or an operator stops it.",
    act=lambda tenant, **said: pending.replace_owner(tenant=tenant, **said),
    of=lambda tenant: (
        ", ".join(
            member.user.email
            for member in tenant.memberships.filter(role=Role.OWNER).select_related("user")
        )
        or "No owner"
    ),
    form=NewOwnerForm,
    permission="replace_owner",
    waits=True,
)


class OperatorForm(ReasonForm):
    """Whether the person may enter the admin, and what they do there."""

    is_staff = forms.BooleanField(label="May enter the admin", required=False)
    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"), required=False, widget=forms.CheckboxSelectMultiple
    )


REMOVE_SECOND_FACTOR = Deed(
    name="remove_second_factor",
    label="Remove a lost second factor",
    says="For somebody who lost their authenticator app, passkeys and recovery codes. They and "
    "all owners of their tenants get a mail. It happens after 24 hours, unless one of them or an "
    "operator stops it.",
    act=lambda user, **said: pending.remove_second_factor(user=user, **said),
    of=lambda user: user.email,
    waits=True,
)

SET_OPERATOR = Deed(
    name="set_operator",
    label="Change staff and groups",
    says="Who is staff may enter the admin, with a second factor, and do there what their groups "
    "do: support reads; sales opens tenants and changes subscriptions; security revokes license "
    "keys, rotates signing keys and recovers accounts. What is ticked here replaces what was.",
    act=lambda user, **said: operators.set_operator(user=user, **said),
    of=lambda user: (
        ", ".join(group.name for group in user.groups.all())
        or ("staff" if user.is_staff else "not staff")
    ),
    form=OperatorForm,
    permission="set_operator",
)

STOP = Deed(
    name="stop",
    label="Stop the change",
    says="The change will not be done. It can be asked for again.",
    act=lambda change, **said: pending.stop(change=change, **said),
    of=lambda change: f"{change.get_outcome_display()}, due {moment(change.due_at)}",
    permission="stop",
)
