"""What no tenant that closes, or was closed, may do any more."""

from portal.core.dates import moment
from portal.core.refusal import Refused
from portal.tenants.models import Tenant


def refuse_closed(tenant: Tenant) -> None:
    """Raise Refused for a tenant that was closed; call it under the tenant's lock."""
    if tenant.closed_at is not None:
        raise Refused(f"This tenant was closed on {moment(tenant.closed_at)}, for good.")


def refuse_closing(tenant: Tenant) -> None:
    """Raise Refused for a tenant that closes or was closed: nothing new begins in it."""
    refuse_closed(tenant)
    if tenant.closes_at is not None:
        raise Refused(
            f"{tenant} closes on {moment(tenant.closes_at)}. Take the closing back first."
        )
