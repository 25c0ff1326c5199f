"""To which addresses the portal connects: to public ones alone, whatever a name leads to."""

import socket
from ipaddress import ip_network

import pytest

from portal.core.refusal import Refused
from portal.webhooks.addresses import ForbiddenAddressError, refuse_forbidden, refuse_unusable
from portal.webhooks.sending import NOT_PUBLIC
from tests.support.receivers import sent_to

FORBIDDEN = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "192.88.99.1",
    "3fff::1",
    "2606:4700::5efe:a01:203",
    "2606:4700::200:5efe:a01:203",
    "2001:0:102:304::f5ff:fffe",  # Teredo, whose client is 10.0.0.1
]
PUBLIC = ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_is_not_connected_to(address):
    with pytest.raises(ForbiddenAddressError, match="not a public address"):
        refuse_forbidden(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_is_connected_to(address):
    refuse_forbidden(address)


def test_the_addresses_of_the_portal_and_of_its_machine_are_its_own(settings):
    settings.PUBLIC_URL = "https://1.1.1.1"
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("1.1.1.0/24")]
    for address in ("1.1.1.1", "::ffff:1.1.1.1"):
        with pytest.raises(ForbiddenAddressError, match="portal's own"):
            refuse_forbidden(address)


def test_the_portals_own_host_is_looked_up_once_in_a_while_and_not_for_every_address(
    settings, monkeypatch
):
    settings.PUBLIC_URL = "https://8.8.8.8"
    asked, real = [], socket.getaddrinfo

    def counted(host, *args, **options):
        asked.append(host)
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", counted)
    for address in PUBLIC:
        refuse_forbidden(address)
    assert set(asked) == {"8.8.8.8"}
    assert len(asked) <= 2  # two when the time was just over


def test_nothing_is_connected_to_while_the_portals_own_addresses_are_not_known(settings):
    settings.PUBLIC_URL = "https://portal.invalid"
    with pytest.raises(ForbiddenAddressError, match="not known"):
        refuse_forbidden("1.1.1.1")


def test_a_setting_allows_networks(settings):
    settings.WEBHOOK_ALLOWED_NETWORKS = [ip_network("10.1.0.0/16")]
    for address in ("10.1.2.3", "::ffff:10.1.2.3"):
        refuse_forbidden(address)
    with pytest.raises(ForbiddenAddressError):
        refuse_forbidden("10.2.2.3")


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f000001", "2130706433", "[::1]"])
def test_whatever_leads_to_this_machine_is_refused_before_a_connection(host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        answer = sent_to(f"https://{host}:{server.getsockname()[1]}/")
        assert answer.error == NOT_PUBLIC
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_name_is_resolved_once_and_the_connection_made_to_what_was_judged(monkeypatch):
    """A name that is public at the first look and leads here at the second."""
    asked = []
    real = socket.getaddrinfo

    def rebinding(host, *args, **kwargs):
        if host != "rebinding.example":
            return real(host, *args, **kwargs)
        asked.append(host)
        address = "192.0.2.1" if len(asked) == 1 else "127.0.0.1"
        return real(address, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    assert sent_to("https://rebinding.example/").error == (NOT_PUBLIC)
    assert asked == ["rebinding.example"]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://receiver.example/", "must begin with https://"),
        ("ftp://receiver.example/", "must begin with https://"),
        ("//receiver.example/", "must begin with https://"),
        ("https://", "not an address"),
        ("https://[::1", "not an address"),
        ("https://receiver.example:port/", "not an address"),
        ("https://receiver.example:65536/", "not an address"),
        ("https://-/", "not an address"),
        ("https://a..b/", "not an address"),
        ("https://[2606:4700::1%25eth0]/", "not"),
        ("https://10.1.2.3/", "not public"),
        ("https://2130706433/", "not an address"),
        ("https://0x7f000001/", "not an address"),
        ("https://127.1/", "not an address"),
        ("https://0x7f.0.0.0x1./", "not an address"),
        ("https://[::1]/", "not public"),
        ("https://ünicode.example/", "not an address"),
        ("https://receiver.example/a b", "not an address"),
        ("https://receiver.example\\@inner/", "not an address"),
        ("https://user:password@receiver.example/", "user or password"),
        ("https://receiver.example/#part", "behind #"),
        ("https://receiver.example:22/", "Use port 443"),
        ("https://receiver.example:80/", "Use port 443"),
        ("https://receiver.example/" + "x" * 2000, "longer than 2000"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_with_what_to_do(url, sentence):
    with pytest.raises(Refused, match=sentence):
        refuse_unusable(url)


@pytest.mark.parametrize("url", ["https://a.example", "https://a.example:8443/x?y=z"])
def test_an_address_that_can_be_used_is_stored_as_it_is(url):
    assert refuse_unusable(f" {url} ") == url
