"""Forms about signing up, a tenant, its members, invitations and log."""

from typing import Any, override
from uuid import UUID

from django import forms
from django.contrib.auth.password_validation import validate_password

from portal.accounts.forms import MAX_PASSWORD, PASSWORD_RULE
from portal.accounts.models import User
from portal.accounts.pending_identity import PendingIdentity
from portal.activity.actions import grouped_choices
from portal.activity.models import LogEntry
from portal.core import email_addresses, names
from portal.core.countries import country_choices
from portal.core.dates import DayFormField
from portal.core.email_addresses import EmailAddressFormField
from portal.core.names import NameFormField
from portal.tenants.country import is_country_fixed
from portal.tenants.models import EXPIRY_DAYS, MAX_RECIPIENTS, Member, Role, Tenant, Topic


class SignUpForm(forms.Form):
    """The address that a link is sent to."""

    email = EmailAddressFormField(
        label="Email address",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
        error_messages={"required": "Enter your email address."},
    )


class JoinForm(forms.Form):
    """Name and password of a new person, or their name alone when a provider signs them in."""

    name = NameFormField(
        label="Your name",
        max_length=150,
        in_mails=True,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={"required": "Enter your name."},
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        max_length=MAX_PASSWORD,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=PASSWORD_RULE,
        error_messages={"required": "Choose a password."},
    )

    def __init__(
        self, *args: Any, email: str, pending: PendingIdentity | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.email = email
        if pending is not None:
            del self.fields["password"]
            self.fields["name"].initial = pending.name[:150]

    @override
    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        person = User(email=self.email, name=cleaned.get("name", ""))
        if "password" in cleaned:
            try:
                validate_password(cleaned["password"], person)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return {"password": None, **cleaned}


class NewAccountForm(JoinForm):
    """A new person and the tenant that they will own."""

    tenant_name = NameFormField(
        label="Name of your organization",
        max_length=Tenant._meta.get_field("name").max_length,
        in_mails=True,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
        help_text="The name of your tenant. Without an organization, your own name does.",
        error_messages={"required": "Enter a name."},
    )
    country = forms.ChoiceField(
        label="Country",
        choices=lambda: [("", "Choose a country"), *country_choices()],
        help_text="Stands in license keys, and is fixed once they exist.",
        error_messages={"required": "Choose a country."},
    )
    field_order = ("name", "password", "tenant_name", "country")


class TenantForm(forms.ModelForm):
    """Name, country and rules of a tenant."""

    class Meta:
        model = Tenant
        fields = ("name", "country", "requires_two_factor")
        labels = {"requires_two_factor": "Members must sign in with a second factor"}
        help_texts = {"requires_two_factor": ""}
        error_messages = {"name": {"required": "Enter a name."}}
        widgets = {"country": forms.Select}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        country = self.fields["country"]
        country.widget.choices = country_choices()
        country.disabled = is_country_fixed(self.instance)
        country.help_text = (
            "Fixed, because license keys hold it."
            if country.disabled
            else "Stands in license keys, and is fixed once they exist."
        )


class InviteForm(forms.Form):
    """Whom to invite, and as what."""

    email = EmailAddressFormField(
        label="Email address",
        help_text="We send a link that works for 7 days and for this address only.",
        error_messages={"required": "Enter an email address."},
    )
    role = forms.ChoiceField(label="Role", choices=Role, initial=Role.VIEWER)


class RoleForm(forms.Form):
    """Another role for a member."""

    role = forms.ChoiceField(label="Role", choices=Role)


class HandOverForm(forms.Form):
    """Who becomes an owner."""

    to = forms.ModelChoiceField(
        label="New owner",
        queryset=Member.objects.none(),
        empty_label="Choose a member",
        error_messages={"required": "Choose a member."},
    )

    def __init__(self, *args: Any, member: Member, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = member.tenant.memberships.exclude(pk=member.pk).filter(user__is_active=True)
        self.fields["to"].queryset = others.select_related("user").order_by("user__name", "pk")  # type: ignore[attr-defined]


class DeleteAccountForm(forms.Form):
    """One's own email address, typed as a confirmation."""

    confirmation = forms.CharField(
        required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.fields["confirmation"].label = f"To confirm, type {user.email}"

    def clean_confirmation(self) -> str:
        """Refuse anything but the address."""
        typed: str = self.cleaned_data["confirmation"]
        if typed.casefold() != self.user.email.casefold():
            raise forms.ValidationError(f"That does not match. Type {self.user.email}.")
        return typed


class CloseForm(forms.Form):
    """The tenant's name, typed as a confirmation."""

    confirmation = forms.CharField(
        required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant = tenant
        self.fields["confirmation"].label = f"To confirm, type {tenant}"

    def clean_confirmation(self) -> str:
        """Refuse anything but the tenant's name."""
        typed: str = self.cleaned_data["confirmation"]
        if names.seen(typed) != names.seen(self.tenant.name):
            raise forms.ValidationError(
                f"That does not match. Type {self.tenant} as it is written here."
            )
        return typed


class NotificationsForm(forms.Form):
    """Which mails the tenant gets, before an expiry how often, and who gets them besides."""

    topics = forms.MultipleChoiceField(
        label="Send mails when",
        choices=Topic,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="They go to every owner and manager but the one who did it.",
    )
    expiry_days = forms.TypedMultipleChoiceField(
        label="Days before license keys expire",
        choices=[(days, f"{days} day{'' if days == 1 else 's'}") for days in EXPIRY_DAYS],
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="One more comes when they have expired. On monthly plans the first comes 7 days "
        "before, on the community plan 30 days before.",
    )
    recipients = forms.CharField(
        label="Also send them to",
        required=False,
        max_length=MAX_RECIPIENTS * 256,
        widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
        help_text=f"Addresses that need no account, such as a mailing list: one on each line, at "
        f"most {MAX_RECIPIENTS}. Each mail to them has a link that stops all of them.",
    )

    def clean_recipients(self) -> list[str]:
        """Return the addresses in the form in which they are stored, each once."""
        text = self.cleaned_data["recipients"].replace(",", "\n").replace(";", "\n")
        found = [line.strip() for line in text.splitlines() if line.strip()]
        wrong = [line for line in found if not _is_address(line)]
        if wrong:
            raise forms.ValidationError(f"No mail can be sent to {wrong[0][:100]}.")
        return list(dict.fromkeys(email_addresses.normalised(line).lower() for line in found))


def _is_address(text: str) -> bool:
    try:
        email_addresses.normalised(text)
    except forms.ValidationError:
        return False
    return True


DAY = {"type": "date"}


MAX_SUBSCRIPTIONS = 20
"""Subscriptions whose logs are read together, at most."""


class LogFilterForm(forms.Form):
    """Person, action, subscription and days; empty ones do not filter."""

    person = forms.UUIDField(label="Person", required=False)
    action = forms.ChoiceField(
        label="Action", required=False, choices=[("", "Everything"), *grouped_choices()]
    )
    subscription = forms.CharField(
        label="Subscription",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": "Name or identifier"}),
    )
    since = DayFormField(label="From", required=False, widget=forms.DateInput(attrs=DAY))
    until = DayFormField(label="To", required=False, widget=forms.DateInput(attrs=DAY))

    def __init__(self, *args: Any, tenant: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant = tenant
        self.fields["person"].widget = forms.Select(choices=self._people(tenant))

    def clean_subscription(self) -> list[UUID] | None:
        """Return the subscriptions that the text finds, as in their list; None without a text.

        A whole identifier that is none of the tenant's gives an empty list.
        """
        text = self.cleaned_data["subscription"]
        if not text:
            return None
        rows = self.tenant.subscriptions.matching(text)
        found = list(rows.values_list("pk", flat=True)[: MAX_SUBSCRIPTIONS + 1])
        if not found and not _is_uuid(text):
            raise forms.ValidationError("No subscription has this name or identifier.")
        if len(found) > MAX_SUBSCRIPTIONS:
            raise forms.ValidationError(
                f"More than {MAX_SUBSCRIPTIONS} subscriptions match. Enter more of the name."
            )
        return found

    def _people(self, tenant: Tenant) -> list[tuple[str, str]]:
        """Return the members, and whoever else is chosen: somebody who left, or an operator."""
        users = tenant.members.order_by("name", "pk")
        people = {str(user.pk): str(user) for user in users}
        chosen = self.data.get("person", "")
        if chosen and chosen not in people:
            people[chosen] = self._name_in_log(tenant, chosen)
        return [("", "Everybody"), *people.items()]

    def _name_in_log(self, tenant: Tenant, person: str) -> str:
        try:
            rows = LogEntry.objects.for_tenant(tenant.pk).by_actor(UUID(person))
        except ValueError:
            return "Nobody"
        newest = rows.first()
        return newest.actor_name if newest else "Nobody"


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
