"""What operators see of tenants, people and the log."""

from datetime import UTC, datetime
from typing import Any, override

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from portal.accounts.flows.accounts import edit_user
from portal.accounts.models import User
from portal.accounts.second_factor import in_words, second_factors
from portal.activity.actions import Action, grouped_choices
from portal.activity.models import VENDOR, LogEntry
from portal.activity.particulars import Particular
from portal.core import names
from portal.core.actors import Actor, ActorKind
from portal.core.countries import country_choices
from portal.core.dates import moment
from portal.core.email_addresses import EmailAddressFormField, same
from portal.mail.models import Outbox, OutboxQuerySet
from portal.operators import search
from portal.operators.account_actions import (
    END_SESSIONS,
    KEEP_TENANT,
    REMOVE_SECOND_FACTOR,
    REPLACE_OWNER,
    REVOKE_INVITATION,
    SEND_INVITATION_AGAIN,
    SEND_MAIL_AGAIN,
    SET_OPERATOR,
    STOP,
)
from portal.operators.actions import ActionsAdmin
from portal.operators.importing import ImportsAdmin
from portal.operators.lists import (
    CountryFilter,
    DayFilter,
    choice_filter,
    empty_filter,
    words_filter,
)
from portal.operators.model_admin import EditedAdmin, ReadOnlyAdmin, RecordForm, links, listing
from portal.operators.models import Outcome, PendingChange
from portal.operators.support import START_SUPPORT_VIEW, SupportViewAdmin
from portal.operators.tenant_rows import TENANTS
from portal.operators.values import Shown, badge
from portal.tenants.country import is_country_fixed
from portal.tenants.flows.tenants import open_tenant, update_tenant
from portal.tenants.models import Invitation, Member, Role, Tenant


class TenantForm(RecordForm):
    """A tenant whose country is chosen by name."""

    country = forms.ChoiceField(
        choices=lambda: [("", "Choose a country"), *country_choices()],
        help_text="Fixed once license keys exist.",
    )


class NewTenantForm(TenantForm):
    """A tenant with its first owner."""

    owner_email = EmailAddressFormField(
        label="First owner's email address",
        help_text="Gets an invitation, which is good for seven days.",
    )


@admin.register(Tenant)
class TenantAdmin(SupportViewAdmin, ImportsAdmin, EditedAdmin):
    """Customer accounts."""

    operator_actions = (REPLACE_OWNER, START_SUPPORT_VIEW, KEEP_TENANT)
    imported = TENANTS

    form = TenantForm
    fields = (
        "name",
        "country",
        "requires_two_factor",
        "created_at",
        "closes_at",
        "closed_at",
        "erased_at",
        "id",
        "belongings",
    )
    list_display = ("name", "country_code", "requires_two_factor", "created_at")
    below = {"name": "id"}
    list_filter = (
        "requires_two_factor",
        CountryFilter,
        ("closes_at", empty_filter("closing", "Stays", "Closes or closed")),
    )
    search_fields = ("name",)
    search_help_text = (
        "Name, a member's email address or its domain, or whole identifier of the tenant"
    )
    identifiers: tuple[str, ...] = ("id",)
    emails = ("memberships__user__email",)
    belonging_lists: tuple[tuple[str, str], ...] = ()
    """(label, list) of what belongs to a tenant; other apps add theirs."""

    @override
    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new tenant needs its first owner too; an existing one shows everything."""
        if obj is None:
            return ("name", "country", "requires_two_factor", "owner_email")
        dates = ("closes_at", "closed_at", "erased_at")
        fields = [f for f in self.fields if f not in dates or getattr(obj, f) is not None]
        if not is_country_fixed(obj):
            return fields
        return ["country_code" if name == "country" else name for name in fields]

    @override
    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Ask for the first owner of a new tenant."""
        if obj is None:
            kwargs["form"] = NewTenantForm
        return super().get_form(request, obj, change, **kwargs)

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Fix the country as soon as there is a license: its keys hold the country."""
        fixed = ["id", "created_at", "closes_at", "closed_at", "erased_at", "belongings"]
        return [*fixed, "country", "country_code"] if obj and is_country_fixed(obj) else fixed

    def has_replace_owner_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may replace a last owner."""
        if obj is not None and obj.closed_at is not None:
            return False
        return request.user.has_perm("portal.change_member")

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave a closed tenant as it is."""
        is_closed = obj is not None and obj.closed_at is not None
        return not is_closed and super().has_change_permission(request, obj)

    @override
    def add(self, row: Tenant, *, actor: Actor, reason: str, **extra: Any) -> object:
        """Open the tenant, with an invitation for its first owner."""
        return open_tenant(tenant=row, actor=actor, reason=reason, **extra)

    @override
    def edit(self, row: Tenant, changes: dict[str, Any], *, actor: Actor, reason: str) -> object:
        """Change the tenant as its owners do, for a reason."""
        return update_tenant(tenant=row, actor=actor, reason=reason, **changes)

    @override
    def tenant_id_of(self, obj: Tenant) -> Any:
        return obj.pk

    @override
    def log_filter(self, obj: Tenant) -> dict[str, Any]:
        return {"tenant_id__exact": obj.pk}

    @admin.display(description="country", ordering="country")
    def country_code(self, obj: Tenant) -> Shown:
        """Return the country: its name on pages, in exports the code that imports take."""
        return Shown(obj.country, format_html("{}", obj.get_country_name()))

    @admin.display(description="more about it")
    def belongings(self, obj: Tenant) -> SafeString:
        """Return links to what belongs to the tenant."""
        its = {"tenant__id__exact": obj.pk}
        return links(
            ("Members", listing("portal_member", **its)),
            *((label, listing(name, **its)) for label, name in self.belonging_lists),
            ("Log", listing("portal_logentry", **self.log_filter(obj))),
        )


@admin.register(User)
class UserAdmin(ActionsAdmin, EditedAdmin):
    """People who sign in. Addresses, passwords, groups and rights are never set in a form.

    People come by an invitation or sign up; the first operator is made by `createsuperuser`.
    """

    operator_actions = (END_SESSIONS, REMOVE_SECOND_FACTOR, SET_OPERATOR)

    fields = (
        "email",
        "name",
        "second_factor",
        "roles",
        "is_active",
        "last_sign_in",
        "joined",
        "is_operator",
        "groups",
        "id",
        "belongings",
    )
    list_display = ("email", "tenant_names", "is_protected", "may_sign_in", "joined")
    below = {"email": "name", "may_sign_in": "is_operator", "joined": "last_sign_in"}
    list_filter = (
        words_filter(
            "second factor",
            "factor",
            {
                "yes": ("Has one", lambda users: users.filter(has_factor=True)),
                "none": ("None", lambda users: users.filter(has_factor=False)),
            },
        ),
        words_filter(
            "operators",
            "operator",
            {
                "yes": ("Operators", lambda users: users.filter(is_staff=True)),
                "no": ("No operators", lambda users: users.filter(is_staff=False)),
            },
        ),
        words_filter(
            "may sign in",
            "signs_in",
            {
                "yes": ("Yes", lambda users: users.filter(is_active=True)),
                "no": ("No", lambda users: users.filter(is_active=False)),
            },
        ),
    )
    search_fields = ("email", "name")
    search_help_text = (
        "Name, email address or its domain, or whole identifier of the user or of a tenant"
    )
    ordering = ("email",)
    identifiers = ("id", "memberships__tenant_id")
    emails = ("email",)
    secrets = ("password",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Add the tenants, and whether there is a second factor."""
        has_factor = Exists(second_factors().filter(user=OuterRef("pk")))
        rows = super().get_queryset(request).annotate(has_factor=has_factor)
        return rows.prefetch_related("memberships__tenant")

    @override
    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Say in words of the portal what may be edited."""
        kwargs["labels"] = {"is_active": "May sign in"}
        kwargs["help_texts"] = {"is_active": "Off: is signed out at once, and cannot sign in."}
        return super().get_form(request, obj, change, **kwargs)

    @override
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Tell of the removal of the second factor that waits."""
        user = self.get_object(request, unquote(object_id))
        changes = PendingChange.objects.waiting().filter(user=user) if user else []
        page: Any = self.admin_site._registry[PendingChange]
        waiting = [
            (change, page.offer(request, change))
            for change in changes
            if page.has_view_permission(request, change)
        ]
        context = {"waiting": waiting, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Allow the name and `is_active` to be edited, but not one's own `is_active`."""
        open_ones = {"name"} if obj and obj.pk == request.user.pk else {"name", "is_active"}
        return [name for name in self.fields if name not in open_ones]

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let superusers alone change operators."""
        if obj and (obj.is_staff or obj.is_superuser) and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    @override
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @override
    def edit(self, row: User, changes: dict[str, Any], *, actor: Actor, reason: str) -> object:
        """Change the name, or whether the person may sign in."""
        return edit_user(user=row, changes=changes, actor=actor, reason=reason)

    def has_set_operator_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may choose who is an operator."""
        return bool(request.user.is_superuser)

    @admin.display(description="second factor")
    def second_factor(self, obj: User) -> str:
        """Return what the user has beside a password."""
        return in_words(obj.pk)

    @admin.display(description="second factor", ordering="has_factor")
    def is_protected(self, obj: Any) -> Shown:
        """Return whether the user has a second factor."""
        return badge("Yes", "good") if obj.has_factor else badge("None", "muted")

    @admin.display(description="may sign in", ordering="is_active")
    def may_sign_in(self, obj: User) -> Shown:
        """Return whether the account is open."""
        return badge("Yes", "good") if obj.is_active else badge("No", "bad")

    @admin.display(description="operator", ordering="is_staff")
    def is_operator(self, obj: User) -> str:
        """Return whether the user may enter the admin."""
        return "Superuser" if obj.is_superuser else "Operator" if obj.is_staff else ""

    @admin.display(description="joined", ordering="date_joined")
    def joined(self, obj: User) -> datetime:
        """Return when the account was made."""
        return obj.date_joined

    @admin.display(description="last sign-in", ordering="last_login")
    def last_sign_in(self, obj: User) -> datetime | None:
        """Return when the user last signed in."""
        return obj.last_login

    @admin.display(description="tenants")
    def tenant_names(self, obj: User) -> Shown:
        """Return the tenants of the user by name, each with the page that shows all of it."""
        tenants = sorted((member.tenant for member in obj.memberships.all()), key=str)
        shown = [(_linked(t.name, "portal_tenant_customer", t.pk).html,) for t in tenants]
        return Shown(", ".join(map(str, tenants)), format_html_join(", ", "{}", shown))

    @admin.display(description="tenants")
    def roles(self, obj: User) -> SafeString:
        """Return the tenants of the user, each with the page that shows everything of it."""
        return format_html_join(
            mark_safe("<br>"),
            '<a href="{}">{}</a> <span class="muted">{}</span>',
            (
                (
                    reverse("admin:portal_tenant_customer", args=[member.tenant_id]),
                    member.tenant,
                    member.get_role_display(),
                )
                for member in obj.memberships.select_related("tenant").order_by("joined_at")
            ),
        )

    @admin.display(description="more about it")
    def belongings(self, obj: User) -> SafeString:
        """Return links to the user's memberships and to what they did."""
        return links(
            ("Memberships", listing("portal_member", user__id__exact=obj.pk)),
            ("What the user did", listing("portal_logentry", actor_id__exact=obj.pk)),
        )


@admin.register(Member)
class MemberAdmin(ReadOnlyAdmin):
    """Who belongs to which tenant: only the owners change that."""

    fields = ("tenant", "user", "role", "joined_at")
    list_display = ("user", "tenant", "role", "joined_at")
    below = {"user": "email"}
    badges = {"role": {Role.OWNER: "info"}}
    list_filter = ("role",)
    list_select_related = ("tenant", "user")
    search_fields = ("user__email", "user__name", "tenant__name")
    search_help_text = "User's email address or name, tenant's name, or whole identifier of either"
    ordering = ("-id",)
    identifiers = ("tenant_id", "user_id")
    emails = ("user__email",)

    @admin.display(description="email address", ordering="user__email")
    def email(self, obj: Member) -> str:
        """Return the user's address."""
        return obj.user.email


@admin.register(Invitation)
class InvitationAdmin(ActionsAdmin, ReadOnlyAdmin):
    """Whom owners invited; the secret of the mailed link is kept nowhere."""

    operator_actions = (SEND_INVITATION_AGAIN, REVOKE_INVITATION)
    fields = (
        "tenant",
        "email",
        "role",
        "state",
        "invited_by",
        "created_at",
        "expires_at",
        "accepted_at",
        "revoked_at",
    )
    list_display = ("email", "tenant", "role", "state", "expires_at")
    below = {"tenant": "invited_by", "expires_at": "created_at"}
    list_filter = ("role",)
    list_select_related = ("tenant", "invited_by")
    search_fields = ("email", "tenant__name")
    search_help_text = "Email address, tenant's name, or whole identifier of the tenant"
    ordering = ("-id",)
    identifiers = ("tenant_id",)
    emails = ("email",)
    secrets = ("token_sha256",)

    def has_invite_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may send invitations again and revoke them."""
        return request.user.has_perm("portal.change_member")

    @admin.display(description="state")
    def state(self, obj: Invitation) -> Shown:
        """Return what became of it."""
        if obj.accepted_at:
            return badge("Accepted", "good")
        if obj.revoked_at:
            return badge("Revoked", "muted")
        waits = obj.expires_at > timezone.now()
        return badge("Waiting", "info") if waits else badge("Expired", "warn")


@admin.register(PendingChange)
class PendingChangeAdmin(ActionsAdmin, ReadOnlyAdmin):
    """Changes that wait for 24 hours, and those that are finished."""

    intro = "Recoveries of accounts and tenants: each waits 24 hours, so that it can be stopped."
    operator_actions = (STOP,)
    fields = (
        "kind",
        "user",
        "tenant",
        "email",
        "reason",
        "requested_by",
        "created_at",
        "due_at",
        "outcome",
        "outcome_reason",
        "finished_at",
    )
    list_display = ("kind", "whose", "requested_by", "due_at", "outcome")
    below = {"whose": "email", "requested_by": "reason", "outcome": "finished_at"}
    badges = {
        "outcome": {Outcome.WAITING: "warn", Outcome.DONE: "good", Outcome.REFUSED: "bad"},
    }
    clocks = ("due_at",)
    list_filter = ("outcome", "kind")
    list_select_related = ("user", "tenant", "requested_by")
    search_fields = ("user__email", "tenant__name", "email")
    identifiers = ("tenant_id", "user_id")
    secrets = ("token_sha256",)

    @admin.display(description="person or tenant")
    def whose(self, obj: PendingChange) -> User | Tenant | None:
        """Return whom the change is about."""
        return obj.user or obj.tenant

    def has_stop_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may stop a waiting change."""
        return request.user.has_perm("portal.change_pendingchange")


def _headings() -> dict[str, str]:
    """Return each action with the group under which it is chosen."""
    grouped = {action: group for group, choices in grouped_choices() for action, _ in choices}
    return grouped | {action.value: "Vendor" for action in Action if action.value not in grouped}


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Everything that happened, in all tenants."""

    fields = (
        "at",
        "outcome",
        "reason",
        "in_words",
        "actor_name",
        "actor_kind",
        "actor_email",
        "actor_id",
        "address",
        "tenant_name",
        "tenant_id",
        "subscription_name",
        "subscription_id",
        "seq",
        "details",
        "previous",
        "hash",
    )
    list_display = ("what", "actor", "tenant_name", "time")
    below = {
        "what": "why",
        "actor": "actor_kind",
        "tenant_name": "subscription",
        "time": "address",
    }
    also_exported = ("result", "slot")
    days = "at"
    codes = ("previous", "hash", "address")
    folded = ("actor_id", "tenant_id", "subscription_id", "seq", "details", "previous", "hash")
    has_history = False
    list_filter = (
        "actor_kind",
        choice_filter("action", "action", Action, _headings()),
        DayFilter.of("at", "since", "from day (UTC)"),
        DayFilter.of("at", "until", "to day (UTC)"),
    )
    search_fields = ("actor_email", "actor_name", "subscription_name")
    search_help_text = (
        "Actor's email address or name, tenant's or subscription's name, or whole identifier of "
        "the tenant, the actor or the subscription"
    )
    ordering = ("-id",)
    sortable_by = ()
    identifiers = ("tenant_id", "actor_id", "subscription_id")
    other_lookups = ("details__id", "details__kid")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Add the name that each tenant has today."""
        tenants = Tenant.objects.filter(pk=OuterRef("tenant_id"))
        return super().get_queryset(request).annotate(tenant=Subquery(tenants.values("name")[:1]))

    @override
    def log_filter(self, obj: LogEntry) -> dict[str, Any]:
        return {"tenant_id__exact": obj.tenant_id}

    @admin.display(description="tenant")
    def tenant_name(self, obj: Any) -> Shown:
        """Return the tenant's name today, which leads to everything of the customer."""
        if not obj.tenant:
            name = "Vendor" if obj.tenant_id == VENDOR else "-"
            return Shown(name, format_html("{}", name))
        return _linked(obj.tenant, "portal_tenant_customer", obj.tenant_id)

    @admin.display(description="subscription name")
    def subscription(self, obj: LogEntry) -> Shown | str:
        """Return the subscription's name of then, which leads to its page."""
        if obj.subscription_id is None:
            return obj.subscription_name
        return _linked(
            obj.subscription_name, "subscriptions_subscription_change", obj.subscription_id
        )

    @admin.display(description="actor name")
    def actor(self, obj: LogEntry) -> Shown | str:
        """Return who did it, which leads to their account."""
        if obj.actor_id is None or obj.actor_kind not in {ActorKind.MEMBER, ActorKind.OPERATOR}:
            return obj.actor_name
        return _linked(obj.actor_name, "portal_user_change", obj.actor_id)

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find what is in tenants of that name too: the log has their identifiers alone."""
        found, repeats = super().get_search_results(request, queryset, search_term)
        term = names.normalised(search_term)
        if not term or len(term) > search.MAX_CHARACTERS or search.identifier(term):
            return found, repeats
        tenants = Tenant.objects.filter(name__shows=term)
        return found | queryset.filter(tenant_id__in=tenants.values("pk")), repeats

    @admin.display(description="result")
    def outcome(self, obj: LogEntry) -> Shown | str:
        """Return the result in words."""
        return badge(obj.result_in_words, obj.result_tone) if obj.result else ""

    @admin.display(description="action")
    def what(self, obj: LogEntry) -> str:
        """Return what happened, in words."""
        return obj.describe()

    @admin.display(description="result and reason")
    def why(self, obj: LogEntry) -> Shown | str:
        """Return what came out and why it was done; in exports the reason."""
        if not obj.result:
            return obj.reason
        return Shown(obj.reason, format_html("{} {}", self.outcome(obj), obj.reason))

    @admin.display(description="time")
    def time(self, obj: LogEntry) -> Shown:
        """Return the time (UTC), whose day stands above the rows; in exports the moment."""
        at = obj.at.astimezone(UTC)
        text = f"{at:%H:%M} UTC"
        return Shown(
            at.isoformat(),
            format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), at, text),
        )

    @admin.display(description="particulars")
    def in_words(self, obj: LogEntry) -> SafeString:
        """Return the details as the customer reads them, but with times in UTC."""
        return format_html_join(mark_safe("<br>"), "{}: {}", map(_read, obj.particulars()))

    @override
    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out what the row does not have: each kind of row has other columns."""
        has = {"outcome": "result"}
        return [n for n in self.fields if obj is None or getattr(obj, has.get(n, n), True)]


def _linked(name: str, page: str, pk: Any) -> Shown:
    return Shown(
        name, format_html('<a href="{}">{}</a>', reverse(f"admin:{page}", args=[pk]), name)
    )


def _read(particular: Particular) -> tuple[str, str]:
    values = (particular.before, particular.value)
    words = [moment(v, UTC) if isinstance(v, datetime) else v for v in values if v is not None]
    return particular.label, " → ".join(words)


FAILS = (
    "It is tried again by itself, for 7 days in all; “Send again” does so at once. Where the error "
    "says that the address is wrong, find out the right one."
)
GIVEN_UP = (
    "Its text is erased, so it cannot be sent again. Find out what was wrong, most often the "
    "address, and repeat what it was about."
)
OF_TENANT = "its members, invitations and subscriptions are there, with what can be done to each."
OF_PERSON = "its owner asks for such a mail again, at the sign-in or in the profile."


@admin.register(Outbox)
class OutboxAdmin(ActionsAdmin, ReadOnlyAdmin):
    """Mail that must go out or went out, without its text: links in it are for one person."""

    intro = "Mail of the last 30 days. One that fails is tried again for 7 days, then given up."
    operator_actions = (SEND_MAIL_AGAIN,)
    list_display = ("subject", "state", "attempts", "created_at")
    below = {"subject": "to", "state": "sent_at", "attempts": "last_error"}
    clocks = ("created_at",)
    has_history = False
    fields = (
        "state",
        "advice",
        "last_error",
        "to",
        "tenant",
        "attempts",
        "next_attempt_at",
        "created_at",
        "sent_at",
        "given_up_at",
    )
    list_filter = (
        words_filter(
            "state",
            "state",
            {
                "waiting": ("Not sent yet", OutboxQuerySet.waiting),
                "failing": ("Fails", lambda mails: mails.waiting().filter(attempts__gt=0)),
                "given_up": ("Given up", OutboxQuerySet.given_up),
                "sent": ("Sent", lambda mails: mails.exclude(sent_at=None)),
            },
        ),
    )
    search_fields = ("to",)
    search_help_text = "Email address, or whole identifier of the tenant"
    ordering = ("-id",)
    identifiers = ("tenant_id",)
    secrets = ("text", "html", "dedupe_key")

    def has_send_again_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may send mail again."""
        return request.user.has_perm("portal.change_outbox")

    @admin.display(description="next attempt")
    def next_attempt_at(self, obj: Outbox) -> datetime | None:
        """Return when a waiting mail is tried next."""
        return None if obj.sent_at or obj.given_up_at else obj.send_after

    @admin.display(description="tenant")
    def tenant(self, obj: Outbox) -> Tenant | None:
        """Return whose matter it is about."""
        return None if obj.tenant_id is None else Tenant.objects.filter(pk=obj.tenant_id).first()

    @admin.display(description="what to do")
    def advice(self, obj: Outbox) -> SafeString | str:
        """Return what helps where a mail fails or was given up, with a link to where it is done."""
        if obj.sent_at or not obj.attempts:
            return ""
        return format_html("{} {}", GIVEN_UP if obj.given_up_at else FAILS, self._matter(obj))

    def _matter(self, obj: Outbox) -> SafeString | str:
        """Return where what the mail was about is done: for a tenant, or by the person alone."""
        if tenant := self.tenant(obj):
            customer = _linked(tenant.name, "portal_tenant_customer", tenant.pk)
            return format_html("Go to {}: {}", customer.html, OF_TENANT)
        user = User.objects.filter(same("email", obj.to)).first()
        if user is None:
            return "No account has this address: whoever typed it begins again."
        account = _linked(str(user), "portal_user_change", user.pk)
        return format_html("It is about the account {}: {}", account.html, OF_PERSON)

    @admin.display(description="state")
    def state(self, obj: Outbox) -> Shown:
        """Return whether the mail went out."""
        if obj.sent_at:
            return badge("Sent", "good")
        if obj.given_up_at:
            return badge("Given up", "bad")
        return badge("Fails", "bad") if obj.attempts else badge("Waiting", "info")
