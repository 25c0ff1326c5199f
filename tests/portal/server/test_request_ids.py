"""Whose reference counts: that of a trusted proxy, and no stranger's."""

import ipaddress

import pytest
from django.test import Client

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"

pytestmark = pytest.mark.django_db


@pytest.fixture
def behind_a_proxy(settings):
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]


def reference(client: Client, address: str, **headers: str) -> str:
    return client.get("/accounts/login/", headers=headers, REMOTE_ADDR=address)["X-Request-ID"]


@pytest.mark.parametrize("given", ["req-0001", "01J9:ab_c.d-e", "a" * 64, TRACE])
def test_a_trusted_proxy_names_the_request(behind_a_proxy, client, given):
    assert reference(client, "10.1.2.3", **{"X-Request-ID": given}) == given


@pytest.mark.parametrize(
    "given", ["short", "a" * 65, "with space", "a\nb-000000", "<script>alert</script>", "ä" * 9, ""]
)
def test_a_reference_of_another_form_does_not_count(behind_a_proxy, client, given):
    found = reference(client, "10.1.2.3", **{"X-Request-ID": given})
    assert (len(found), found.isalnum()) == (16, True)


@pytest.mark.parametrize("name", ["X-Request-ID", "traceparent"])
def test_a_stranger_names_nothing(behind_a_proxy, client, settings, name):
    headers = {"X-Request-ID": "forged-0001", "traceparent": PARENT}
    assert len(reference(client, "192.0.2.1", **{name: headers[name]})) == 16
    settings.TRUSTED_PROXIES = []
    assert len(reference(client, "10.1.2.3", **{name: headers[name]})) == 16


def test_a_trace_is_the_reference_where_a_proxy_sends_no_other(behind_a_proxy, client):
    assert reference(client, "10.1.2.3", traceparent=PARENT) == TRACE
    both = {"traceparent": PARENT, "X-Request-ID": "req-0001"}
    assert reference(client, "10.1.2.3", **both) == "req-0001"


@pytest.mark.parametrize(
    "parent",
    [
        "ff" + PARENT[2:],
        PARENT.replace(TRACE, "0" * 32),
        PARENT.replace("b7ad6b7169203331", "0" * 16),
        PARENT.upper(),
        TRACE,
    ],
)
def test_a_traceparent_that_is_none_does_not_count(behind_a_proxy, client, parent):
    assert len(reference(client, "10.1.2.3", traceparent=parent)) == 16
