"""What was issued: licenses, license keys and signing keys."""

from django.apps import AppConfig


class LicensesConfig(AppConfig):
    """Licenses, license keys, signing keys, status lists."""

    name = "licenses"

    def ready(self) -> None:
        """Register the system checks."""
        from licenses import checks  # noqa: F401, PLC0415 (needs the app registry)
