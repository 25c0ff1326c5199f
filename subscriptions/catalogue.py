"""The plans that ship with the portal, and which client generations start on them.

A plan's URN is data: operators add plans with other URNs (contract.md section 1).
"""

from typing import Any

from subscriptions.models import BillingPeriod, Edition, Plan

LICENSE_PLAN = "urn:oneimlx:lic:plan:"
TERMINAL_PLAN = "urn:oneimlx:terminal:plan:"

COMMERCIAL = {
    "micro": "Micro",
    "smb": "SMB",
    "enterprise": "Enterprise",
    "isv": "ISV",
    "isvu": "ISV Unlimited",
}
SWITCHED_OFF = {
    LICENSE_PLAN: ["demo", "onprem", "unlimited"],
    TERMINAL_PLAN: ["demo", "micro", "smb", "enterprise", "onprem", "unlimited"],
}
PERIODS = (BillingPeriod.MONTHLY, BillingPeriod.YEARLY)

EARLY = {"community", "micro", "smb", "enterprise", "isv", "isvu", "custom"}
LATE = {"demo", "micro", "smb", "enterprise", "onprem", "unlimited", "custom"}
GENERATIONS = {
    "2022-05": {LICENSE_PLAN + name for name in EARLY},
    "2022-09": {LICENSE_PLAN + name for name in EARLY},
    "2023-03": {LICENSE_PLAN + name for name in EARLY},
    "2023-05": {LICENSE_PLAN + name for name in LATE},
    "2023-10": {TERMINAL_PLAN + name for name in LATE},
}
"""Plan URNs that each released client generation starts on (contract.md section 1)."""


def generations(plan_urn: str) -> list[str]:
    """Return the client generations that start on a plan, oldest first."""
    return [generation for generation, urns in GENERATIONS.items() if plan_urn in urns]


def shipped_plans() -> list[Plan]:
    """Return every plan that the portal ships with, unsaved, in the order of the shop."""
    plans = [
        Plan(
            code="community",
            name="Community",
            edition=Edition.COMMUNITY,
            urn=LICENSE_PLAN + "community",
            billing_period=BillingPeriod.COMMUNITY,
        )
    ]
    for part, label in COMMERCIAL.items():
        plans += [_commercial(part, label, LICENSE_PLAN, period) for period in PERIODS]
    for space, parts in SWITCHED_OFF.items():
        prefix = "terminal-" if space == TERMINAL_PLAN else ""
        for part in parts:
            label = f"{COMMERCIAL.get(part, part.capitalize())}"
            label += " (2023-10 terminals)" if prefix else " (2023-05 terminals)"
            for period in PERIODS:
                plan = _commercial(part, label, space, period, prefix=prefix)
                plan.is_offered = False
                plans.append(plan)
    return plans


def seed_plans(**_signal: Any) -> None:
    """Add the shipped plans that are missing; existing ones keep the changes of operators."""
    existing = set(Plan.objects.values_list("code", flat=True))
    Plan.objects.bulk_create(
        [plan for plan in shipped_plans() if plan.code not in existing], ignore_conflicts=True
    )


def _commercial(
    part: str, label: str, space: str, period: BillingPeriod, *, prefix: str = ""
) -> Plan:
    return Plan(
        code=f"{prefix}{part}-{period.value}",
        name=f"{label} {period.label.lower()}",
        edition=Edition.COMMERCIAL,
        urn=space + part,
        billing_period=period,
    )
