"""Admin of signing keys, with the actions on them; no page shows a private key."""

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any, override

from django.contrib import admin
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from licenses.admin.affected import affected_address, affected_export, affected_view
from licenses.admin.forms import ActivateSigningKeyForm, DisableSigningKeyForm
from licenses.figures import snapshot
from licenses.figures.withdrawals import progress
from licenses.flows.signing_keys import (
    activate_signing_key,
    count_accepted_keys,
    create_signing_key,
    disable_signing_key,
    signs_from,
    waiting,
)
from licenses.models import SigningKey, SigningKeyState
from portal.core.dates import moment
from portal.operators.actions import ActionsAdmin, OperatorAction
from portal.operators.forms import VendorReasonForm
from portal.operators.model_admin import ReadOnlyAdmin, code, links, listing

CREATE = OperatorAction(
    name="create",
    label="Create signing key",
    consequences=(
        "A new key pair with its certificate is made; nobody ever sees the private key.",
        "It is published at once and signs nothing until it is activated.",
    ),
    flow=create_signing_key,
    form=VendorReasonForm,
    permission="create",
    makes_new=True,
    done=lambda signing_key, _: (
        f"Signing key {signing_key.kid[:8]} is published. It can be activated from "
        f"{moment(signs_from(signing_key))}."
    ),
    next=("activate",),
)

ACTIVATE = OperatorAction(
    name="activate",
    label="Activate signing key",
    consequences=(
        "New license keys are signed with this key from now on.",
        "The one that is active becomes passive: what it signed passes checks as before.",
    ),
    flow=lambda signing_key, **chosen: activate_signing_key(signing_key=signing_key, **chosen),
    summarize=lambda signing_key: (
        f"Can be activated from {moment(signs_from(signing_key))}, certificate ends "
        f"{moment(signing_key.valid_until)}"
    ),
    form=ActivateSigningKeyForm,
    permission="state",
    on_page=True,
    is_possible=lambda signing_key: signing_key.state == SigningKeyState.PASSIVE,
    done=lambda signing_key, _: f"Signing key {signing_key.kid[:8]} signs from now on.",
)

DISABLE = OperatorAction(
    name="disable",
    label="Disable signing key",
    consequences=(
        "Every license key that it signed is refused from now on. This cannot be undone.",
        "Terminals with such a key do not start until they have a new one.",
        "Owners and managers of every tenant concerned get a mail that leads to the reset.",
        "Terminals that verify offline do not ask and go on until their key expires.",
    ),
    flow=lambda signing_key, **chosen: disable_signing_key(signing_key=signing_key, **chosen),
    summarize=lambda signing_key: (
        f"License keys that this refuses: {count_accepted_keys(signing_key)}"
        f"{_succession(signing_key)}"
    ),
    form=DisableSigningKeyForm,
    permission="state",
    on_page=True,
    is_possible=lambda signing_key: signing_key.state != SigningKeyState.DISABLED,
    is_dangerous=True,
    done=lambda signing_key, _: f"Signing key {signing_key.kid[:8]} is disabled.{_signs()}",
)


def _succession(signing_key: SigningKey) -> str:
    """Return which signing key would sign if this one were disabled; "" if that stays as it is."""
    if signing_key.state != SigningKeyState.ACTIVE:
        return ""
    successor = waiting()
    return f"; successor: {successor.kid if successor else 'a new signing key'}"


def _signs() -> str:
    """Return which signing key signs now, as a sentence."""
    active = SigningKey.objects.filter(state=SigningKeyState.ACTIVE).first()
    return f" {active.kid[:8]} signs from now on." if active else ""


@admin.register(SigningKey)
class SigningKeyAdmin(ActionsAdmin, ReadOnlyAdmin):
    """The vendor's key pairs; flows create, activate and disable them."""

    operator_actions = (CREATE, ACTIVATE, DISABLE)
    fields = (
        "kid",
        "state",
        "bits",
        "certificate_sha256",
        "valid_from",
        "valid_until",
        "created_at",
        "activated_at",
        "disabled_at",
        "resets",
        "signed",
        "accepted",
        "belongings",
    )
    list_display = ("kid", "state", "activated_at", "valid_until", "signed")
    below = {"valid_until": "valid_from", "signed": "accepted"}
    badges = {"state": {SigningKeyState.ACTIVE: "good", SigningKeyState.DISABLED: "bad"}}
    codes = ("kid",)
    list_filter = ("state",)
    search_fields = ("kid",)
    secrets = ("private_key",)

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Annotate the numbers of license keys from the stored figures."""
        counted = snapshot.current().numbers["signing_keys"]
        return (
            super()
            .get_queryset(request)
            .annotate(
                **{
                    name: Case(
                        *(When(kid=kid, then=Value(counted[kid][stored])) for kid in counted),
                        default=Value(0),
                    )
                    for name, stored in (("signed", "signed"), ("accepted", "living"))
                }
            )
        )

    def has_create_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may create a signing key."""
        return request.user.has_perm("licenses.add_signingkey")

    def has_state_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the operator may activate and disable signing keys."""
        return request.user.has_perm("licenses.change_signingkey")

    @override
    def title_of(self, row: SigningKey) -> str:
        return f"Signing key {row.kid[:8]}"

    @override
    def get_urls(self) -> list[Any]:
        """Add the page of who is affected, and its export."""
        view = self.admin_site.admin_view(partial(affected_view, self))
        export = self.admin_site.admin_view(partial(affected_export, self))
        return [
            path("<path:object_id>/affected/", view, name="licenses_signingkey_affected"),
            path(
                "<path:object_id>/affected/export/", export, name="licenses_signingkey_affected_csv"
            ),
            *super().get_urls(),
        ]

    @override
    def effects(
        self, request: HttpRequest, action: OperatorAction, rows: Sequence[Any]
    ) -> list[tuple[str, str]]:
        """Say, of the active one, which signing key takes its place."""
        if action is not DISABLE or rows[0].state != SigningKeyState.ACTIVE:
            return []
        successor = waiting()
        words = (
            f"signing key {successor.kid[:8]}, which waits, becomes the active one in the same step"
            if successor
            else "a new signing key is made and signs from now on, in the same step"
        )
        return [("This one is active", f"{words}.")]

    @override
    def leads_on(self, rows: list[Any]) -> list[tuple[str, str]]:
        """Lead to who is affected by signing keys that were just disabled."""
        disabled = SigningKey.objects.filter(
            pk__in=[row.pk for row in rows], state=SigningKeyState.DISABLED
        )
        return [("Who is affected", affected_address(row)) for row in disabled]

    @admin.display(description="resets")
    def resets(self, obj: SigningKey) -> SafeString | str:
        """Return how far the resets have got since it was disabled."""
        if obj.disabled_at is None:
            return ""
        return format_html(
            '{} <a href="{}">Who is affected</a>', progress(obj).sentence, affected_address(obj)
        )

    @admin.display(description="license keys signed")
    def signed(self, obj: Any) -> int:
        """Return how many license keys it has signed, as of the last count."""
        return int(obj.signed)

    @admin.display(description="of them accepted")
    def accepted(self, obj: Any) -> int:
        """Return how many of them pass checks, as of the last count."""
        return int(obj.accepted)

    @admin.display(description="SHA-256 of the certificate")
    def certificate_sha256(self, obj: SigningKey) -> SafeString:
        """Return the fingerprint of the certificate (DER), as tools print it."""
        return code(hashlib.sha256(bytes(obj.certificate)).digest().hex(":").upper())

    @admin.display(description="more about it")
    def belongings(self, obj: SigningKey) -> SafeString:
        """Return links to the license keys that it signed and to what was done to it."""
        signed = listing("licenses_licensekey", signing_key__id__exact=obj.pk)
        return links(
            ("Who is affected if it leaks", affected_address(obj)),
            ("License keys signed by it", signed),
            ("Log", listing("portal_logentry", **self.log_filter(obj))),
        )

    @override
    def log_filter(self, obj: SigningKey) -> dict[str, Any]:
        """The rows of the vendor's log that name the key."""
        return {"tenant_id__exact": self.tenant_id_of(obj), "details__kid": obj.kid}
