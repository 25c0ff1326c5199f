"""What terminals are configured with, for each subscription of the tenant alone."""

import pytest

from licenses.flows.delete import delete_keys
from portal.core.actors import SYSTEM
from subscriptions.models import State, Subscription
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


def test_a_subscription_that_is_not_active_says_so(license, viewer_client):
    Subscription.objects.update(state=State.SUSPENDED)
    assert ">Suspended</span>" in viewer_client.get(IDENTIFIERS).content.decode()


def test_nothing_of_others(license, viewer_client, fabrikam):
    make_license(subscription=make_subscription(tenant=fabrikam, name="Theirs"))
    assert rows(viewer_client) == [("Shop", license.authorized_application_id)]


def test_deleted_license_keys_leave_no_authorized_application_id(license, viewer_client):
    delete_keys(license=license, actor=SYSTEM)
    assert rows(viewer_client) == []
    without = viewer_client.get(IDENTIFIERS, {"keys": "none"})
    assert [row.name for row in without.context["page"].rows] == ["Shop"]
    assert "Authorized application id" not in without.content.decode()
    new = make_license(subscription=license.subscription)
    assert rows(viewer_client) == [("Shop", new.authorized_application_id)]


def test_pages(contoso, viewer_client, django_assert_num_queries):
    for _ in range(30):
        make_subscription(tenant=contoso)
    without = {"keys": "none"}
    first = viewer_client.get(IDENTIFIERS, without).context["page"]
    second = viewer_client.get(IDENTIFIERS, without | {"after": str(first.older)})
    assert (len(first.rows), len(second.context["page"].rows)) == (25, 5)
    with django_assert_num_queries(4):
        viewer_client.get(IDENTIFIERS)


def test_a_search_narrows_them(license, viewer_client, contoso):
    make_license(subscription=make_subscription(tenant=contoso, name="Lab"))
    for text in ("shop", str(license.authorized_application_id), license.subscription_id.hex[:9]):
        assert [name for name, _ in rows(viewer_client, q=text)] == ["Shop"]
    nothing = viewer_client.get(IDENTIFIERS, {"q": "nothing"}).content.decode()
    assert nothing.count("Nothing matches") == 1
