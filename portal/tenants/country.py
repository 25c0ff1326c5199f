"""Whether the country of a tenant is fixed. What was issued with it decides, in apps above."""

from collections.abc import Callable

from portal.tenants.models import Tenant

type Condition = Callable[[Tenant], bool]

_conditions: list[Condition] = []


def fix_country_when(condition: Condition) -> None:
    """Fix the country of tenants for which this is true; `AppConfig.ready` is the place for it.

    Whatever makes it true locks the tenant first (portal.core.locking), as a change does.
    """
    _conditions.append(condition)


def is_country_fixed(tenant: Tenant) -> bool:
    """Return whether the country of the tenant cannot change any more."""
    return any(condition(tenant) for condition in _conditions)
