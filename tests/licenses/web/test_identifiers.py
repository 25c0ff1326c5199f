"""What terminals are configured with, for each subscription of the tenant alone."""

import pytest

from licenses.flows.delete import delete_keys
from portal.core.actors import SYSTEM
from tests.support.answers import shape
from tests.support.factories import make_license, make_subscription

IDENTIFIERS = "/identifiers/"


@pytest.fixture
def license(contoso, signing_key):
    return make_license(subscription=make_subscription(tenant=contoso, name="Shop"))


def rows(client, **query):
    page = client.get(IDENTIFIERS, query).context["page"]
    return [(row.name, row.authorized_application_id) for row in page.rows]


def test_every_identifier_of_the_tenant_and_the_user(license, viewer_client, viewer, contoso):
    answer = viewer_client.get(IDENTIFIERS)
    assert shape(answer) == (200, "page", "Identifiers")
    html = answer.content.decode()
    for value, name in (
        (contoso.pk, "consumer tenant id"),
        (viewer.pk, "consumer object id"),
        (license.subscription_id, "subject"),
        (license.authorized_application_id, "authorized application id"),
    ):
        assert html.count(f'data-copy="{value}" data-copy-name="{name.capitalize()}"') == 1
    assert (
        f"options.Licensing.AuthorizedApplicationId = &quot;{license.authorized_application_id}"
        f"&quot;;\noptions.Licensing.Subject = &quot;{license.subscription_id}&quot;;\n"
        f"options.Licensing.ConsumerTenantId = &quot;{contoso.pk}&quot;;"
    ).replace("&quot;", '"') in html


def test_nothing_of_others(license, viewer_client, fabrikam):
    make_license(subscription=make_subscription(tenant=fabrikam, name="Theirs"))
    assert rows(viewer_client) == [("Shop", license.authorized_application_id)]


def test_deleted_license_keys_leave_no_authorized_application_id(license, viewer_client):
    delete_keys(license=license, actor=SYSTEM)
    assert rows(viewer_client) == [("Shop", None)]
    new = make_license(subscription=license.subscription)
    assert rows(viewer_client) == [("Shop", new.authorized_application_id)]


def test_pages(contoso, viewer_client, django_assert_num_queries):
    for _ in range(30):
        make_subscription(tenant=contoso)
    first = viewer_client.get(IDENTIFIERS).context["page"]
    assert (len(first.rows), len(rows(viewer_client, after=str(first.older)))) == (25, 5)
    with django_assert_num_queries(5):
        viewer_client.get(IDENTIFIERS)
