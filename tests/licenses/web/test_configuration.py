"""Configure your terminal: each line that a generation needs, for the plans it starts on."""

import pytest

from licenses.models import License
from licenses.web.configuration import Configuration, configurations
from portal.tenants.models import Tenant
from subscriptions.models import Plan
from tests.support.answers import ids
from tests.support.factories import CUSTOM_CLAIMS, make_license, make_subscription

pytestmark = pytest.mark.django_db

EARLY = ["2023-03", "2022-09", "2022-05"]
ALL_BUT_LAST = ["2023-05", *EARLY]
LIC, TERMINAL = "urn:oneimlx:lic:plan:", "urn:oneimlx:terminal:plan:"


def unsaved(urn: str, **fields: object) -> License:
    return License(plan_urn=urn, **fields)


def offered(license: License) -> dict[str, list[str]]:
    """Return the ways of checking by generation."""
    found = configurations(license, subscription_name="Field tools")
    return {made.generation: [options.way for options in made.ways] for made in found}


@pytest.mark.parametrize(
    ("urn", "generations", "offline"),
    [
        (LIC + "community", EARLY, []),
        (LIC + "micro", ALL_BUT_LAST, []),
        (LIC + "smb", ALL_BUT_LAST, []),
        (LIC + "enterprise", ALL_BUT_LAST, ["2023-05", "2023-03"]),
        (LIC + "isv", EARLY, ["2023-03"]),
        (LIC + "isvu", EARLY, ["2023-03"]),
        (LIC + "demo", ["2023-05"], []),
        (LIC + "onprem", ["2023-05"], ["2023-05"]),
        (LIC + "unlimited", ["2023-05"], ["2023-05"]),
        (TERMINAL + "demo", ["2023-10"], []),
        (TERMINAL + "micro", ["2023-10"], []),
        (TERMINAL + "smb", ["2023-10"], []),
        (TERMINAL + "enterprise", ["2023-10"], ["2023-10"]),
        (TERMINAL + "onprem", ["2023-10"], ["2023-10"]),
        (TERMINAL + "unlimited", ["2023-10"], ["2023-10"]),
        (LIC + "of-our-own", [""], []),
    ],
)
def test_a_plan_decides_on_the_generations_and_their_ways(
    urn: str, generations: list[str], offline: list[str]
) -> None:
    assert offered(unsaved(urn)) == {
        name: ["online", "offline"] if name in offline else ["online"] for name in generations
    }


@pytest.mark.parametrize(
    ("handlers", "urn", "offline"),
    [
        (CUSTOM_CLAIMS["license_handlers"], LIC + "custom", ["2023-05", "2023-03"]),
        ("online offline", LIC + "custom", ["2023-03"]),
        ("online offline-license", LIC + "custom", ["2023-05"]),
        ("online", LIC + "custom", []),
        (CUSTOM_CLAIMS["license_handlers"], TERMINAL + "custom", ["2023-10"]),
        ("offline", TERMINAL + "custom", []),
    ],
)
def test_custom_plans_are_verified_offline_where_they_list_the_handler(
    handlers: str, urn: str, offline: list[str]
) -> None:
    ways = offered(unsaved(urn, custom_claims={"license_handlers": handlers}))
    assert [generation for generation, names in ways.items() if "offline" in names] == offline


def made(tenant: Tenant, code: str) -> dict[str, Configuration]:
    subscription = make_subscription(tenant=tenant, plan=code, name="Field tools & more")
    license = make_license(subscription=subscription)
    found = configurations(license, subscription_name=subscription.name)
    return {configuration.generation: configuration for configuration in found}


@pytest.mark.parametrize(
    ("code", "generation", "own", "offline"),
    [
        ("smb-yearly", "2022-05", [], None),
        ("smb-yearly", "2022-09", [], None),
        ("isv-monthly", "2023-03", [], "offline"),
        ("enterprise-yearly", "2023-05", [], "offline-license"),
        (
            "terminal-unlimited-yearly",
            "2023-10",
            ['options.Licensing.LicensePlan = "urn:oneimlx:terminal:plan:unlimited";'],
            "offline-license",
        ),
    ],
)
def test_every_line_that_a_generation_needs(
    code: str,
    generation: str,
    own: list[str],
    offline: str | None,
    contoso: Tenant,
    signing_key: object,
) -> None:
    configuration = made(contoso, code)[generation]
    license = License.objects.get()
    always = [
        f'options.Licensing.AuthorizedApplicationId = "{license.authorized_application_id}";',
        f'options.Licensing.Subject = "{license.subscription_id}";',
        f'options.Licensing.ConsumerTenantId = "{contoso.pk}";',
        'options.Licensing.LicenseKey = "Field-tools-more-primary.json";',
        *own,
    ]
    online = [*always, 'options.Http.HttpClientName = "your-http-client";']
    expected = {"online": "\n".join(online)}
    if offline:
        handler = f'options.Handler.LicenseHandler = "{offline}";'
        expected["offline"] = "\n".join([*always, handler])
    assert {options.way: options.code for options in configuration.ways} == expected


def test_the_plan_is_that_of_the_keys_and_not_of_the_subscription(
    contoso: Tenant, signing_key: object
) -> None:
    plan = Plan.objects.get(code="terminal-smb-yearly")
    subscription = make_subscription(tenant=contoso, plan=plan)
    license = make_license(subscription=subscription)
    subscription.plan = Plan.objects.get(code="smb-yearly")
    subscription.save()
    assert list(offered(license)) == ["2023-10"]


def test_the_card_has_each_line_with_its_copy_and_one_for_all(
    contoso: Tenant, signing_key: object, viewer_client
) -> None:
    license = make_license(subscription=make_subscription(tenant=contoso, plan="isv-monthly"))
    answer = viewer_client.get(license.subscription.get_absolute_url())
    assert [name for name in ids(answer) if name.startswith("terminal-")] == [
        "terminal-2023-03",
        "terminal-2022-09",
        "terminal-2022-05",
    ]
    html = answer.content.decode()
    for configuration in configurations(license, subscription_name=license.subscription.name):
        for options in configuration.ways:
            kind = f"{configuration.generation} {options.way}"
            quoted = options.code.replace('"', "&quot;")
            assert html.count(f'data-copy="{quoted}"') in {1, 3}  # those of 2022 are the same
            assert html.count(f'data-copy-name="All lines, {kind},"') == 1
            for line in options.lines:
                assert html.count(f'aria-label="Copy {line.name}, {kind}"') == 1


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "onprem-yearly",
            "For terminals of 2023-05, which are those that start on this plan:",
        ),
        (
            "own",
            "No terminal that was released starts on this plan; every terminal has these options:",
        ),
    ],
)
def test_nothing_is_to_be_chosen_where_a_plan_leaves_no_choice(
    code: str, sentence: str, contoso: Tenant, signing_key: object, viewer_client
) -> None:
    Plan.objects.create(
        code="own", name="Own", edition="commercial", billing_period="yearly", urn=LIC + "own"
    )
    license = make_license(subscription=make_subscription(tenant=contoso, plan=code))
    answer = viewer_client.get(license.subscription.get_absolute_url())
    html = " ".join(answer.content.decode().split())
    assert (html.count(sentence), html.count('name="generation"')) == (1, 0)
    assert html.count("options.Http.HttpClientName") == 3
