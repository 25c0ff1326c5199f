"""What operators see of signing keys and do to them; the private half is on no page."""

import hashlib
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Case, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from licenses import figures, flows
from licenses.forms import ActivateSigningKeyForm, DisableSigningKeyForm
from licenses.models import SigningKey, SigningKeyState
from portal.access import actor_of, kept_form, recent_proof
from portal.admin_confirm import Confirmation, confirmation_page
from portal.admin_site import ReadOnlyAdmin, code, links, listing
from portal.dates import moment
from portal.forms import ReasonForm, accepted, posted


@admin.register(SigningKey)
class SigningKeyAdmin(ReadOnlyAdmin):
    """The vendor's key pairs: flows create, activate and disable them."""

    change_form_template = "admin/signing_key.html"
    change_list_template = "admin/signing_keys.html"
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
        "signed",
        "living",
        "belongings",
    )
    list_display = (
        "kid",
        "state",
        "valid_from",
        "valid_until",
        "activated_at",
        "signed",
        "living",
    )
    list_filter = ("state",)
    search_fields = ("kid",)
    secrets = ("private_key",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the signing keys with what the kept figures say of them."""
        counted = figures.kept().numbers["signing_keys"]
        return (
            super()
            .get_queryset(request)
            .annotate(
                **{
                    name: Case(
                        *(When(kid=kid, then=Value(counted[kid][name])) for kid in counted),
                        default=Value(0),
                    )
                    for name in ("signed", "living")
                }
            )
        )

    def get_urls(self) -> list[Any]:
        """Add the pages on which operators confirm what they do."""
        pages: list[tuple[str, str, Callable[..., HttpResponse]]] = [
            ("create/", "create", self.create_view),
            ("<int:pk>/activate/", "activate", self.activate_view),
            ("<int:pk>/disable/", "disable", self.disable_view),
        ]
        return [
            *(
                path(
                    route,
                    self.admin_site.admin_view(recent_proof(view)),
                    name=f"licenses_signingkey_{name}",
                )
                for route, name, view in pages
            ),
            *super().get_urls(),
        ]

    def create_view(self, request: Any) -> HttpResponse:
        """Create a signing key."""
        self._require(request, "add")
        form = ReasonForm(posted(request), initial=kept_form(request))
        made: list[SigningKey] = []
        if request.method == "POST" and accepted(
            form,
            lambda: made.append(
                flows.create_signing_key(actor=actor_of(request), **form.cleaned_data)
            ),
        ):
            return self._done(request, made[0], "The signing key was created and is published.")
        confirmation = Confirmation(
            title="Create signing key",
            says=[
                "A new key pair with its certificate is made; nobody ever sees the private key.",
                "It is published at once and signs nothing until it is activated.",
            ],
            button="Create signing key",
        )
        return confirmation_page(self, request, confirmation, form)

    def activate_view(self, request: Any, pk: int) -> HttpResponse:
        """Let a signing key sign in place of the active one."""
        self._require(request, "change")
        signing_key = self._found(pk, SigningKeyState.PASSIVE)
        signs = flows.signs_from(signing_key)
        form = ActivateSigningKeyForm(
            posted(request), initial=kept_form(request), is_early=timezone.now() < signs
        )
        if request.method == "POST" and accepted(
            form,
            lambda: flows.activate_signing_key(
                signing_key=signing_key, actor=actor_of(request), **form.cleaned_data
            ),
        ):
            return self._done(request, signing_key, "The signing key signs from now on.")
        confirmation = Confirmation(
            title="Activate signing key",
            says=[
                "New license keys are signed with this key from now on.",
                "The one that is active becomes passive: what it signed passes checks as before.",
            ],
            facts={
                "Key id": code(signing_key.kid),
                "Can be activated from": moment(signs),
                "Certificate ends": moment(signing_key.valid_until),
            },
            button="Activate signing key",
            row=signing_key,
        )
        return confirmation_page(self, request, confirmation, form)

    def disable_view(self, request: Any, pk: int) -> HttpResponse:
        """Withdraw a signing key."""
        self._require(request, "change")
        signing_key = self._found(pk, SigningKeyState.PASSIVE, SigningKeyState.ACTIVE)
        form = DisableSigningKeyForm(
            posted(request), initial=kept_form(request), signing_key=signing_key
        )
        if request.method == "POST" and accepted(
            form,
            lambda: flows.disable_signing_key(
                signing_key=signing_key,
                actor=actor_of(request),
                reason=form.cleaned_data["reason"],
            ),
        ):
            return self._done(request, signing_key, "The signing key is disabled.")
        confirmation = Confirmation(
            title="Disable signing key",
            says=[
                "Every license key that it signed is refused from now on. This can not be undone.",
                "Terminals with such a key do not start until they have a new one.",
                "Terminals that verify offline do not ask and go on until their key expires.",
            ],
            facts={
                "Key id": code(signing_key.kid),
                "License keys that this refuses": flows.living_keys(signing_key),
            },
            button="Disable signing key",
            row=signing_key,
            is_dangerous=True,
        )
        return confirmation_page(self, request, confirmation, form)

    @admin.display(description="license keys signed")
    def signed(self, obj: Any) -> int:
        """Return how many license keys it has signed, as counted last."""
        return int(obj.signed)

    @admin.display(description="of them still living")
    def living(self, obj: Any) -> int:
        """Return how many of them pass checks, as counted last."""
        return int(obj.living)

    @admin.display(description="SHA-256 of the certificate")
    def certificate_sha256(self, obj: SigningKey) -> SafeString:
        """Return the fingerprint of the certificate (DER), as tools print it."""
        return code(hashlib.sha256(bytes(obj.certificate)).digest().hex(":").upper())

    @admin.display(description="belongings")
    def belongings(self, obj: SigningKey) -> SafeString:
        """Return links to the license keys that it signed and to what was done to it."""
        signed = listing("licenses_licensekey", signing_key__id__exact=obj.pk)
        return links(
            ("License keys signed by it", signed),
            ("Log", listing("portal_logentry", **self.log_filter(obj))),
        )

    def log_filter(self, obj: SigningKey) -> dict[str, Any]:
        """Return the filter for the rows of the vendor's log that name the key."""
        return {"tenant_id__exact": self.tenant_id_of(obj), "details__kid": obj.kid}

    def _require(self, request: HttpRequest, does: str) -> None:
        """Raise PermissionDenied for an operator who may only look."""
        if not request.user.has_perm(f"licenses.{does}_signingkey"):
            raise PermissionDenied

    def _found(self, pk: int, *states: SigningKeyState) -> SigningKey:
        """Return the signing key without its secret; 404 where there is nothing to do."""
        found = SigningKey.objects.defer(*self.secrets).filter(pk=pk, state__in=states).first()
        if found is None:
            raise Http404
        return found

    def _done(self, request: HttpRequest, signing_key: SigningKey, sentence: str) -> HttpResponse:
        self.message_user(request, sentence)
        return redirect(reverse("admin:licenses_signingkey_change", args=[signing_key.pk]))
