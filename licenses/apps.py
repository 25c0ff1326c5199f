"""What was issued: licenses, license keys and signing keys."""

from django.apps import AppConfig


class LicensesConfig(AppConfig):
    """Licenses, license keys, signing keys, status lists."""

    name = "licenses"
