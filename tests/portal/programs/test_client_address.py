"""Whose address and scheme a request has, however proxies write them."""

import ipaddress

import pytest

from portal.programs.client_address import client_address, forwarded_scheme, parsed
from portal.programs.limits import client

PROXIES = ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    ("trusted", "remote", "forwarded", "address"),
    [
        ([], "203.0.113.7", None, "203.0.113.7"),
        ([], "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ([], "::ffff:203.0.113.7", None, "203.0.113.7"),
        ([], "", None, ""),
        ([], "unix:", None, ""),
        (PROXIES, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "192.0.2.66, 198.51.100.1", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "192.0.2.66, 198.51.100.1, 10.2.3.4", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "10.9.9.9", "10.9.9.9"),
        (PROXIES, "10.0.0.1", "not an address", "10.0.0.1"),
        (PROXIES, "10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        (PROXIES, "10.0.0.1", None, "10.0.0.1"),
        (PROXIES, "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (PROXIES, "fd00::1", "2001:db8::5", "2001:db8::5"),
        (PROXIES, "::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "198.51.100.1, ::ffff:10.2.3.4", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "192.0.2.66,198.51.100.1:51234,10.2.3.4:443", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "198.51.100.1,", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "192.0.2.66, 198.51.100.1, ", "198.51.100.1"),
        (PROXIES, "10.0.0.1", ",, 198.51.100.1,, 10.2.3.4 ,,", "198.51.100.1"),
        (PROXIES, "10.0.0.1", " , ", "10.0.0.1"),
        (PROXIES, "[fd00::1]:443", "[2001:db8::5]:51234", "2001:db8::5"),
    ],
)
def test_the_address_is_that_of_the_first_stranger_from_the_right(
    rf, settings, trusted, remote, forwarded, address
):
    settings.TRUSTED_PROXIES = [ipaddress.ip_network(network) for network in trusted]
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert client_address(rf.get("/", headers=headers, REMOTE_ADDR=remote)) == address


SPELLINGS = {
    "198.51.100.1": "198.51.100.1",
    " 198.51.100.1 ": "198.51.100.1",
    "198.51.100.1:51234": "198.51.100.1",
    '"198.51.100.1:51234"': "198.51.100.1",
    "::ffff:198.51.100.1": "198.51.100.1",
    "[::ffff:c633:6401]:51234": "198.51.100.1",
    "2001:DB8::5": "2001:db8::5",
    "[2001:db8::5]": "2001:db8::5",
    "[2001:db8::5]:51234": "2001:db8::5",
    '"[2001:db8::5]:51234"': "2001:db8::5",
    "fe80::1%eth0": "fe80::1",
    "": None,
    "unknown": None,
    "_hidden": None,
    "198.51.100.1:port": None,
    "198.51.100.256": None,
    "[198.51.100.1": None,
    "2001:db8::5]:443": None,
    "1" * 100_000: None,
}


@pytest.mark.parametrize(("spelling", "address"), SPELLINGS.items(), ids=lambda v: str(v)[:30])
def test_every_spelling_of_an_address_is_the_same_address(spelling, address):
    found = parsed(spelling)
    assert (None if found is None else str(found)) == address


@pytest.mark.parametrize(
    ("forwarded", "address", "scheme"),
    [
        ("for=198.51.100.1", "198.51.100.1", None),
        ("For=198.51.100.1;Proto=https;by=10.0.0.1", "198.51.100.1", "https"),
        ('for="[2001:db8::5]:51234" ; proto="http"', "2001:db8::5", "http"),
        ("for=192.0.2.66;proto=http, for=198.51.100.1;proto=https", "198.51.100.1", "https"),
        ("for=198.51.100.1;proto=https, for=10.2.3.4;proto=http", "198.51.100.1", "https"),
        ('for="198.51.100.1, for=192.0.2.66"', "10.0.0.1", None),
        (r'for="_a\", for=192.0.2.66";proto=https', "10.0.0.1", "https"),
        ("for=192.0.2.66, for=unknown;proto=https", "10.0.0.1", "https"),
        ('for=192.0.2.66, for="198.51.100.1', "10.0.0.1", None),
        ("for=192.0.2.66, nonsense", "10.0.0.1", None),
        (r'for="\[2001:db8::5\]";proto="htt\ps"', "2001:db8::5", "https"),
        ("for=192.0.2.66, for=198.51.100.1, , ;,", "198.51.100.1", None),
        (";;for=198.51.100.1;;proto=https;", "198.51.100.1", "https"),
        ("", "10.0.0.1", None),
        ('"' * 50_000, "10.0.0.1", None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_forwarded_is_read_where_a_proxy_sends_it_alone(rf, settings, forwarded, address, scheme):
    settings.TRUSTED_PROXIES = [ipaddress.ip_network(network) for network in PROXIES]
    for empty in ({}, {"X-Forwarded-For": ""}, {"X-Forwarded-For": " ,", "X-Forwarded-Proto": ""}):
        request = rf.get("/", headers={"Forwarded": forwarded} | empty, REMOTE_ADDR="10.0.0.1")
        assert (client_address(request), forwarded_scheme(request)) == (address, scheme)


def test_x_forwarded_for_counts_before_a_forwarded_that_the_client_may_have_made_up(rf, settings):
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]
    headers = {"Forwarded": "for=192.0.2.66;proto=https", "X-Forwarded-For": "198.51.100.1"}
    request = rf.get("/", headers=headers, REMOTE_ADDR="10.0.0.1")
    assert (client_address(request), forwarded_scheme(request)) == ("198.51.100.1", None)


@pytest.mark.parametrize(
    ("remote", "claimed", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("::ffff:10.0.0.1", "HTTPS", "https"),
        ("10.0.0.1", "https, http", "http"),
        ("10.0.0.1", "http,https", "https"),
        ("10.0.0.1", "https,", "https"),
        ("10.0.0.1", "https, gopher", None),
        ("10.0.0.1", "http", "http"),
        ("10.0.0.1", "gopher", None),
        ("10.0.0.1", None, None),
        ("203.0.113.7", "https", None),
        ("", "https", None),
    ],
)
def test_the_scheme_is_believed_from_trusted_peers_only(rf, settings, remote, claimed, scheme):
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]
    headers = {"X-Forwarded-Proto": claimed} if claimed else {}
    assert forwarded_scheme(rf.get("/", headers=headers, REMOTE_ADDR=remote)) == scheme


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("198.51.100.1:51234", "198.51.100.1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::"),
        ("", "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_a_limit_counts_an_ipv4_address_or_the_64_bits_of_one_customer(address, counted):
    assert client(address) == counted
