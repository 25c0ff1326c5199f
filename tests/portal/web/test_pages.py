"""What stands on every page: names of countries, links of the footer."""

import pytest
from django.urls import reverse

from portal.core.countries import country_choices, country_name
from portal.web.tags import country, support_links
from tests.support.factories import make_license, make_subscription

SIGN_IN = "/accounts/login/"
FOOTER = {
    "SUPPORT_URL": "https://help.example.com",
    "STATUS_URL": "https://status.example.com",
    "TERMS_URL": "https://example.com/terms",
    "PRIVACY_URL": "https://example.com/privacy",
}


def footer(page: bytes) -> str:
    return page.decode().partition("<footer")[2].partition("</footer>")[0]


def test_the_footer_leads_to_what_the_settings_name(client, db, settings):
    for name, address in FOOTER.items():
        setattr(settings, name, address)
    shown = footer(client.get(SIGN_IN).content)
    assert [address for address in FOOTER.values() if f'href="{address}"' in shown] == [
        *FOOTER.values()
    ]


def test_the_footer_shows_nothing_of_what_is_not_set(client, db):
    assert "href" not in footer(client.get(SIGN_IN).content)


def test_help_is_by_mail_where_there_is_no_page(client, db, settings):
    settings.SUPPORT_EMAIL = "support@example.com"
    assert 'href="mailto:support@example.com"' in footer(client.get(SIGN_IN).content)


def test_support_is_named_as_far_as_it_is_set(settings):
    assert support_links() == ""
    settings.SUPPORT_EMAIL = "support@example.com"
    assert support_links() == (
        'Write to <a href="mailto:support@example.com">support@example.com</a>'
    )


@pytest.mark.parametrize(
    ("code", "name"),
    [("DEU", "Germany"), ("KOR", "South Korea"), ("COD", "Congo (Democratic Republic)")],
)
def test_a_country_has_a_name_for_people(code, name):
    assert (country_name(code), country(code)) == (name, name)


def test_a_code_that_no_country_has_any_more_stands_for_itself():
    assert country_name("YUG") == "YUG"


def test_every_country_can_be_chosen_once_and_without_a_formal_order_of_words():
    names = [name for _, name in country_choices()]
    assert len(names) == len(set(names))
    assert [name for name in names if ", " in name and " and " not in name] == []


def test_the_forms_of_keys_name_the_country(owner_client, contoso, signing_key):
    fresh, used = make_subscription(tenant=contoso), make_subscription(tenant=contoso)
    make_license(subscription=used)
    pages = [
        owner_client.get(reverse("licenses:generate", args=[fresh.pk])),
        owner_client.get(reverse("licenses:reset", args=[used.pk, "primary"])),
    ]
    assert ["<dd>United States</dd>" in page.content.decode() for page in pages] == [True, True]
