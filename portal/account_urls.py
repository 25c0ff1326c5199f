"""Addresses below /accounts/: the portal's own pages first, which stand before allauth's."""

from django.urls import include, path, re_path

from portal import account_views as views
from portal import identity

urlpatterns = [
    path("signup/", views.sign_up, name="account_signup"),
    path("signup/complete/", views.complete_sign_up, name="complete_sign_up"),
    path("signup/<str:token>/", views.open_sign_up, name="open_sign_up"),
    re_path(
        r"^confirm-email/(?P<key>[-:\w]+)/$",
        views.VerifyEmailView.as_view(),
        name="account_confirm_email",
    ),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        views.ChoosePasswordView.as_view(),
        name="account_reset_password_from_key",
    ),
    path("oidc/<str:provider_id>/login/", identity.login, name="openid_connect_login"),
    path(
        "oidc/<str:provider_id>/login/callback/",
        identity.callback,
        name="openid_connect_callback",
    ),
    path(
        "oidc/<str:provider_id>/prove/",
        views.ProveAtProviderView.as_view(),
        name="prove_at_provider",
    ),
    path("", include("allauth.urls")),
]
