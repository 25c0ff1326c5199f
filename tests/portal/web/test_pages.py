"""What stands on every page: links of the footer, icons; names of countries; pages of errors."""

import re

import pytest
from django.conf import settings
from django.templatetags.static import static
from django.urls import reverse

from portal.core.countries import country_choices, country_name
from portal.web.pages import DESCRIPTION
from portal.web.tags import country, support_links
from tests.support.error_pages import ERRORS, REFERENCE, error_page
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
    assert re.findall('href="([^"]*)"', footer(client.get(SIGN_IN).content)) == ["/verify/"]


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


def test_every_page_has_icons_and_a_card_for_links_to_it(client, db):
    page = client.get(SIGN_IN).content.decode()
    card = re.findall(r'property="og:(\w+)" content="([^"]*)"', page)
    assert dict(card) == {
        "site_name": "License Portal",
        "title": "License Portal",
        "description": DESCRIPTION,
        "type": "website",
        "image": f"{settings.PUBLIC_URL}{static('social-card.png')}",
    }
    for name in ("favicon.svg", "favicon.png", "apple-touch-icon.png", "social-card.png"):
        assert static(name) in page


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_colour_of_the_browser_is_that_of_the_chosen_theme(theme, client, db):
    client.cookies["theme"] = theme
    colours = re.findall(r'"theme-color" content="(#\w+)"', client.get(SIGN_IN).content.decode())
    assert colours == [{"dark": "#0a0a0a", "light": "#ffffff"}[theme]]


@pytest.mark.parametrize(("template", "context"), ERRORS)
def test_a_page_of_an_error_says_what_to_do_and_whom_to_ask(template, context, settings):
    settings.SUPPORT_EMAIL = "support@example.com"
    page = error_page(template, context)
    assert f'<p class="error-status">{template[:3]}</p>' in page
    assert page.count("<h1>") == 1
    assert 'class="btn" href="/"' in page
    assert 'href="mailto:support@example.com"' in page
    assert f"Reference: <code>{REFERENCE}</code>" in page


def test_who_opens_what_only_a_button_sends_to_reads_so(owner_client):
    answer = owner_client.get(reverse("tenant:switch"))
    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert "This address is only for a button" in answer.content.decode()
    assert owner_client.put(reverse("tenant:switch")).content == b""


def test_who_is_not_allowed_can_see_whom_to_ask(viewer_client, contoso):
    page = viewer_client.get(reverse("tenant:invite")).content.decode()
    assert f'href="{reverse("tenant:detail")}">See who the owners are</a>' in page
