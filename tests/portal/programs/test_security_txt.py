"""`/.well-known/security.txt`, for who has found a weakness."""

import time_machine

PATH = "/.well-known/security.txt"


@time_machine.travel("2026-03-01T17:30:00Z", tick=False)
def test_it_names_the_contact_and_expires_within_a_year(client, settings):
    settings.SECURITY_CONTACT = "mailto:security@vendor.example"
    answer = client.get(PATH)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == (
        "Contact: mailto:security@vendor.example\n"
        "Expires: 2026-08-28T00:00:00Z\n"
        f"Canonical: {settings.PUBLIC_URL}/.well-known/security.txt\n"
        "Preferred-Languages: en\n"
    )


def test_without_a_contact_there_is_none(client, settings):
    settings.SECURITY_CONTACT = ""
    assert client.get(PATH).status_code == 404
