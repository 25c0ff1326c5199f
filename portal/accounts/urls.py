"""Addresses below /accounts/: the portal's own pages take precedence over allauth's."""

from django.urls import include, path, re_path

from portal.accounts import pending_identity, providers, views

urlpatterns = [
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
    path("email/stop/", views.revoke_change, name="revoke_email_change"),
    path("email/stop/<str:token>/", views.open_email_change, name="open_email_change"),
    path("oidc/<str:provider_id>/login/", providers.login, name="openid_connect_login"),
    path(
        "oidc/<str:provider_id>/login/callback/",
        providers.callback,
        name="openid_connect_callback",
    ),
    path(
        "oidc/<str:provider_id>/prove/",
        views.ProveAtProviderView.as_view(),
        name="prove_at_provider",
    ),
    path("identity/put-aside/", pending_identity.put_aside, name="put_aside_identity"),
    path("2fa/", views.SecondFactorsView.as_view(), name="mfa_index"),
    path("2fa/authenticate/", views.SecondStepView.as_view(), name="mfa_authenticate"),
    path("2fa/totp/activate/", views.ActivateAppView.as_view(), name="mfa_activate_totp"),
    path("2fa/webauthn/add/", views.AddPasskeyView.as_view(), name="mfa_add_webauthn"),
    path(
        "2fa/webauthn/add-security-key/",
        views.AddPasskeyView.as_view(is_security_key=True),
        name="mfa_add_security_key",
    ),
    path("2fa/webauthn/login/", views.SignInWithPasskeyView.as_view(), name="mfa_login_webauthn"),
    path(
        "2fa/webauthn/reauthenticate/",
        views.ProveWithPasskeyView.as_view(),
        name="mfa_reauthenticate_webauthn",
    ),
    path("sessions/", views.SessionsView.as_view(), name="usersessions_list"),
    path("", include("allauth.urls")),
]
