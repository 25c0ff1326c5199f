"""Pages about one's own account that concern tenants too: export its data, delete it."""

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from portal.accounts.models import User
from portal.accounts.proof import kept_form, purpose, recent_proof
from portal.accounts.requests import actor_of, signed_in
from portal.tenants.flows.delete_account import delete_account, last_owner_of
from portal.tenants.forms import DeleteAccountForm
from portal.tenants.own_data import own_data
from portal.web.forms import ConfirmForm, posted, refusals_on, require_form_methods
from portal.web.pages import HtmxRequest, elsewhere, form_page, uncached


@require_form_methods
@signed_in
@recent_proof
@purpose(lambda _request: "export your data")
def export(request: HtmxRequest) -> HttpResponse:
    """Send what is stored about the user as JSON."""
    form = ConfirmForm(posted(request))
    if not form.is_valid():
        return form_page(request, "profile/export.html", form)
    user = get_object_or_404(User, pk=request.user.pk)
    answer = JsonResponse(own_data(user), json_dumps_params={"indent": 2, "ensure_ascii": False})
    name = f"my-data-{timezone.now():%Y-%m-%d}.json"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return uncached(answer)


@require_form_methods
@signed_in
@recent_proof
@purpose(lambda _request: "delete your account")
def delete(request: HtmxRequest) -> HttpResponse:
    """Delete the user's own account."""
    user = get_object_or_404(User, pk=request.user.pk)
    form = DeleteAccountForm(posted(request), user=user, initial=kept_form(request) or {})
    if form.is_valid():
        with refusals_on(form):
            delete_account(user=user, actor=actor_of(request))
            logout(request)
            messages.success(request, f"The account of {user.email} was deleted.")
            return elsewhere(request, reverse("account_login"))
    context = {
        "last_owner_of": last_owner_of(user),
        "tenants": [member.tenant for member in user.memberships.select_related("tenant")],
    }
    return form_page(request, "profile/delete.html", form, context)
