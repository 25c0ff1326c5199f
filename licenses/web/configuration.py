"""The options that a terminal is configured with, by its generation (contract.md section 9)."""

from dataclasses import dataclass

from licenses.files import file_name
from licenses.models import License, Slot
from subscriptions.catalogue import LICENSE_PLAN, TERMINAL_PLAN, generations
from subscriptions.custom_claims import is_custom

HTTP_CLIENT_NAME = "your-http-client"
"""Stands for the name under which the application registered its HTTP client."""

OFFLINE_HANDLERS = {
    "2023-03": "offline",
    "2023-05": "offline-license",
    "2023-10": "offline-license",
}
"""The value of `LicenseHandler` for offline verification, by generation."""

OFFLINE_PLANS = {
    "2023-03": {LICENSE_PLAN + name for name in ("enterprise", "isv", "isvu")},
    "2023-05": {LICENSE_PLAN + name for name in ("enterprise", "onprem", "unlimited")},
    "2023-10": {TERMINAL_PLAN + name for name in ("enterprise", "onprem", "unlimited")},
}
"""URNs of the plans whose terminals may verify offline, by generation (contract.md section 1)."""

NAMES_ITS_PLAN = {"2023-10"}
"""Generations that refuse a key of any plan but the configured one."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One option, as it is written in the terminal's C# code."""

    option: str
    value: str

    @property
    def name(self) -> str:
        """The last part of the option: `Subject` of `options.Licensing.Subject`."""
        return self.option.rpartition(".")[2]

    @property
    def code(self) -> str:
        """The whole line; no value contains quotes or backslashes."""
        return f'{self.option} = "{self.value}";'


@dataclass(frozen=True, kw_only=True)
class Options:
    """All options for one kind of check: `online` or `offline`."""

    way: str
    lines: list[Line]

    @property
    def code(self) -> str:
        """All lines."""
        return "\n".join(line.code for line in self.lines)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The configuration of terminals of one generation; without a name it is unreleased."""

    generation: str
    ways: list[Options]


def configurations(license: License, *, subscription_name: str) -> list[Configuration]:
    """Return the configuration of each generation that knows the license's plan, the newest first.

    For a plan that no released generation knows, it is one configuration without a name.
    """
    path = file_name(subscription_name, Slot.PRIMARY)
    return [
        _configuration(license, generation, path)
        for generation in reversed(generations(license.plan_urn) or [""])
    ]


def _configuration(license: License, generation: str, path: str) -> Configuration:
    lines = [
        Line(
            option="options.Licensing.AuthorizedApplicationId",
            value=str(license.authorized_application_id),
        ),
        Line(option="options.Licensing.Subject", value=str(license.subscription_id)),
        Line(option="options.Licensing.ConsumerTenantId", value=str(license.tenant_id)),
        Line(option="options.Licensing.LicenseKey", value=path),
    ]
    if generation in NAMES_ITS_PLAN:
        lines.append(Line(option="options.Licensing.LicensePlan", value=license.plan_urn))
    client = Line(option="options.Http.HttpClientName", value=HTTP_CLIENT_NAME)
    ways = [Options(way="online", lines=[*lines, client])]
    if _verifies_offline(license, generation):
        handler = Line(option="options.Handler.LicenseHandler", value=OFFLINE_HANDLERS[generation])
        ways.append(Options(way="offline", lines=[*lines, handler]))
    return Configuration(generation=generation, ways=ways)


def _verifies_offline(license: License, generation: str) -> bool:
    """Return whether terminals of the generation may verify keys of this license offline."""
    if generation not in OFFLINE_HANDLERS:
        return False
    if is_custom(license.plan_urn):
        handlers = str(license.custom_claims.get("license_handlers", "")).split()
        return OFFLINE_HANDLERS[generation] in handlers
    return license.plan_urn in OFFLINE_PLANS[generation]
