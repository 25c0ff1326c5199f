"""Every address of the portal."""

from django.contrib import admin
from django.urls import include, path

from licenses.figures.prometheus import metrics
from licenses.programs import published
from licenses.web import urls as license_pages
from licenses.web.lists import identifiers
from licenses.web.verify import verify
from portal.accounts.views import change_password_address
from portal.operators import views as recovery
from portal.programs.security_txt import security_txt
from portal.server import health, probe
from portal.tenants.views import account, home, invitations, logs, notifications, sign_up
from portal.web.views import server_error
from subscriptions import urls as subscription_pages
from subscriptions.service_tokens import leaked

handler500 = server_error

# The list and the page of a subscription show its license keys, so they are in `licenses`.
subscriptions = [*license_pages.subscription_pages, *subscription_pages.urlpatterns]

urlpatterns = [
    path("public/", include("licenses.programs.urls")),
    path("api/v1/", include("licenses.api.urls")),
    path("public/seen", probe.seen, name="seen_by_programs"),
    path(".well-known/jwks.json", published.jwks, name="jwks"),
    path(".well-known/security.txt", security_txt, name="security_txt"),
    path(".well-known/change-password", change_password_address, name="change_password_address"),
    path("", home.home, name="home"),
    path("subscriptions/", include((subscriptions, "subscriptions"))),
    path("subscriptions/<uuid:subscription_id>/", include("licenses.web.urls")),
    path("results/", include(license_pages.result_pages)),
    path("verify/", verify, name="verify"),
    path("identifiers/", identifiers, name="identifiers"),
    path("api/v1/revoke", leaked.revoke, name="revoke_leaked_token"),
    path("tenant/tokens/", include("subscriptions.service_tokens.urls")),
    path("tenant/", include("portal.tenants.urls")),
    path("invitations/accept/", invitations.accept_invitation, name="accept_invitation"),
    path("invitations/<str:secret>/", invitations.open_invitation, name="open_invitation"),
    path("notifications/stop/<str:token>/", notifications.stop, name="stop_notifications"),
    path("objections/", recovery.cancel_change, name="cancel_change"),
    path("objections/<str:secret>/", recovery.open_cancellation, name="open_cancellation"),
    path("logs/", logs.listing, name="logs"),
    path("logs/export/", logs.export, name="export_logs"),
    path("profile/delete/", account.delete, name="delete_account"),
    path("profile/export/", account.export, name="export_account"),
    path("profile/", include("portal.accounts.profile_urls")),
    path("accounts/signup/", sign_up.sign_up, name="account_signup"),
    path("accounts/signup/complete/", sign_up.complete_sign_up, name="complete_sign_up"),
    path("accounts/signup/<str:token>/", sign_up.open_sign_up, name="open_sign_up"),
    path("accounts/", include("portal.accounts.urls")),
    path("admin/", admin.site.urls),
    path("metrics", metrics, name="metrics"),
    path("healthz/live", health.live, name="live"),
    path("healthz/ready", health.ready, name="ready"),
    path("healthz/seen", probe.seen, name="seen"),
]
