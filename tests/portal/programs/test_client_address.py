"""Whose address a request has."""

import ipaddress

import pytest

from portal.programs.client_address import client_address

PROXIES = ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    ("trusted", "remote", "forwarded", "address"),
    [
        ([], "203.0.113.7", None, "203.0.113.7"),
        ([], "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (PROXIES, "10.0.0.1", "198.51.100.1", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "192.0.2.66, 198.51.100.1", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "192.0.2.66, 198.51.100.1, 10.2.3.4", "198.51.100.1"),
        (PROXIES, "10.0.0.1", "10.9.9.9", "10.9.9.9"),
        (PROXIES, "10.0.0.1", "not an address", "10.0.0.1"),
        (PROXIES, "10.0.0.1", None, "10.0.0.1"),
        (PROXIES, "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (PROXIES, "fd00::1", "2001:db8::5", "2001:db8::5"),
    ],
)
def test_the_address_is_that_of_the_first_stranger_from_the_right(
    rf, settings, trusted, remote, forwarded, address
):
    settings.TRUSTED_PROXIES = [ipaddress.ip_network(network) for network in trusted]
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    assert client_address(rf.get("/", headers=headers, REMOTE_ADDR=remote)) == address
