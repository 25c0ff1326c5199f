"""What operators see of what was issued, and of license keys on the pages of other apps."""

from licenses.admin import other_pages
from licenses.admin.licenses import CheckCountAdmin, LicenseAdmin, LicenseKeyAdmin, StatusListAdmin
from licenses.admin.signing_keys import SigningKeyAdmin

__all__ = [
    "CheckCountAdmin",
    "LicenseAdmin",
    "LicenseKeyAdmin",
    "SigningKeyAdmin",
    "StatusListAdmin",
    "other_pages",
]
