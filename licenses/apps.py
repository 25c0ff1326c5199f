"""What was issued: licenses, license keys and signing keys."""

from typing import override

from django.apps import AppConfig


class LicensesConfig(AppConfig):
    """Licenses, license keys, signing keys, status lists."""

    name = "licenses"

    @override
    def ready(self) -> None:
        from licenses import checks  # noqa: F401, PLC0415 (needs the app registry)
        from licenses.flows import closing  # noqa: PLC0415
        from portal.tenants.country import fix_country_when  # noqa: PLC0415
        from portal.tenants.leaving import end_with, export_with, remove_with  # noqa: PLC0415

        export_with(*closing.SECTIONS, of_files=closing.license_files)
        end_with(closing.delete_all_keys)
        remove_with(closing.replace_names)
        # License keys hold the country of their tenant.
        fix_country_when(lambda tenant: tenant.licenses.exists())
