"""Addresses that hold a secret."""

SECRET_PATHS = (
    "/invitations/{}/",
    "/objections/{}/",
    "/notifications/stop/{}/",
    "/accounts/signup/{}/",
    "/accounts/confirm-email/{}/",
    "/accounts/password/reset/key/1-{}/",
    "/accounts/email/stop/{}/",
)
"""Addresses that end in the secret of a mail; tests/test_deploy.py compares them with the URLs."""
