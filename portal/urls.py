"""Every address of the portal."""

from django.contrib import admin
from django.urls import include, path

from licenses import published
from licenses.metrics import metrics
from licenses.views import identifiers
from portal import invitation_views, log_views, objection_views, views

handler500 = views.server_error

urlpatterns = [
    path("public/", include("licenses.public_urls")),
    path(".well-known/jwks.json", published.jwks, name="jwks"),
    path("", views.home, name="home"),
    path("subscriptions/", include("subscriptions.urls")),
    path("subscriptions/<uuid:subscription_id>/", include("licenses.urls")),
    path("identifiers/", identifiers, name="identifiers"),
    path("tenant/", include("portal.tenant_urls")),
    path("invitations/accept/", invitation_views.accept_invitation, name="accept_invitation"),
    path("invitations/<str:secret>/", invitation_views.open_invitation, name="open_invitation"),
    path("objections/", objection_views.object_to_change, name="object"),
    path("objections/<str:secret>/", objection_views.open_objection, name="open_objection"),
    path("logs/", log_views.listing, name="logs"),
    path("logs/export/", log_views.export, name="export_logs"),
    path("profile/", include("portal.profile_urls")),
    path("accounts/", include("portal.account_urls")),
    path("admin/", admin.site.urls),
    path("metrics", metrics, name="metrics"),
    path("healthz/live", views.live, name="live"),
    path("healthz/ready", views.ready, name="ready"),
]
